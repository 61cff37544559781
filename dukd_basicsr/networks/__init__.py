"""One network: built from options or opened from any file, and asked for images of any size."""
