"""What to type where a Python package is missing: it differs between a checkout and an installed wheel."""

from __future__ import annotations

from pathlib import Path

PROJECT = "ernie-triton"
SETUP_EXTRAS = ("build", "client", "gateway", "perf", "serve", "test")
"""Extras that `make setup` installs, at the versions of the lock file."""


def checkout() -> Path | None:
    """The root of the checkout that this package runs from; None for an installed copy."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "Makefile").is_file() else None


def install_hint(extra: str) -> str:
    """The command that installs what an extra of the project brings, as a person types it in the current folder."""
    root = checkout()
    if root is None:
        return f"pip install '{PROJECT}[{extra}]'"
    here = root == Path.cwd()
    if extra in SETUP_EXTRAS:
        return "make setup" if here else f"make -C {root} setup"
    return f"pip install '{'.' if here else root}[{extra}]'"
