"""Build tasks into a Triton model repository, from a checkout: the same as `ernie-triton build`."""

from __future__ import annotations

import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(root / folder) for folder in ("builders", "python_backends")]

try:
    from ernie_builders.build_all import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"build_all: Python package {missing.name!r} is missing; "
        "run `make setup`, then .venv/bin/python builders/build_all.py"
    )

if __name__ == "__main__":
    sys.exit(main())
