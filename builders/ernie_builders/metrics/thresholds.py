"""Decision thresholds of a multi-label task: how they are fitted, and how it is decided how many there should be.

One threshold for all labels, one a level or one a label: the more there are, the better they fit the dev set and the
less that says. So each way is fitted on halves of the dev set and judged on the other halves, several times; one with
more thresholds is taken where it wins every time, and fitted on all of the dev set. Maximizing micro F1 over
thresholds: Lipton et al. 2014, "Optimal Thresholding of Classifiers to Maximize F1 Measure"; the greedy pass over
labels is Fan and Lin 2007, "A Study on Threshold Selection for Multi-label Classification", who also show why rare
labels must not have their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ernie_runtime.kinds.hierarchical_classification import DEFAULT_THRESHOLD, LabelTree, keep

WAYS = ("default", "task", "level", "label")  # from none fitted to most
GRID = np.arange(1, 40) / 40  # holds 0.5
FEWEST = 10  # texts with a label, for it to have a threshold of its own; others have their level's
REPEATS = 5  # dev sets cut in halves


@dataclass(frozen=True)
class Thresholds:
    """What was chosen: the way, a threshold a label (float64 [C]), mean micro F1 of every way on held-out halves."""

    way: str
    values: np.ndarray
    held_out: Mapping[str, float]


def micro_f1(counts: np.ndarray) -> float:
    """Percent, from (right, predicted, expected)."""
    right, predicted, expected = counts.tolist()
    return 200 * right / max(predicted + expected, 1)


def counts_of(scores: np.ndarray, gold: np.ndarray, tree: LabelTree, thresholds: np.ndarray) -> np.ndarray:
    """(right, predicted, expected) over all labels, parents of kept labels kept too; scores, gold [N, C]."""
    found = keep(scores, thresholds.astype(np.float32), tree)
    return np.array([np.count_nonzero(part) for part in (found & gold, found, gold)])


def fit(scores: np.ndarray, gold: np.ndarray, tree: LabelTree) -> dict[str, np.ndarray]:
    """The thresholds of every way, each fitted from the way before: micro F1 never falls along WAYS.

    scores: float32 [N, C], as answers give them; gold: bool [N, C], closed under parents.
    """
    levels = np.array(tree.levels)
    everything = np.arange(len(levels))
    found = {"default": np.full(len(levels), DEFAULT_THRESHOLD)}
    groups = {
        "task": [everything],
        "level": [everything[levels == level] for level in np.unique(levels)],
        "label": [everything[[label]] for label in np.flatnonzero(gold.sum(axis=0) >= FEWEST)],
    }
    for before, way in itertools.pairwise(WAYS):
        found[way] = _ascend(scores, gold, tree, found[before], groups[way])
    return found


def _ascend(
    scores: np.ndarray, gold: np.ndarray, tree: LabelTree, start: np.ndarray, groups: Sequence[np.ndarray]
) -> np.ndarray:
    """One group after the other gets the threshold that is best for micro F1 while the others stay, twice over."""
    values, best = start.copy(), micro_f1(counts_of(scores, gold, tree, start))
    for _ in range(2):
        before = best
        for group in groups:
            tried = []
            for threshold in GRID:
                candidate = values.copy()
                candidate[group] = threshold
                tried.append(micro_f1(counts_of(scores, gold, tree, candidate)))
            if max(tried) > best:
                best = max(tried)
                equal = np.flatnonzero(np.array(tried) == best)
                values[group] = GRID[equal[len(equal) // 2]]  # amid those that do as well, not at their edge
        if best == before:
            break
    return values


def choose(scores: np.ndarray, gold: np.ndarray, tree: LabelTree, seed: int = 0) -> Thresholds:
    """The way with the fewest thresholds that none with more beats on held-out halves in every repeat.

    A repeat cuts the rows in two halves at random, fits on each and counts on the other. What was chosen is fitted on
    all rows. scores: float32 [N, C]; gold: bool [N, C], closed under parents. Fewer than two rows leave the default.
    """
    held_out = np.zeros((REPEATS, len(WAYS)))
    generator = np.random.default_rng(seed)
    for repeat in range(REPEATS if len(scores) > 1 else 0):
        order = generator.permutation(len(scores))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        totals = np.zeros((len(WAYS), 3), int)
        for fitted, held in (halves, halves[::-1]):
            found = fit(scores[fitted], gold[fitted], tree)
            totals += [counts_of(scores[held], gold[held], tree, found[way]) for way in WAYS]
        held_out[repeat] = [micro_f1(counts) for counts in totals]
    chosen = 0
    for way in range(1, len(WAYS)):
        if (held_out[:, way] > held_out[:, chosen]).all():
            chosen = way
    means = dict(zip(WAYS, held_out.mean(axis=0).round(3).tolist(), strict=True))
    return Thresholds(WAYS[chosen], fit(scores, gold, tree)[WAYS[chosen]], means)
