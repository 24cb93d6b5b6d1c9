"""The version of the installed project."""

from __future__ import annotations

from importlib import metadata

from ernie_runtime.install import PROJECT


def version() -> str:
    """From the package metadata; `(not installed)` where there is none."""
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return "(not installed)"
