"""`python -m dukd_basicsr`, which torchrun can start: the `basicsr` command."""

import sys

from dukd_basicsr.cli import main

if __name__ == '__main__':
    sys.exit(main())
