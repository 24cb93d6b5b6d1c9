"""`compat.json` in a version directory tells that a model is one of these, and whose answers it gives."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "compat.json"
VERSION = 1
"""The other project's clients ask for version 1, so that one is always the newest: what is published replaces it."""


@dataclass(frozen=True)
class Origin:
    """What a compat model was made for."""

    format: str  # paddlenlp
    ensemble: str  # the name clients call; that of the model itself, or of the one it is a step of
    task: str  # whose answers it gives

    def to_json(self) -> str:
        """Deterministic, readable JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def origin_file(model: Path) -> Path:
    """Where a model directory keeps it."""
    return model / str(VERSION) / FILE


def read_origin(model: Path) -> Origin | None:
    """The origin of a model directory; None where it is no compat model, or cannot be read."""
    try:
        origin = Origin(**json.loads(origin_file(model).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return origin if all(isinstance(value, str) for value in vars(origin).values()) else None
