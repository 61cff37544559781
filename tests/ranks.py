"""`python -m tests.ranks CALL`: processes of one training, each forked; `tests/warm.py` asks for them."""

import pickle
import sys

from torch import multiprocessing

if __name__ == '__main__':
    function, args, number = pickle.loads(bytes.fromhex(sys.argv[1]))
    multiprocessing.start_processes(function, args=args, nprocs=number, start_method='fork')
