"""What each distillation method is worth under one schedule: `python -m benchmarks.study PROTOCOL`."""
