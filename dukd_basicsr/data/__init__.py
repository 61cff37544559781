"""Training samples and the files that they lie in: LMDBs, images, caches of labels. Light: imports nothing."""
