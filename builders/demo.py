"""`make demo`: build the tasks, start the server, ask it real texts, leave it running."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from builders import build_all
from builders.config import load_tasks
from builders.progress import say
from ernie_serve import cli as serve_cli
from ernie_serve import detached
from ernie_triton import Client, ErnieTritonError
from ernie_triton.predict_cli import render

REPOSITORY = Path("model_repository")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="make demo", description=__doc__)
    p.add_argument("--http-port", type=int, default=8000)
    p.add_argument("--grpc-port", type=int, default=8001)
    p.add_argument("--metrics-port", type=int, default=8002)
    p.add_argument("--output", type=Path, default=REPOSITORY)
    return p
