"""The upcycled cache: a teacher's labels of a whole training set, made once by `basicsr upcycle`.

A folder `*.lmdb` with a manifest (manifest.py: whose labels of which data) and one LMDB for each process that wrote it
(shards.py), with a record for each sub-image (record.py). fit.py says whether a cache belongs to a run.
"""
