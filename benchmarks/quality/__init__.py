"""What a student costs and gives in pictures."""
