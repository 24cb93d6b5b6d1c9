"""The version of the installed project, and the commit of a checkout."""

from __future__ import annotations

import subprocess
from importlib import metadata

from ernie_runtime.install import PROJECT, checkout


def version() -> str:
    """From the package metadata; `(not installed)` where there is none."""
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def commit() -> str:
    """Of the checkout that runs, `-dirty` where files have changed; empty for an installed copy, or without git."""
    root = checkout()
    if root is None:
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
