"""Measure a served repository, from a checkout: the same as `ernie-triton perf sweep`."""

from __future__ import annotations

import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(root / folder) for folder in ("perf", "builders", "python_backends")]

try:
    from ernie_perf.sweep.cli import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"sweep: Python package {missing.name!r} is missing; run `make setup`, then .venv/bin/python perf/sweep.py"
    )

if __name__ == "__main__":
    sys.exit(main())
