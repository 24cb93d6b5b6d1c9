"""Length buckets: as few as needed, chosen so that no other choice of as many pads less."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ernie_builders.repository import buckets
from ernie_builders.repository.buckets import expected_waste, histogram, length_buckets, median

EXAMPLES = settings(deadline=None, derandomize=True, database=None, max_examples=60)


def least_waste(counts: dict[str, int], max_length: int, count: int) -> float:
    """The least waste that `count` buckets can have, with the even share of unseen lengths: all choices are tried."""
    unseen_share = buckets.UNSEEN * sum(counts.values()) / max_length
    smoothed = {str(n): counts.get(str(n), 0) + unseen_share for n in range(1, max_length + 1)}
    lengths, weights = (np.array(values) for values in ([*map(int, smoothed)], [*smoothed.values()]))
    wastes = []
    for inner in combinations(range(1, max_length), count - 1):
        ends = np.array([*inner, max_length])
        wastes.append(((ends[np.searchsorted(ends, lengths)] - lengths) * weights).sum())
    return float(min(wastes))


@EXAMPLES
@given(st.lists(st.integers(1, 14), min_size=50, max_size=80), st.sampled_from([2, 3, 4]))
def test_no_other_choice_pads_less(lengths: list[int], count: int) -> None:
    counts = histogram(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "MAX_BUCKETS", count)
        patch.setattr(buckets, "LOW_WASTE", -1)  # so that all buckets are used
        chosen = length_buckets(counts, 14)
    assert len(chosen) == count
    unseen_share = buckets.UNSEEN * len(lengths) / 14
    ends = np.array(chosen)
    waste = sum((ends[np.searchsorted(ends, n)] - n) * (counts.get(str(n), 0) + unseen_share) for n in range(1, 15))
    assert waste == pytest.approx(least_waste(counts, 14, count))


@EXAMPLES
@given(st.lists(st.integers(1, 300), max_size=200), st.integers(8, 256))
def test_buckets_ascend_to_the_full_length(lengths: list[int], max_length: int) -> None:
    chosen = length_buckets(histogram(lengths), max_length)
    assert chosen == sorted(set(chosen)) and chosen[-1] == max_length and chosen[0] >= 1
    assert len(chosen) <= max(buckets.MAX_BUCKETS, len(buckets.LADDER))


def test_no_more_buckets_than_needed() -> None:
    one_length = length_buckets(histogram([128] * 500), 128)
    assert one_length == [128]  # more buckets would save nothing
    two_lengths = length_buckets(histogram([20] * 300 + [120] * 300), 128)
    assert 20 in two_lengths and len(two_lengths) == 2


def test_less_padding_than_the_ladder_on_lengths_like_titles() -> None:
    lengths = np.clip(np.random.default_rng(3).normal(23, 7, 2000), 6, 55).astype(int).tolist()
    counts = histogram(lengths)
    ladder = [16, 24, 32, 48, 64, 96, 128]
    chosen = length_buckets(counts, 128)
    assert len(chosen) <= buckets.MAX_BUCKETS
    assert expected_waste(counts, chosen) < 0.12 < expected_waste(counts, ladder)
    padded = sum(next(b for b in chosen if b >= n) for n in lengths)
    assert expected_waste(counts, chosen) == pytest.approx(padded / sum(lengths) - 1)


def test_the_ladder_where_few_lengths_are_known() -> None:
    assert length_buckets({}, 32) == [16, 24, 32]
    assert length_buckets(histogram([7] * 49), 100) == [16, 24, 32, 48, 64, 96, 100]
    assert expected_waste({}, [32]) == 0


def test_histogram_and_median() -> None:
    counts = histogram([9, 3, 9, 5])
    assert list(counts.items()) == [("3", 1), ("5", 1), ("9", 2)]
    assert median(counts) == 9 and median(histogram([4, 4, 7])) == 4
