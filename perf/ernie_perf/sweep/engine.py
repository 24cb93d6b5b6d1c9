"""The limit: the encoder alone in this process, without server, tokenizer and decoding."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ernie_runtime.steps.batching import pad_rows
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

BATCHES = (1, 4, 8, 16, 32, 64)
ORDERS = ("file", "length")
"""As the texts come, which is what a service must take; or sorted over all texts, which it cannot."""


@dataclass(frozen=True)
class EngineRun:
    """Texts a second, and what of the work was padding."""

    throughput: float
    real_tokens: int
    padding_tokens: int


def run_engine(pipeline: Pipeline, windows: Sequence[Window], texts: int, batch: int, order: str) -> EngineRun:
    """All windows once in batches of `batch`, padded to the longest of each; padding is not timed.

    windows: of `texts` texts, all of each. A kind's windows differ in length only, so every kind is measured alike.
    """
    rows = sorted(windows, key=lambda w: len(w.input_ids)) if order == "length" else list(windows)
    batches = [
        {
            "input_ids": pad_rows([w.input_ids for w in rows[i : i + batch]]),
            "token_type_ids": pad_rows([w.token_type_ids for w in rows[i : i + batch]]),
        }
        for i in range(0, len(rows), batch)
    ]
    real = sum(len(window.input_ids) for window in rows)
    padded = sum(tensors["input_ids"].size for tensors in batches)
    pipeline.engine(batches[0])
    started = time.perf_counter()
    for tensors in batches:
        pipeline.engine(tensors)
    return EngineRun(texts / (time.perf_counter() - started), real, padded - real)
