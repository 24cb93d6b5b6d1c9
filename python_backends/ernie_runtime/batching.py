"""Micro-batches by a token budget, so that little work is done on padding.

Source: length-sorted batching under a budget of padded tokens, as in text-embeddings-inference and fairseq.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

Tensors = Mapping[str, np.ndarray]
Engine = Callable[[Tensors], Tensors]
"""Takes input_ids and token_type_ids, int64 [B, L]; returns the encoder's outputs by name, float32 [B, ...]."""


def micro_batches(lengths: Sequence[int] | np.ndarray, token_budget: int, max_rows: int) -> Iterator[np.ndarray]:
    """Row indices of each micro-batch, longest rows first.

    A batch of rows padded to its longest holds at most `token_budget` tokens (a row longer than the budget goes
    alone) and at most `max_rows` rows.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        rows = max(1, min(max_rows, token_budget // longest))
        yield order[start : start + rows]
        start += rows


def pad_rows(rows: Sequence[np.ndarray], length: int | None = None) -> np.ndarray:
    """Stack rows [L_i, ...] into one array [B, L, ...], zeros behind the shorter ones (ERNIE's pad id is 0)."""
    length = max(len(row) for row in rows) if length is None else length
    out = np.zeros((len(rows), length, *rows[0].shape[1:]), rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def run_rows(
    engine: Engine,
    input_ids: Sequence[np.ndarray],
    token_type_ids: Sequence[np.ndarray],
    token_budget: int = 4096,
    max_rows: int = 64,
) -> list[dict[str, np.ndarray]]:
    """Run rows of any lengths through the engine; outputs a row, in the order given.

    input_ids, token_type_ids: int64 [L_i] each. A per-token output keeps the padding of its micro-batch: callers
    cut it to the row's length.
    """
    results: list[dict[str, np.ndarray]] = [{} for _ in input_ids]
    for batch in micro_batches([len(row) for row in input_ids], token_budget, max_rows):
        outputs = engine(
            {
                "input_ids": pad_rows([input_ids[i] for i in batch]),
                "token_type_ids": pad_rows([token_type_ids[i] for i in batch]),
            }
        )
        for name, values in outputs.items():
            for position, row in enumerate(batch):
                results[row][name] = values[position]
    return results
