"""`python -m ernie_serve`: the command `ernie-triton serve`; `serve --detach` runs itself so."""

import sys

from ernie_serve.cli import main

if __name__ == "__main__":
    sys.exit(main())
