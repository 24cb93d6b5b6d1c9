"""Types of command-line arguments that several commands take."""

from __future__ import annotations

import argparse


def seed(text: str) -> int:
    """A whole number that every generator of random numbers takes."""
    if not (text.isdecimal() and int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0 to {2**31 - 1:,}")
    return int(text)
