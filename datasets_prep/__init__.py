"""`basicsr prepare`: from folders of images to the LMDBs and test folders that options files name."""
