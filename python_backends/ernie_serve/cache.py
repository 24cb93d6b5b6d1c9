"""The response cache: answers to repeated requests, kept by tritonserver in memory."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ernie_serve.problems import ServeError
from ernie_serve.wheel import Wheel

LIBRARY = "local/libtritoncache_local.so"
SMALLEST = 1 << 20
"""Bytes; Triton's cache does not start with much less."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size(text: str) -> int:
    """A size in bytes, for argparse: a number, optionally with K, M or G."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text.strip().upper())
    if match is None or int(match[1]) * UNITS[match[2]] < SMALLEST:
        raise argparse.ArgumentTypeError(f"{text} is no cache size (bytes, or such as 64M; at least 1M)")
    return int(match[1]) * UNITS[match[2]]


def check(wheel: Wheel, repository: Path, config_name: str | None) -> None:
    """Errors: ServeError where the server has no cache library, or no model of the repository would use a cache."""
    if not (wheel.caches / LIBRARY).is_file():
        raise ServeError(
            f"nvidia-pytriton {wheel.version} has no response cache ({LIBRARY.rpartition('/')[2]} is missing in "
            f"{wheel.caches}): start without --cache"
        )
    files = [*repository.glob("*/config.pbtxt"), *repository.glob(f"*/configs/{config_name}.pbtxt")]
    if not any(re.search(r"response_cache\s*:?\s*{\s*enable:\s*true", file.read_text("utf-8")) for file in files):
        raise ServeError(f"--cache: no model of {repository} uses the response cache; publish its tasks again")


def argument(bytes_: int) -> str:
    """The option for tritonserver; bytes_: size of the cache."""
    return f"--cache-config=local,size={bytes_}"
