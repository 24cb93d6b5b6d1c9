"""`compat.json` in a version directory: whose answers a compat model (`--compat`) gives, and to which clients."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "compat.json"
VERSION = 1
"""The only version of a compat model: the other project's clients ask for version 1, so a new build replaces it."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a compat model was made for."""

    format: str  # paddlenlp
    ensemble: str  # the name that clients call; of the model itself, or of the ensemble it is a step of
    task: str  # whose answers it gives

    def to_json(self) -> str:
        """Deterministic, readable JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def origin_file(model: Path) -> Path:
    """The path of `compat.json` in a model directory."""
    return model / str(VERSION) / FILE


def read_origin(model: Path) -> Origin | None:
    """The origin of a model directory; None if it is no compat model, or the file cannot be read."""
    try:
        origin = Origin(**json.loads(origin_file(model).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return origin if all(isinstance(value, str) for value in vars(origin).values()) else None
