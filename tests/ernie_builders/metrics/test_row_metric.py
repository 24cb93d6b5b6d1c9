"""Standard errors and paired tests, against what scipy and scikit-learn say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from ernie_builders.metrics.classes import NONE, as_pairs, class_metrics
from ernie_builders.metrics.correlation import pair_metrics
from ernie_builders.metrics.row_metric import RowMetric, f1, loss, mean


def right(*counts: int) -> RowMetric:
    """Right and wrong examples in turn: right(3, 1) are three right ones and a wrong one."""
    rows = [float(number % 2 == 0) for number, count in enumerate(counts) for _ in range(count)]
    return RowMetric(rows=np.array(rows), of=mean)


def test_the_error_of_a_share_is_binomial() -> None:
    metric = right(80, 20)
    assert (metric.value, metric.standard_error) == (80.0, 4.0)  # sqrt(0.8 * 0.2 / 100)


def test_no_examples() -> None:
    nothing = RowMetric(rows=np.zeros((0, 3)), of=f1)
    assert (nothing.value, nothing.standard_error) == (0.0, 0.0)
    assert loss(nothing, nothing).p_value == 1


def test_the_error_of_an_f1_is_what_repeating_the_experiment_gives() -> None:
    random = np.random.default_rng(1)

    def draw() -> RowMetric:
        expected, predicted = random.random((2, 400)) < 0.3
        predicted |= expected & (random.random(400) < 0.7)
        return RowMetric(rows=np.array([expected & predicted, predicted, expected], float).T, of=f1)

    spread = float(np.std([draw().value for _ in range(300)]))
    assert draw().standard_error == pytest.approx(spread, rel=0.25)


def test_correlations_have_the_error_of_scipys_bootstrap() -> None:
    random = np.random.default_rng(2)
    labels = random.random(300)
    scores = labels + random.normal(0, 0.3, 300)
    found = pair_metrics(scores.tolist(), labels.tolist())
    assert found["pearson"].value == pytest.approx(100 * stats.pearsonr(scores, labels).statistic, abs=1e-3)
    assert found["spearman"].value == pytest.approx(100 * stats.spearmanr(scores, labels).statistic, abs=1e-3)
    theirs = stats.bootstrap(
        (scores, labels),
        lambda a, b: stats.pearsonr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=400,
        rng=np.random.default_rng(3),
    )
    assert found["pearson"].standard_error == pytest.approx(100 * theirs.standard_error, rel=0.2)


def test_classes_have_the_figures_of_scikit_learn() -> None:
    random = np.random.default_rng(4)
    expected, predicted = random.integers(0, 4, (2, 200))
    predicted[:120] = expected[:120]
    found = class_metrics(as_pairs(expected.tolist(), predicted.tolist()), 6)  # two classes never occur
    theirs = {
        "accuracy": sklearn_metrics.accuracy_score(expected, predicted),
        "macro_precision": sklearn_metrics.precision_score(expected, predicted, average="macro"),
        "macro_recall": sklearn_metrics.recall_score(expected, predicted, average="macro"),
        "macro_f1": sklearn_metrics.f1_score(expected, predicted, average="macro"),
        "matthews": sklearn_metrics.matthews_corrcoef(expected, predicted),
    }
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(
        {name: 100 * value for name, value in theirs.items()}, abs=1e-3
    )


def test_an_unanswered_text_is_wrong_and_of_no_class() -> None:
    found = class_metrics(as_pairs([0, 1, 1, 0], [0, 1, NONE, 1]), 2, positive=1)
    assert found["accuracy"].value == 50
    assert found["f1"].value == 50  # 2 * 1 / (2 predicted + 2 expected)


def test_one_row_of_forty_is_no_significant_loss() -> None:
    lost = loss(right(30, 10), right(29, 11))
    assert (lost.points, lost.p_value) == (2.5, 0.5)
    # The same 2.5 points of 2,000 rows, 50 of which are lost and none won.
    assert loss(right(1500, 500), right(1450, 550)).p_value < 1e-9


def test_the_paired_test_is_mcnemars() -> None:
    before, after = right(0, 5, 90, 5), right(0, 17, 78, 0, 5)  # 12 lost, 5 won
    lost = loss(before, after)
    assert lost.points == 7
    assert lost.p_value == pytest.approx(stats.binom.cdf(5, 17, 0.5))
    assert lost.standard_error == pytest.approx(np.sqrt(0.17 - 0.07**2) * 10, abs=1e-3)


def test_pairs_tell_what_two_intervals_cannot() -> None:
    """Reciprocal ranks that differ much among queries, and a little but always in one direction between models."""
    ranks = np.random.default_rng(5).random(200)
    lost = loss(RowMetric(rows=ranks, of=mean), RowMetric(rows=ranks - 0.01, of=mean))
    assert lost.points == 1 and lost.p_value < 0.01
    assert RowMetric(rows=ranks, of=mean).standard_error > 1.9
