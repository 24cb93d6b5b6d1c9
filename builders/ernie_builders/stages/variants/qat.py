"""Quantisation-aware training: the fine-tuned (or pruned) model goes on training with 8-bit rounding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...framework import import_paddle
from .. import Context, Done
from ..finetune import fine_tuned
from .distil import distil, settings_of
from .prune import line

__all__ = ["NAME", "STANDS_FOR", "inputs", "line", "run"]

NAME = "quantize-train"
STANDS_FOR = "fine-tune"
FORMAT = 2  # raise it when the same recipe trains in another way


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """The checkpoint, the training text, how it is trained."""
    return {
        "checkpoint": before["fine-tune"].key,
        "data": before["data"].key,
        "settings": settings_of(context),
        "seed": context.seed,
        "quantizing": FORMAT,
    }


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Leave a checkpoint in `folder`/best, its weights with the ranges of the products' inputs."""
    import_paddle(context.device)
    model = fine_tuned(before["fine-tune"])
    return distil(context, before, folder, model, model, eight_bits=True)
