"""Results as done.json keeps them: those of version 0.1 are read, and each is read back as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ernie_builders.stages.results import (
    DataRead,
    Evaluated,
    Exported,
    FineTuned,
    Measured,
    Published,
    Result,
    SplitFigures,
    TransferFigures,
)

SPLIT = {
    "rows": 60,
    "tokens_median": 12,
    "tokens_p99": 24,
    "tokens_max": 25,
    "over_one_window_percent": 0.0,
    "unknown_percent": 0.1,
}
FIGURES = SplitFigures(
    rows=60, tokens_median=12, tokens_p99=24, tokens_max=25, over_one_window_percent=0.0, unknown_percent=0.1
)
EXPORTED = {
    "max_abs_error": 1e-6,
    "texts": 60,
    "engine": "onnxruntime",
    "file": "model.onnx",
    "settings": {},
    "bytes": 80_000,
    "sha256": "ab",
}
EVALUATED = {
    "rows": 60,
    "split": "dev",
    "main": "accuracy",
    "shown": ["accuracy"],
    "metrics": {"accuracy": 90.0},
    "transfer": {"lcqmc": {"rows": 5, "metrics": {"accuracy": 80.0}, "errors": {"accuracy": 17.889}, "in_train": 0}},
    "wrong": 6,
    "wrong_file": "wrong.jsonl",
    "texts_per_second": 900,
}
OLD = [  # the figures of version 0.1
    (DataRead, {}, DataRead()),
    (DataRead, {"dev": SPLIT}, DataRead(splits={"dev": FIGURES})),
    (FineTuned, {"from": "tiny", "trained": False}, FineTuned(trained=False, source="tiny")),
    (
        FineTuned,
        {
            "batch": 30,
            "loss": 0.25,
            "accuracy": 90.0,
            "macro_f1": 88.0,
            "main": "accuracy",
            "seconds": 7,
            "batches": 40,
            "trained": True,
        },
        FineTuned(
            trained=True,
            main="accuracy",
            metrics={"accuracy": 90.0, "macro_f1": 88.0},
            loss=0.25,
            batch=30,
            batches=40,
            seconds=7,
        ),
    ),
    (Exported, EXPORTED, Exported(**EXPORTED)),  # type: ignore[arg-type]
    (Evaluated, {"rows": 0, "split": "sample", "metrics": {}}, Evaluated(rows=0, split="sample", metrics={})),
    (
        Evaluated,
        EVALUATED,
        Evaluated(
            rows=60,
            split="dev",
            main="accuracy",
            shown=["accuracy"],
            metrics={"accuracy": 90.0},
            transfer={"lcqmc": TransferFigures(rows=5, metrics={"accuracy": 80.0}, errors={"accuracy": 17.889})},
            wrong=6,
            wrong_file="wrong.jsonl",
            texts_per_second=900,
        ),
    ),
    (
        Measured,
        {"variants": {"fp32": {"memory": 1}}, "machine": {"threads": 2}, "rounds": 5, "texts": 60},
        Measured(variants={"fp32": {"memory": 1}}, machine={"threads": 2}, rounds=5, texts=60),
    ),
    (
        Published,
        {"task": "a", "version": 2, "models": ["a"], "output": "models", "recommended": "fp32", "refused": []},
        Published(task="a", version=2, models=["a"], output="models", recommended="fp32", refused=[]),
    ),
]


@pytest.mark.parametrize(("result_type", "figures", "result"), OLD)
def test_results_of_version_0_1_are_read(result_type: type[Result], figures: dict[str, Any], result: Result) -> None:
    assert result_type.from_json(figures) == result


@pytest.mark.parametrize("result", [result for _, _, result in OLD])
def test_what_is_written_is_read_back(result: Result) -> None:
    assert type(result).from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize(("result_type", "figures", "result"), OLD)
def test_the_keys_of_done_json_stay(result_type: type[Result], figures: dict[str, Any], result: Result) -> None:
    """Other programs read them; a key with a default may be added."""
    written = result.to_json()
    assert {name: written[name] for name in figures} == figures


def test_unknown_keys_are_ignored() -> None:
    assert Exported.from_json({**EXPORTED, "later": 1}) == Exported.from_json(EXPORTED)
