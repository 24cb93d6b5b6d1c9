"""Where things are in a model repository."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import ManifestError


def versions(model: Path) -> list[int]:
    """The version numbers a model directory holds, ascending (Triton's rule: names that are whole numbers)."""
    if not model.is_dir():
        return []
    return sorted(int(p.name) for p in model.iterdir() if p.is_dir() and re.fullmatch("[1-9][0-9]*", p.name))


def newest_version(model: Path) -> Path:
    """The directory of the newest version; ManifestError where there is none."""
    found = versions(model)
    if not found:
        raise ManifestError(f"{model}: no version directory; publish the task with `ernie-triton build`")
    return model / str(found[-1])
