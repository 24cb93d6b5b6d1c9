"""The upper limit of a server: the encoder alone in this process, without tokenizing, decoding or a server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ernie_runtime.names import INPUT_IDS, TOKEN_TYPE_IDS
from ernie_runtime.steps.batching import pad_rows
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

BATCHES = (1, 4, 8, 16, 32, 64)
FILE_ORDER, LENGTH_ORDER = ORDERS = ("file", "length")
"""Texts as they come, which is what a service must take; or all of them sorted by length, which a service cannot."""


@dataclass(frozen=True, kw_only=True)
class EngineSpeed:
    """Texts/s, and how many of the tokens were padding."""

    throughput: float
    real_tokens: int
    padding_tokens: int


def measure_engine(
    pipeline: Pipeline, windows: Sequence[Window], *, texts: int, batch: int, order: str = FILE_ORDER
) -> EngineSpeed:
    """Run all windows once in batches of `batch`, each padded to its longest window; padding is not timed.

    windows: all windows of `texts` texts. Windows of all kinds differ in length only, so every kind is measured alike.
    """
    rows = sorted(windows, key=lambda w: len(w.input_ids)) if order == LENGTH_ORDER else list(windows)
    batches = [
        {
            INPUT_IDS: pad_rows([w.input_ids for w in rows[i : i + batch]]),
            TOKEN_TYPE_IDS: pad_rows([w.token_type_ids for w in rows[i : i + batch]]),
        }
        for i in range(0, len(rows), batch)
    ]
    real_tokens = sum(len(window.input_ids) for window in rows)
    all_tokens = sum(tensors[INPUT_IDS].size for tensors in batches)
    pipeline.engine(batches[0])  # warm-up
    started = time.perf_counter()
    for tensors in batches:
        pipeline.engine(tensors)
    seconds = time.perf_counter() - started
    return EngineSpeed(throughput=texts / seconds, real_tokens=real_tokens, padding_tokens=all_tokens - real_tokens)
