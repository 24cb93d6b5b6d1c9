"""The encoders that ship, by the name that --base-model takes."""

from __future__ import annotations

from pathlib import Path

from ..config.tasks import ASSETS

EMBEDDED = "embedded"
ENCODERS: dict[str, Path] = {
    EMBEDDED: ASSETS / "encoder",
    **{path.name: path for path in sorted((ASSETS / "encoders").glob("*")) if path.is_dir()},
}
