"""Micro-batches of rows of like length, so that little work is done on padding.

Source: length-sorted batching under a budget of padded tokens, as in text-embeddings-inference and fairseq; the cut
between batches weighs padding against calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ..engines import Engine
from ..names import INPUT_IDS, TOKEN_TYPE_IDS

Observe = Callable[[int, int], None]
"""Takes the numbers of real and of padding tokens that an engine was given."""


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How micro-batches are cut. The defaults suit a CPU.

    call_tokens is what a call of the engine costs besides its tokens, as so many tokens more. Measured with the
    embedded encoder's shape in ONNX Runtime on 2 cores: 2.7 ms for 23 tokens, 7.5 ms for 94, so about 1 ms a call
    and 0.07 ms a token: 16 tokens.

    max_padding bounds the share of the work that is done on padding, however dear a call is. By that cost at 16 tokens
    a call, on batches of 4 to 32 news titles, the bound makes the cut up to 1.6% dearer and keeps padding at 6 to 8%.
    """

    token_budget: int = 2048  # padded tokens in a batch
    max_rows: int = 64
    call_tokens: int = 16
    max_padding: int = 15  # percent of a batch's real tokens that its padding may be
    calls: int = 1  # at the same time, each on one thread, instead of one call on all threads


ON_CPU = Batching()


def micro_batches(lengths: Sequence[int] | np.ndarray, batching: Batching = ON_CPU) -> list[np.ndarray]:
    """Row indices of each micro-batch, longest rows first: the cheapest cut of the rows sorted by length.

    A batch costs its padded tokens and `call_tokens`; the sum over all batches is least (dynamic programming over
    the sorted rows). A batch holds at most `token_budget` padded tokens (a longer row goes alone), `max_rows` rows, and
    padding of `max_padding` percent of its real tokens.
    """
    if len(lengths) == 1:
        return [np.zeros(1, np.int64)]
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    sizes = np.maximum(np.asarray(lengths, np.int64)[order], 1)
    count = len(sizes)
    before = np.concatenate([[0], np.cumsum(sizes)])  # real tokens of the rows before row i
    widest = np.clip(batching.token_budget // sizes, 1, batching.max_rows)  # rows that a batch led by row i may hold
    cost = np.zeros(count + 1)  # of rows i.. on
    rows = np.ones(count, np.int64)  # of the batch that row i leads
    steps = np.arange(1, batching.max_rows + 1)
    for i in range(count - 1, -1, -1):
        take = steps[: min(widest[i], count - i)]
        padded = take * sizes[i]
        real = before[i + 1 : i + 1 + len(take)] - before[i]
        total = np.where(padded * 100 <= real * (100 + batching.max_padding), padded + cost[i + take], np.inf)
        best = int(total.argmin())
        rows[i], cost[i] = best + 1, total[best] + batching.call_tokens
    batches, start = [], 0
    while start < count:
        batches.append(order[start : start + rows[start]])
        start += int(rows[start])
    return batches


def pad_rows(rows: Sequence[np.ndarray], length: int | None = None) -> np.ndarray:
    """Stack rows [L_i, ...] into one array [B, L, ...], zeros behind the shorter ones (ERNIE's pad id is 0)."""
    length = max(len(row) for row in rows) if length is None else length
    if len(rows) == 1 and len(rows[0]) == length:
        return rows[0][None]  # a view: one row needs no copy
    out = np.zeros((len(rows), length, *rows[0].shape[1:]), rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def run_rows(
    engine: Engine,
    input_ids: Sequence[np.ndarray],
    token_type_ids: Sequence[np.ndarray],
    batching: Batching = ON_CPU,
    observe: Observe | None = None,
    single: Engine | None = None,
) -> list[dict[str, np.ndarray]]:
    """Run rows of any lengths through the engine; outputs a row, in the order given.

    input_ids, token_type_ids: int64 [L_i] each. A per-token output keeps the padding of its micro-batch: callers
    cut it to the row's length. observe: told once how many real and padding tokens the engine was given.

    single: the same encoder on one thread, safe to call from several at once. With it, rows that make more than one
    micro-batch are shared out to `batching.calls` threads: short rows leave threads that work on one call together
    waiting for each other.
    """
    results: list[dict[str, np.ndarray]] = [{} for _ in input_ids]

    def run(engine: Engine, batches: Iterable[np.ndarray]) -> int:
        """Padded tokens of the batches."""
        padded = 0
        for batch in batches:
            ids = pad_rows([input_ids[i] for i in batch])
            outputs = engine(
                {INPUT_IDS: ids, TOKEN_TYPE_IDS: pad_rows([token_type_ids[i] for i in batch], ids.shape[1])}
            )
            padded += ids.size
            for name, values in outputs.items():
                for position, row in enumerate(batch):
                    results[row][name] = values[position]
        return padded

    lengths = [len(row) for row in input_ids]
    mine, *others = [micro_batches(lengths, batching)] if single is None else shares(lengths, batching)
    if single is None or not others:
        padded = run(engine, mine)
    else:
        running = [_pool(batching.calls - 1).submit(run, single, share) for share in others]
        padded = run(single, mine) + sum(future.result() for future in running)
    if observe is not None:
        real = sum(lengths)
        observe(real, padded - real)
    return results


def shares(lengths: Sequence[int], batching: Batching) -> list[list[np.ndarray]]:
    """Micro-batches for each of at most `batching.calls` threads, of about the same cost each, the dearest first.

    Batches are cut no larger than a thread's part of all tokens; a thread takes the dearest batch that is left.
    """
    part = (100 + batching.max_padding) * sum(lengths) // (100 * batching.calls) + 1
    batches = micro_batches(lengths, replace(batching, token_budget=min(batching.token_budget, part)))
    costs = [len(batch) * lengths[batch[0]] + batching.call_tokens for batch in batches]
    taken: list[list[np.ndarray]] = [[] for _ in range(max(1, min(batching.calls, len(batches))))]
    loads = [0] * len(taken)
    for i in sorted(range(len(batches)), key=lambda i: -costs[i]):
        least = loads.index(min(loads))
        taken[least].append(batches[i])
        loads[least] += costs[i]
    return taken


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """For calls beside the caller's own; threads wait idle between executions."""
    return ThreadPoolExecutor(threads, "micro-batch")
