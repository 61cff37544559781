"""What a result is worth: images against ground truth and against the network they stand for."""
