"""Decision thresholds of a multi-label task: fitting them, and choosing how many there should be.

There may be one threshold for all labels, one per level or one per label. The more there are, the better they fit the
dev set, and the less that fit proves. So each scheme is fitted on one half of the dev set and scored on the other,
several times; a scheme with more thresholds is chosen only if it wins every time, and is then fitted on the whole dev
set. Maximizing micro F1 over thresholds: Lipton et al. 2014, "Optimal Thresholding of Classifiers to Maximize F1
Measure". The greedy pass over labels: Fan and Lin 2007, "A Study on Threshold Selection for Multi-label
Classification", who also show why rare labels must not have thresholds of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ernie_runtime.kinds.hierarchical_classification import DEFAULT_THRESHOLD, LabelTree, select_labels

SCHEMES = ("default", "task", "level", "label")  # from no fitted threshold to most
GRID = np.arange(1, 40) / 40  # candidate thresholds, 0.5 among them
MIN_TEXTS = 10  # with a label, for it to have a threshold of its own; rarer labels have their level's
REPEATS = 5  # random splits of the dev set into halves


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The chosen scheme and its thresholds."""

    scheme: str  # one of SCHEMES
    values: np.ndarray  # float64 [C], one per label
    held_out: Mapping[str, float]  # by scheme: mean micro F1 on held-out halves, in percent


def micro_f1(counts: np.ndarray) -> float:
    """In percent, from int [3]: correct, predicted, expected."""
    correct, predicted, expected = (int(count) for count in counts)
    return 200 * correct / max(predicted + expected, 1)


def label_counts(scores: np.ndarray, gold: np.ndarray, tree: LabelTree, thresholds: np.ndarray) -> np.ndarray:
    """int [3] over all labels: correct, predicted, expected; a predicted label brings its parents with it.

    scores: float32 [N, C]; gold: bool [N, C], the expected labels; thresholds: float64 [C].
    """
    predicted = select_labels(scores, thresholds.astype(np.float32), tree)
    return np.array([np.count_nonzero(part) for part in (predicted & gold, predicted, gold)])


def fit(scores: np.ndarray, gold: np.ndarray, tree: LabelTree) -> dict[str, np.ndarray]:
    """The thresholds of every scheme, each fitted from the one before it: micro F1 never falls along SCHEMES.

    scores: float32 [N, C], as answers give them; gold: bool [N, C], closed under parents.
    """
    levels = np.array(tree.levels)
    labels = np.arange(len(levels))
    thresholds = {"default": np.full(len(levels), DEFAULT_THRESHOLD)}
    groups = {
        "task": [labels],
        "level": [labels[levels == level] for level in np.unique(levels)],
        "label": [labels[[label]] for label in np.flatnonzero(gold.sum(axis=0) >= MIN_TEXTS)],
    }
    for previous, scheme in itertools.pairwise(SCHEMES):
        thresholds[scheme] = _coordinate_ascent(scores, gold, tree, thresholds[previous], groups[scheme])
    return thresholds


def _coordinate_ascent(
    scores: np.ndarray, gold: np.ndarray, tree: LabelTree, start: np.ndarray, groups: Sequence[np.ndarray]
) -> np.ndarray:
    """Twice over, each group of labels in turn gets the threshold with the best micro F1 while the others stay."""
    values, best = start.copy(), micro_f1(label_counts(scores, gold, tree, start))
    for _ in range(2):
        previous_best = best
        for group in groups:
            figures = []
            for threshold in GRID:
                candidate = values.copy()
                candidate[group] = threshold
                figures.append(micro_f1(label_counts(scores, gold, tree, candidate)))
            if max(figures) > best:
                best = max(figures)
                equally_good = np.flatnonzero(np.array(figures) == best)
                values[group] = GRID[equally_good[len(equally_good) // 2]]  # the middle one, not one at the edge
        if best == previous_best:
            break
    return values


def choose(scores: np.ndarray, gold: np.ndarray, tree: LabelTree, seed: int = 0) -> Thresholds:
    """The scheme with the fewest thresholds that none with more beats on held-out halves in every repeat.

    A repeat splits the rows into two random halves, fits on each and counts on the other. The chosen scheme is fitted
    on all rows. scores: float32 [N, C]; gold: bool [N, C], closed under parents. Fewer than two rows: the default.
    """
    held_out = np.zeros((REPEATS, len(SCHEMES)))
    generator = np.random.default_rng(seed)
    for repeat in range(REPEATS if len(scores) > 1 else 0):
        order = generator.permutation(len(scores))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        totals = np.zeros((len(SCHEMES), 3), int)
        for fitted, held in (halves, halves[::-1]):
            thresholds = fit(scores[fitted], gold[fitted], tree)
            totals += [label_counts(scores[held], gold[held], tree, thresholds[scheme]) for scheme in SCHEMES]
        held_out[repeat] = [micro_f1(counts) for counts in totals]
    chosen = 0
    for candidate in range(1, len(SCHEMES)):
        if (held_out[:, candidate] > held_out[:, chosen]).all():
            chosen = candidate
    scheme = SCHEMES[chosen]
    means = dict(zip(SCHEMES, held_out.mean(axis=0).round(3).tolist(), strict=True))
    return Thresholds(scheme=scheme, values=fit(scores, gold, tree)[scheme], held_out=means)
