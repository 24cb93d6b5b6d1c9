"""`python -m ernie_triton` is `ernie-triton`."""

import sys

from .cli import main

sys.exit(main())
