"""Micro-batches of rows of similar length, so that little work is done on padding.

Source: length-sorted batching under a budget of padded tokens, as in text-embeddings-inference and fairseq; where to
split weighs padding against calls.
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
"""Called with the numbers of real and of padding tokens that an engine was given."""


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How rows are split into micro-batches. The defaults suit a CPU.

    call_tokens is the cost of a call of the engine besides its tokens, counted in tokens. Measured with the embedded
    encoder's shape in ONNX Runtime on 2 cores: 2.7 ms for 23 tokens, 7.5 ms for 94, so about 1 ms per call and 0.07 ms
    per token: 16 tokens.

    max_padding bounds the share of work on padding, however expensive a call is. With 16 tokens per call, for batches
    of 4 to 32 news titles, the bound makes the split up to 1.6% more expensive and keeps padding at 6 to 8%.
    """

    token_budget: int = 2048  # padded tokens in a batch
    max_rows: int = 64
    call_tokens: int = 16
    max_padding: int = 15  # the maximum of padding in a batch, in percent of its real tokens
    calls: int = 1  # concurrent calls of one thread each, instead of one call on all threads


ON_CPU = Batching()


def micro_batches(lengths: Sequence[int] | np.ndarray, batching: Batching = ON_CPU) -> list[np.ndarray]:
    """Row indices of each micro-batch, longest rows first: the cheapest split of the rows sorted by length.

    A batch costs its padded tokens plus `call_tokens`; dynamic programming over the sorted rows minimizes the sum. A
    batch holds at most `token_budget` padded tokens (a longer row is a batch of its own), `max_rows` rows, and padding
    of `max_padding` percent of its real tokens.
    """
    if len(lengths) == 1:
        return [np.zeros(1, np.int64)]
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    sizes = np.maximum(np.asarray(lengths, np.int64)[order], 1)
    count = len(sizes)
    before = np.concatenate([[0], np.cumsum(sizes)])  # real tokens of the rows before row i
    widest = np.clip(batching.token_budget // sizes, 1, batching.max_rows)  # rows that a batch from row i on may hold
    cost = np.zeros(count + 1)  # of all rows from row i on
    rows = np.ones(count, np.int64)  # in the batch that begins with row i
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
    """Stack rows [L_i, ...] into one array [B, L, ...], shorter ones padded with zeros (ERNIE's pad id is 0)."""
    length = max(len(row) for row in rows) if length is None else length
    if len(rows) == 1 and len(rows[0]) == length:
        return rows[0][None]  # a view: one row needs no copy
    padded = np.zeros((len(rows), length, *rows[0].shape[1:]), rows[0].dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded


def run_rows(
    engine: Engine,
    input_ids: Sequence[np.ndarray],
    token_type_ids: Sequence[np.ndarray],
    batching: Batching = ON_CPU,
    observe: Observe | None = None,
    single: Engine | None = None,
) -> list[dict[str, np.ndarray]]:
    """Run rows of any lengths through the engine; the outputs of each row, in the order of the rows.

    input_ids, token_type_ids: int64 [L_i] each. A per-token output keeps the padding of its micro-batch: callers cut it
    to the length of the row. observe: called once with the real and padding tokens of the whole run.

    single: the same encoder on one thread, safe to call from several threads at once. With it, rows of more than one
    micro-batch are distributed over `batching.calls` threads: on short rows, threads that work on one call together
    mostly wait for each other.
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
    own_share, *others = [micro_batches(lengths, batching)] if single is None else shares(lengths, batching)
    if single is None or not others:
        padded = run(engine, own_share)
    else:
        running = [_pool(batching.calls - 1).submit(run, single, share) for share in others]
        padded = run(single, own_share) + sum(future.result() for future in running)
    if observe is not None:
        real = sum(lengths)
        observe(real, padded - real)
    return results


def shares(lengths: Sequence[int], batching: Batching) -> list[list[np.ndarray]]:
    """Micro-batches for each of at most `batching.calls` threads, of about equal cost, the most expensive first.

    No batch is larger than a thread's share of all tokens; the thread with the least work gets the next expensive one.
    """
    share = (100 + batching.max_padding) * sum(lengths) // (100 * batching.calls) + 1
    batches = micro_batches(lengths, replace(batching, token_budget=min(batching.token_budget, share)))
    costs = [len(batch) * lengths[batch[0]] + batching.call_tokens for batch in batches]
    assigned: list[list[np.ndarray]] = [[] for _ in range(max(1, min(batching.calls, len(batches))))]
    loads = [0] * len(assigned)
    for i in sorted(range(len(batches)), key=lambda i: -costs[i]):
        thread = loads.index(min(loads))
        assigned[thread].append(batches[i])
        loads[thread] += costs[i]
    return assigned


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads for the calls beside the caller's own; they stay between executions."""
    return ThreadPoolExecutor(threads, "micro-batch")
