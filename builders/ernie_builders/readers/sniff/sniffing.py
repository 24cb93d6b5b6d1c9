"""Look at a file or folder of labelled text."""

from __future__ import annotations

from pathlib import Path

from ...errors import DataError
from .sniffed import Sniffed


def sniff(path: Path) -> Sniffed:
    """What a file or folder is; DataError (what, where, what to do) where no reader can read it."""
    raise DataError(f"{path}: no known format; docs/data.md lists the formats")
