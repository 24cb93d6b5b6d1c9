"""Names of tasks: a task's own may be Chinese, those of its models are ASCII, as Triton's Python backend needs them."""

from __future__ import annotations

import re
import zlib


def model_name(name: str) -> str:
    """The name itself if it is ASCII, else one that is made from it, always the same."""
    if name.isascii():
        return name
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "task"
    return f"{plain}_{zlib.crc32(name.encode()):08x}"
