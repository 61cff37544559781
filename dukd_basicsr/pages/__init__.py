"""What pages for a browser share: markup without holes, one theme, one before/after slider."""
