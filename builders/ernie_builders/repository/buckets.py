"""Length buckets of the portable configuration: where the data's lengths make the least padding.

A request is padded to the smallest bucket that holds it, so that equal shapes meet in an engine's dynamic batcher. More
buckets mean less padding and smaller batches; so there are as few as keep the padding small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

LADDER = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # where nothing is known of the data: steps of about a half
MOST = 8  # buckets
ENOUGH = 0.08  # padding tokens / real tokens, expected: no further bucket for less
FEWEST_WINDOWS = 50  # below that the lengths of the data say little
UNSEEN = 0.05  # of the weight, spread evenly: a text unlike the data's must not be padded to the full length


def histogram(lengths: Iterable[int]) -> dict[str, int]:
    """Length -> how many windows have it, ascending, as the manifest keeps it (JSON's keys are strings)."""
    return {str(length): count for length, count in sorted(Counter(lengths).items())}


def median(known: Mapping[str, int]) -> int:
    """The upper median of the lengths."""
    lengths = np.repeat([int(length) for length in known], list(known.values()))
    return int(np.sort(lengths)[len(lengths) // 2])


def length_buckets(known: Mapping[str, int], max_length: int) -> list[int]:
    """Ascending, the last is max_length: the cheapest `MOST` or fewer for these lengths, else the ladder.

    Dynamic programming over the lengths (optimal one-dimensional partition): with one bucket more, the best last
    boundary is tried at every length. The number of buckets is the least whose expected waste is `ENOUGH`.
    """
    if sum(known.values()) < FEWEST_WINDOWS:
        return [*(length for length in LADDER if length < max_length), max_length]
    weights = np.full(max_length + 1, UNSEEN * sum(known.values()) / max_length)
    weights[0] = 0
    for length, count in known.items():
        weights[min(int(length), max_length)] += count
    ends = np.arange(max_length + 1)
    windows, tokens = np.cumsum(weights), np.cumsum(weights * ends)
    least = ends * windows - tokens  # padding of all windows up to each length, in one bucket that ends there
    starts: list[np.ndarray] = []  # one bucket more -> where the last one begins, for each length where it ends
    for _ in range(1, MOST):
        found = _ends(starts, max_length)
        if expected_waste(known, found) <= ENOUGH:
            return found
        start, cost = np.zeros(max_length + 1, np.int64), least.copy()
        for end in range(1, max_length + 1):
            total = least[:end] + end * (windows[end] - windows[:end]) - (tokens[end] - tokens[:end])
            start[end] = int(total.argmin())
            cost[end] = total[start[end]]
        starts, least = [*starts, start], cost
    return _ends(starts, max_length)


def expected_waste(known: Mapping[str, int], buckets: Sequence[int]) -> float:
    """Padding tokens / real tokens of requests of one window each, with these lengths; 0 where none is known."""
    lengths, counts = (np.array(values, np.int64) for values in ([*map(int, known)], [*known.values()]))
    if not len(lengths):
        return 0.0
    padded = np.asarray(buckets)[np.searchsorted(buckets, np.minimum(lengths, buckets[-1]))]
    return float((padded * counts).sum() / (lengths * counts).sum() - 1)


def _ends(starts: Sequence[np.ndarray], max_length: int) -> list[int]:
    ends = [max_length]
    for start in reversed(starts):
        if ends[0] > 0 and start[ends[0]] > 0:
            ends.insert(0, int(start[ends[0]]))
    return ends
