"""Where OpenTelemetry's spans are sent: the address of a collector, as the command line takes it."""

from __future__ import annotations

import argparse
import socket
from urllib.parse import urlsplit

PORT = 4318  # of OTLP over HTTP, which is what tritonserver speaks
PATH = "/v1/traces"


def collector(text: str) -> str:
    """The address that spans are posted to, for argparse: `otlp://HOST[:PORT]` or `http://HOST[:PORT][/PATH]`."""
    try:
        parts = urlsplit(text)
        port = parts.port or PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("otlp", "http") or not parts.hostname or parts.username or parts.query:
        raise argparse.ArgumentTypeError(
            f"{text} is no collector: give otlp://HOST or otlp://HOST:{PORT} (OTLP over HTTP, not gRPC's 4317)"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{host}:{port}{parts.path.rstrip('/') or PATH}"


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether something listens at the collector's address; spans are dropped until something does."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or PORT), seconds).close()
    except OSError:
        return False
    return True
