"""`python -m ernie_gateway` is `ernie-triton gateway`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
