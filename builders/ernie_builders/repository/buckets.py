"""Length buckets of the portable configuration, chosen so that the data's lengths make little padding.

The tokenizer pads a request to the smallest bucket that holds it. An engine's dynamic batcher merges consecutive
requests of equal shape only: more buckets mean less padding and even fewer batches, so there are only as many as keep
padding small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

LADDER = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # tokens, for data of unknown lengths: steps of about 1.5
MAX_BUCKETS = 8
LOW_WASTE = 0.08  # expected padding tokens / real tokens below which no further bucket is added
MIN_WINDOWS = 50  # with fewer windows the lengths of the data say little
UNSEEN = 0.05  # share of the weight that is spread evenly: a text unlike the data must not be padded to max_length


def histogram(lengths: Iterable[int]) -> dict[str, int]:
    """Length in tokens -> number of windows, ascending, as the manifest stores it (JSON keys are strings)."""
    return {str(length): count for length, count in sorted(Counter(lengths).items())}


def median(counts: Mapping[str, int]) -> int:
    """The upper median of a `histogram`, in tokens."""
    lengths = np.repeat([int(length) for length in counts], list(counts.values()))
    return int(np.sort(lengths)[len(lengths) // 2])


def length_buckets(counts: Mapping[str, int], max_length: int) -> list[int]:
    """The buckets for a `histogram` of lengths, ascending; the last is `max_length`.

    The smallest number of buckets (at most MAX_BUCKETS) whose expected waste is at most LOW_WASTE, at the boundaries
    with the least padding; the ladder if there are fewer than MIN_WINDOWS windows. Dynamic programming over the lengths
    (optimal one-dimensional partition): with each further bucket, the best start of the last bucket is searched for
    every length that it may end at.
    """
    if sum(counts.values()) < MIN_WINDOWS:
        return [*(length for length in LADDER if length < max_length), max_length]
    weights = np.full(max_length + 1, UNSEEN * sum(counts.values()) / max_length)
    weights[0] = 0
    for length, count in counts.items():
        weights[min(int(length), max_length)] += count
    ends = np.arange(max_length + 1)
    windows, tokens = np.cumsum(weights), np.cumsum(weights * ends)
    padding = ends * windows - tokens  # of all windows up to each length, in the buckets so far, the last ending there
    starts: list[np.ndarray] = []  # for each further bucket: where the last one begins, by the length where it ends
    for _ in range(1, MAX_BUCKETS):
        buckets = _boundaries(starts, max_length)
        if expected_waste(counts, buckets) <= LOW_WASTE:
            return buckets
        start, least = np.zeros(max_length + 1, np.int64), padding.copy()
        for end in range(1, max_length + 1):
            totals = padding[:end] + end * (windows[end] - windows[:end]) - (tokens[end] - tokens[:end])
            start[end] = int(totals.argmin())
            least[end] = totals[start[end]]
        starts, padding = [*starts, start], least
    return _boundaries(starts, max_length)


def expected_waste(counts: Mapping[str, int], buckets: Sequence[int]) -> float:
    """Padding tokens / real tokens of requests of one window each with these lengths; 0 for an empty histogram."""
    lengths, windows = (np.array(values, np.int64) for values in ([*map(int, counts)], [*counts.values()]))
    if not len(lengths):
        return 0.0
    padded = np.asarray(buckets)[np.searchsorted(buckets, np.minimum(lengths, buckets[-1]))]
    return float((padded * windows).sum() / (lengths * windows).sum() - 1)


def _boundaries(starts: Sequence[np.ndarray], max_length: int) -> list[int]:
    """Follow the best starts back from `max_length`."""
    ends = [max_length]
    for start in reversed(starts):
        if ends[0] > 0 and start[ends[0]] > 0:
            ends.insert(0, int(start[ends[0]]))
    return ends
