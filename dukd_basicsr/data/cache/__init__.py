"""The upcycled cache: a teacher's labels of a whole training set, made once by `basicsr upcycle`.

A folder `*.lmdb` with a stamp (stamp.py: what the labels are of) and one LMDB a process that wrote it (shards.py: a
record for each sub-image, record.py). Importing stamp.py loads neither torch nor numpy.
"""
