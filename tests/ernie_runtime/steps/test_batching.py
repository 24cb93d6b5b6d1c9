"""Micro-batches: nothing lost, nothing twice, within budget, and every answer with its row."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ernie_runtime.engines import Tensors
from ernie_runtime.steps.batching import Batching, micro_batches, pad_rows, run_rows, shares

EXAMPLES = settings(deadline=None, derandomize=True, database=None, max_examples=200)
LENGTHS = st.lists(st.integers(1, 200), max_size=60)


@EXAMPLES
@given(LENGTHS, st.integers(1, 600), st.integers(1, 20))
def test_micro_batches_are_a_partition_within_budget(lengths: list[int], budget: int, max_rows: int) -> None:
    batches = [batch.tolist() for batch in micro_batches(lengths, Batching(token_budget=budget, max_rows=max_rows))]
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    sizes = [[lengths[row] for row in batch] for batch in batches]
    for size in sizes:
        assert 1 <= len(size) <= max_rows
        assert len(size) * max(size) <= budget or len(size) == 1
    flat = [n for size in sizes for n in size]
    assert flat == sorted(flat, reverse=True)  # rows of like length together


def cheapest(sizes: list[int], batching: Batching) -> int:
    """Cost of the best cut of rows sorted by length, longest first, found by trying all."""
    if not sizes:
        return 0
    return min(
        batching.call_tokens + rows * sizes[0] + cheapest(sizes[rows:], batching)
        for rows in range(1, min(len(sizes), batching.max_rows) + 1)
        if rows == 1
        or (
            rows * sizes[0] <= batching.token_budget
            and 100 * rows * sizes[0] <= (100 + batching.max_padding) * sum(sizes[:rows])
        )
    )


@EXAMPLES
@given(
    st.lists(st.integers(1, 60), max_size=9),
    st.builds(
        Batching,
        token_budget=st.integers(1, 200),
        max_rows=st.integers(1, 9),
        call_tokens=st.integers(0, 80),
        max_padding=st.integers(0, 200),
    ),
)
def test_the_cut_is_the_cheapest(lengths: list[int], batching: Batching) -> None:
    batches = [[lengths[row] for row in batch] for batch in micro_batches(lengths, batching)]
    cost = sum(batching.call_tokens + len(batch) * max(batch) for batch in batches)
    assert cost == cheapest(sorted(lengths, reverse=True), batching)


def checksums(row: np.ndarray) -> tuple[int, int]:
    return int((row * np.arange(1, len(row) + 1)).sum()), len(row)


@EXAMPLES
@given(LENGTHS, st.integers(1, 600), st.integers(1, 20), st.integers(0, 2**31))
def test_answers_go_to_their_rows(lengths: list[int], budget: int, max_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = [rng.integers(1, 1000, n) for n in lengths]
    types = [rng.integers(1, 3, n) for n in lengths]
    shapes = []

    def engine(tensors: Tensors) -> Tensors:
        a, b = tensors["input_ids"], tensors["token_type_ids"]
        shapes.append(a.shape)
        assert a.shape == b.shape and a.dtype == b.dtype == np.int64
        assert ((a == 0) == (b == 0)).all()
        weights = np.arange(1, a.shape[1] + 1)
        return {
            "sums": np.stack([(a * weights).sum(1), (b * weights).sum(1)], 1),
            "tokens": a[:, :, None] * 2,
        }

    rows = run_rows(engine, ids, types, Batching(token_budget=budget, max_rows=max_rows))
    assert len(rows) == len(lengths)
    for row, a, b in zip(rows, ids, types, strict=True):
        assert row["sums"].tolist() == [checksums(a)[0], checksums(b)[0]]
        assert row["tokens"][: len(a), 0].tolist() == (a * 2).tolist()
        assert not row["tokens"][len(a) :].any()
    assert sum(count for count, _ in shapes) == len(lengths)
    assert all(count == 1 or count * length <= budget for count, length in shapes)


def test_padding_is_little() -> None:
    lengths = np.random.default_rng(1).integers(8, 128, 1000)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in micro_batches(lengths))
    assert padded < 1.1 * lengths.sum()


@EXAMPLES
@given(LENGTHS, st.integers(0, 100))
def test_padding_keeps_its_bound_however_dear_a_call(lengths: list[int], bound: int) -> None:
    for batch in micro_batches(lengths, Batching(call_tokens=10_000, max_padding=bound)):
        sizes = [lengths[row] for row in batch]
        assert 100 * len(sizes) * max(sizes) <= (100 + bound) * sum(sizes)


@EXAMPLES
@given(st.lists(st.integers(1, 200), min_size=1, max_size=60))
def test_the_observer_counts_real_and_padding_tokens(lengths: list[int]) -> None:
    given_tokens, observed = [], []

    def engine(tensors: Tensors) -> Tensors:
        given_tokens.append(tensors["input_ids"].size)
        return {"sums": tensors["input_ids"].sum(1)}

    ids = [np.ones(n, np.int64) for n in lengths]
    run_rows(engine, ids, ids, observe=lambda real, padding: observed.append((real, padding)))
    assert observed == [(sum(lengths), sum(given_tokens) - sum(lengths))]


def test_pad_rows() -> None:
    rows = [np.array([1, 2, 3]), np.array([4])]
    assert pad_rows(rows).tolist() == [[1, 2, 3], [4, 0, 0]]
    assert pad_rows(rows, 5).tolist() == [[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]]
    matrix = pad_rows([np.ones((1, 2), np.int32), np.ones((2, 2), np.int32)])
    assert matrix.dtype == np.int32 and matrix.tolist() == [[[1, 1], [0, 0]], [[1, 1], [1, 1]]]
    with pytest.raises(ValueError, match="broadcast"):
        pad_rows(rows, 2)


def test_no_rows() -> None:
    def engine(tensors: Tensors) -> Tensors:
        raise AssertionError("called for nothing")

    assert run_rows(engine, [], []) == []
    assert run_rows(engine, [], [], Batching(calls=2), single=engine) == []


@EXAMPLES
@given(st.lists(st.integers(1, 200), min_size=1, max_size=60), st.integers(1, 4))
def test_threads_share_all_rows_evenly(lengths: list[int], calls: int) -> None:
    batching = Batching(calls=calls)
    assigned = shares(lengths, batching)
    assert sorted(int(row) for share in assigned for batch in share for row in batch) == list(range(len(lengths)))
    assert 1 <= len(assigned) <= calls and all(assigned)
    loads = [sum(len(batch) * lengths[batch[0]] + batching.call_tokens for batch in share) for share in assigned]
    dearest = max(len(batch) * lengths[batch[0]] + batching.call_tokens for share in assigned for batch in share)
    assert max(loads) - min(loads) <= dearest


def test_several_rows_run_at_once_and_a_single_one_on_all_threads() -> None:
    together = threading.Barrier(2, timeout=10)

    def sum_ids(tensors: Tensors) -> Tensors:
        return {"sums": tensors["input_ids"].sum(1)}

    def single(tensors: Tensors) -> Tensors:
        together.wait()  # passes only if both calls are made at the same time
        return sum_ids(tensors)

    def broken(tensors: Tensors) -> Tensors:
        raise OSError("no")

    ids = [np.full(7, i, np.int64) for i in range(6)]
    rows = run_rows(sum_ids, ids, ids, Batching(calls=2), single=single)
    assert [int(row["sums"]) for row in rows] == [7 * i for i in range(6)]
    assert run_rows(sum_ids, ids[1:2], ids[1:2], Batching(calls=2), single=single)[0]["sums"] == 7
    with pytest.raises(OSError, match="no"):
        run_rows(sum_ids, ids, ids, Batching(calls=2), single=broken)
