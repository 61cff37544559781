"""Whether the files that an options file names are there and fit: folders, LMDBs, images."""
