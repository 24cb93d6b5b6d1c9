"""Fitted thresholds, one per task, level or label: the choice is judged on rows that they were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from ernie_builders.metrics.thresholds import GRID, MIN_TEXTS, SCHEMES, choose, fit, label_counts, micro_f1
from ernie_runtime.kinds.hierarchical_classification import LabelTree


def noisy_scores(shift: dict[int, float], rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, LabelTree]:
    """Scores of flat labels; each label's threshold separates right from wrong, but not quite."""
    rng = np.random.default_rng(seed)
    tree = LabelTree.of(tuple(f"l{i}" for i in range(6)))
    gold = rng.random((rows, 6)) < 0.3
    scores = np.where(gold, 0.12, -0.12) + rng.normal(0, 0.06, gold.shape)
    for label, middle in shift.items():
        scores[:, label] += middle
    return np.clip(scores, 0, 1).astype(np.float32), gold, tree


def f1_at(scores: np.ndarray, gold: np.ndarray, tree: LabelTree, thresholds: np.ndarray) -> float:
    return micro_f1(label_counts(scores, gold, tree, thresholds))


def test_thresholds_beat_one_half_where_scores_are_low() -> None:
    scores, gold, tree = noisy_scores(dict.fromkeys(range(6), 0.3))
    fitted, held = slice(0, 200), slice(200, 400)
    half = np.full(6, 0.5)
    chosen = choose(scores[fitted], gold[fitted], tree)
    assert chosen.scheme != "default"
    np.testing.assert_allclose(chosen.values, 0.3, atol=0.08)
    before, after = (f1_at(scores[held], gold[held], tree, values) for values in (half, chosen.values))
    assert before < 20 < 90 < after, "on rows that were not fitted on"
    assert chosen.held_out["task"] == pytest.approx(after, abs=5)


def test_each_label_gets_its_own_threshold_where_that_helps() -> None:
    middles = {i: 0.2 + 0.12 * i for i in range(6)}
    chosen = choose(*noisy_scores(middles))
    assert chosen.scheme == "label"
    np.testing.assert_allclose(chosen.values, list(middles.values()), atol=0.08)
    assert chosen.held_out["label"] > chosen.held_out["level"] + 10


def test_each_level_gets_its_own_threshold_where_that_helps() -> None:
    rng = np.random.default_rng(0)
    tree = LabelTree.of(("a", "b", "a##x", "a##y", "b##x", "b##y"))
    gold = tree.close(np.concatenate([np.zeros((600, 2), bool), rng.random((600, 4)) < 0.15], axis=1))
    middles = np.array([0.7, 0.7, 0.2, 0.2, 0.2, 0.2])
    scores = (middles + np.where(gold, 0.12, -0.12) + rng.normal(0, 0.06, gold.shape)).astype(np.float32)
    values = fit(scores, gold, tree)["level"]
    assert len(set(values[:2])) == len(set(values[2:])) == 1
    np.testing.assert_allclose(values, middles, atol=0.1)
    chosen = choose(scores, gold, tree)
    assert chosen.scheme in ("level", "label")
    assert chosen.held_out["level"] > chosen.held_out["task"] + 5


@pytest.mark.parametrize("seed", range(4))
def test_fitting_never_lowers_f1_on_the_rows_it_is_fitted_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = LabelTree.of(("a", "a##b", "a##b##c", "a##d", "e", "e##f"))
    gold = tree.close(rng.random((60, 6)) < 0.2)
    scores = tree.close(np.clip(rng.random((60, 6)) * 0.6 + gold * rng.random((60, 6)), 0, 1).astype(np.float32))
    thresholds = fit(scores, gold, tree)
    assert tuple(thresholds) == SCHEMES
    figures = [f1_at(scores, gold, tree, values) for values in thresholds.values()]
    assert figures == sorted(figures)
    assert figures[-1] > figures[0]
    assert all(set(values.tolist()) <= {0.5, *GRID.tolist()} for values in thresholds.values())


def test_label_thresholds_that_fit_noise_are_not_chosen() -> None:
    """All labels have the same scores, so what a label's own threshold gains is lost on other rows."""
    rng = np.random.default_rng(1)
    names = tuple(f"l{i}" for i in range(30))
    gold = rng.random((300, 30)) < 0.06
    scores = np.clip(0.2 + np.where(gold, 0.1, -0.1) + rng.normal(0, 0.1, gold.shape), 0, 1).astype(np.float32)
    tree = LabelTree.of(names)
    chosen, thresholds = choose(scores, gold, tree), fit(scores, gold, tree)
    assert f1_at(scores, gold, tree, thresholds["label"]) > f1_at(scores, gold, tree, thresholds["task"]) + 2
    assert chosen.scheme == "task"
    assert len(set(chosen.values)) == 1


def test_a_rare_label_keeps_its_level_s_threshold() -> None:
    scores, gold, tree = noisy_scores(dict.fromkeys(range(6), 0.3))
    gold[:, 5] = False
    gold[: MIN_TEXTS - 1, 5] = True
    scores[:, 5] = np.where(gold[:, 5], 0.9, 0.7)  # 0.8 would be perfect
    thresholds = fit(scores, gold, tree)
    assert thresholds["label"][5] == thresholds["level"][5] != 0.8
    gold[MIN_TEXTS - 1, 5] = True
    scores[MIN_TEXTS - 1, 5] = 0.9
    assert 0.7 < fit(scores, gold, tree)["label"][5] <= 0.9, "with one text more it has its own"


def test_the_default_stays_where_nothing_is_better() -> None:
    scores, gold, tree = noisy_scores(dict.fromkeys(range(6), 0.5))
    scores = np.where(gold, 0.9, 0.1).astype(np.float32)
    chosen = choose(scores, gold, tree)
    assert (chosen.scheme, set(chosen.values)) == ("default", {0.5})
    assert set(chosen.held_out.values()) == {100}
    assert choose(scores[:1], gold[:1], tree).scheme == "default"
