"""Variants that pass the gate, and the reasons it gives for refusing others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ernie_builders.compression.gate import judge
from ernie_builders.metrics.row_metric import Loss
from ernie_builders.repository.served import compare_answers
from ernie_runtime.manifest import Evaluation
from ernie_runtime.results import alike


def measured(accuracy: float) -> Evaluation:
    return Evaluation(split="dev", rows=500, metrics={"accuracy": accuracy}, by="this build")


FP32 = measured(90.0)


@pytest.mark.parametrize("accuracy", [89.5, 90.0, 91.0])
def test_a_drop_within_the_limit_passes(accuracy: float) -> None:
    verdict = judge(FP32, measured(accuracy), "accuracy", 0.5)
    assert verdict.passed
    assert verdict.to_manifest() == {
        "passed": True,
        "max_drop": 0.5,
        "drop": round(90.0 - accuracy, 3),
        "metric": "accuracy",
        "rows": 500,
    }


def test_a_refusal_names_the_figures_and_the_limit() -> None:
    verdict = judge(FP32, measured(89.4), "accuracy", 0.5)
    assert not verdict.passed
    assert verdict.reason == "dev accuracy is 89.40, fp32 has 90.00: 0.60 points lost, allowed are 0.5"
    assert verdict.to_manifest()["passed"] is False


def test_a_loss_that_may_be_chance_passes() -> None:
    flipped = Evaluation(split="dev", rows=40, metrics={"accuracy": 72.5}, by="this build")
    fp32 = replace(flipped, metrics={"accuracy": 75.0})
    one_row = Loss(points=2.5, standard_error=2.47, p_value=0.5)
    verdict = judge(fp32, flipped, "accuracy", 0.5, one_row)
    assert verdict.passed
    assert verdict.figures["drop"] == 2.5
    assert (verdict.figures["drop_error"], verdict.figures["p_value"]) == (2.47, 0.5)


def test_a_significant_loss_is_refused_with_its_probability() -> None:
    lost = Loss(points=0.6, standard_error=0.1, p_value=0.0021)
    verdict = judge(FP32, measured(89.4), "accuracy", 0.5, lost)
    assert verdict.reason.endswith("0.60 points lost, allowed are 0.5 (p = 0.0021)")


def test_a_significant_loss_within_the_limit_passes() -> None:
    lost = Loss(points=0.3, standard_error=0.01, p_value=0.0001)
    assert judge(FP32, measured(89.7), "accuracy", 0.5, lost).passed


def test_a_variant_without_figures_passes() -> None:
    nothing = Evaluation(split="dev", rows=0, metrics={}, by="this build")
    assert judge(nothing, nothing, "accuracy", 0.5).to_manifest() == {
        "passed": True,
        "max_drop": 0.5,
        "rows": 0,
    }


def test_served_answers() -> None:
    offline = [{"label": "a", "score": 0.5, "top": [1]}, "item 0: empty"]
    assert compare_answers(
        offline, [{"label": "a", "score": 0.501, "top": [2]}, {"error": {"code": "INVALID_ARG"}}]
    ).passed
    verdict = compare_answers(offline, [{"label": "b", "score": 0.5}, "refused"])
    assert verdict.figures == {"served_texts": 2, "served_different": 1}
    assert verdict.reason.startswith("the server answers 1 of 2 texts otherwise")
    assert '{"label": "b", "score": 0.5} where {"label": "a"' in verdict.reason


def test_dynamic_ranges_may_change_one_text_in_a_hundred() -> None:
    offline = [{"label": "a", "score": 0.5}] * 100
    served = [*offline[1:], {"label": "b", "score": 0.5}]
    assert not compare_answers(offline, served).passed
    assert compare_answers(offline, served, dynamic=True).passed
    assert not compare_answers(offline, [*served[1:], {"label": "b", "score": 0.5}], dynamic=True).passed


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (1, 1, True),
        (1, 2, False),
        (0.5, 0.5005, True),
        (0.5, 0.6, False),
        (0.5, None, False),
        ("a", "b", False),
        ([1, [0.25]], [1, [0.2501]], True),
        ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False),
    ],
)
def test_alike(ours: object, theirs: object, same: bool) -> None:
    assert alike(ours, theirs, 1e-3) is same
