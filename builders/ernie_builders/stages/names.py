"""How a build calls what the stages of its variants left."""

from __future__ import annotations

from ..config.variants import FULL


def done_of(variant: str, stage: str) -> str:
    """Under which name a variant's stage is kept: the plain fp32's bear the stage's own."""
    return stage if variant == FULL.name else f"{variant}/{stage}"
