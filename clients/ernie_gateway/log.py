"""One JSON object a line on standard error: requests, without their texts unless asked for."""

from __future__ import annotations

import sys
import time

from .answers import dumps


def event(name: str, **about: object) -> None:
    """Write a line; None and empty values are left out."""
    shown = {key: value for key, value in about.items() if value not in (None, "", 0)}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    sys.stderr.write(dumps({"time": f"{stamp}Z", "event": name, **shown}, line=True).decode())
