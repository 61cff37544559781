<<<<<<< HEAD
"""What a student costs and gives in pictures."""
=======
"""What a result is worth: images against ground truth and against the network they stand for."""
>>>>>>> 1d6084e (Benchmarks are a package: speed/, quality/, study/, what they share in common.py, run with python -m; no path is edited)
