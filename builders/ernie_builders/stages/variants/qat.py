"""Quantisation-aware training: train the fine-tuned or pruned model further, with 8-bit rounding."""

from __future__ import annotations

from pathlib import Path

from ernie_runtime.json_types import JsonObject

from ...framework import import_paddle
from ..context import Context
from ..draft import fine_tuned
from ..results import FineTuned
from ..stage import Finished, Stage
from .distil import distil, settings_of
from .prune import line

FORMAT = 2  # raise it when the same recipe trains in another way


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The checkpoint, the training text, how it is trained."""
    return {
        "checkpoint": finished.fine_tuned.key,
        "data": finished.data.key,
        "settings": settings_of(context),
        "seed": context.seed,
        "quantizing": FORMAT,
        **({"symmetric": True} if context.recipe.symmetric else {}),
    }


def run(context: Context, finished: Finished, folder: Path) -> FineTuned:
    """Leave a checkpoint in `folder`/best; the ranges of the products' inputs are among its weights."""
    import_paddle(context.device)
    model = fine_tuned(finished.fine_tuned)
    return distil(context, finished, folder, model, model, eight_bits=True, symmetric=context.recipe.symmetric)


STAGE = Stage(name="quantize-train", result_type=FineTuned, inputs=inputs, run=run, line=line)
