"""Length buckets: the least padding that so many buckets can have, and few of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ernie_builders.repository import buckets
from ernie_builders.repository.buckets import expected_waste, histogram, length_buckets, median

EXAMPLES = settings(deadline=None, derandomize=True, database=None, max_examples=60)


def best_by_trying(known: dict[str, int], max_length: int, count: int) -> float:
    """The least waste of `count` buckets, with the even share of unseen lengths, found by trying all."""
    share = buckets.UNSEEN * sum(known.values()) / max_length
    smooth = {str(n): known.get(str(n), 0) + share for n in range(1, max_length + 1)}
    lengths, weights = (np.array(values) for values in ([*map(int, smooth)], [*smooth.values()]))
    found = []
    for inner in combinations(range(1, max_length), count - 1):
        ends = np.array([*inner, max_length])
        found.append(((ends[np.searchsorted(ends, lengths)] - lengths) * weights).sum())
    return float(min(found))


@EXAMPLES
@given(st.lists(st.integers(1, 14), min_size=50, max_size=80), st.sampled_from([2, 3, 4]))
def test_no_other_buckets_pad_less(lengths: list[int], most: int) -> None:
    known = histogram(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "MAX_BUCKETS", most)
        patch.setattr(buckets, "LOW_WASTE", -1)  # so that all buckets are used
        found = length_buckets(known, 14)
    assert len(found) == most
    share = buckets.UNSEEN * len(lengths) / 14
    ends = np.array(found)
    paid = sum((ends[np.searchsorted(ends, n)] - n) * (known.get(str(n), 0) + share) for n in range(1, 15))
    assert paid == pytest.approx(best_by_trying(known, 14, most))


@EXAMPLES
@given(st.lists(st.integers(1, 300), max_size=200), st.integers(8, 256))
def test_buckets_ascend_to_the_full_length(lengths: list[int], max_length: int) -> None:
    found = length_buckets(histogram(lengths), max_length)
    assert found == sorted(set(found)) and found[-1] == max_length and found[0] >= 1
    assert len(found) <= max(buckets.MAX_BUCKETS, len(buckets.LADDER))


def test_as_few_as_do() -> None:
    flat = length_buckets(histogram([128] * 500), 128)
    assert flat == [128]  # nothing to gain
    two = length_buckets(histogram([20] * 300 + [120] * 300), 128)
    assert 20 in two and len(two) == 2


def test_less_padding_than_the_ladder_on_lengths_like_titles() -> None:
    lengths = np.clip(np.random.default_rng(3).normal(23, 7, 2000), 6, 55).astype(int).tolist()
    known = histogram(lengths)
    ladder = [16, 24, 32, 48, 64, 96, 128]
    found = length_buckets(known, 128)
    assert len(found) <= buckets.MAX_BUCKETS
    assert expected_waste(known, found) < 0.12 < expected_waste(known, ladder)
    padded = sum(next(b for b in found if b >= n) for n in lengths)
    assert expected_waste(known, found) == pytest.approx(padded / sum(lengths) - 1)


def test_where_little_is_known() -> None:
    assert length_buckets({}, 32) == [16, 24, 32]
    assert length_buckets(histogram([7] * 49), 100) == [16, 24, 32, 48, 64, 96, 100]
    assert expected_waste({}, [32]) == 0


def test_histogram_and_median() -> None:
    known = histogram([9, 3, 9, 5])
    assert list(known.items()) == [("3", 1), ("5", 1), ("9", 2)]
    assert median(known) == 9 and median(histogram([4, 4, 7])) == 4
