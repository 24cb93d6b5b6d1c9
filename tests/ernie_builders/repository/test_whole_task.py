"""An encoder as the whole task in one process: its files, its answers, lint, and what --pick changes."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ernie_builders.lint.repository import lint
from ernie_builders.repository import compare, model_config
from ernie_runtime.errors import InvalidItem, ManifestError
from ernie_runtime.steps.fused import FusedStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.step import strings
from ernie_serve.loading import loaded_models

from ..places import Place

FP32, INT8 = "topics_encoder_fp32", "topics_encoder_int8-ort"


def config_of(place: Place, model: str, file: str = model_config.RAGGED) -> model_config.pb.ModelConfig:
    return model_config.from_text((place.output / model / file).read_text(encoding="utf-8"))


def step_of(place: Place, model: str = FP32) -> FusedStep:
    """The model as its backend loads it."""
    parameters = {name: value.string_value for name, value in config_of(place, model).parameters.items()}
    return FusedStep.load(place.output / model / "1", parameters)


def problems(place: Place) -> list[str]:
    return [str(finding) for finding in lint(place.output)[0]]


def test_the_published_files(published: Place) -> None:
    assert problems(published) == []
    files = {path.name for path in (published.output / INT8 / "1").iterdir()}
    assert files == {"manifest.json", "model.onnx", "published", "tokenizer.json"}
    whole, ensemble = config_of(published, INT8), config_of(published, "topics_int8-ort")
    assert (whole.backend, whole.max_batch_size) == ("ernie_pipeline", ensemble.max_batch_size)
    assert (list(whole.input), list(whole.output)) == (list(ensemble.input), list(ensemble.output))
    assert len(whole.model_warmup) == 2
    assert [step.model_name for step in ensemble.ensemble_scheduling.step] == [INT8]


def test_only_the_models_that_answer_are_loaded(published: Place) -> None:
    """The portable configurations name the steps, those of the engines in Python do not."""
    ensembles, steps = ["topics", "topics_fp32", "topics_int8-ort"], ["topics_postprocess", "topics_tokenizer"]
    assert loaded_models(published.output, "ragged") == sorted([*ensembles, FP32, INT8])
    assert loaded_models(published.output, None) == sorted([*ensembles, FP32, INT8, *steps])


def test_it_answers_as_the_pipeline(published: Place, characters: list[str]) -> None:
    texts = ["".join(characters[:n]) for n in (3, 9, 40, 200)]
    pipeline = Pipeline.load(published.output, "topics")
    requests = [[texts[0]], [b"\xff"], [texts[1], "", texts[2]], [texts[3]], ["好" * 20_000] * 50]
    raw = [[t.encode() if isinstance(t, str) else t for t in request] for request in requests]
    outcomes = step_of(published).run([{"TEXT": strings(values)} for values in raw])
    expected = [answer.result for answer in pipeline.predict([(t,) for t in texts]) if not isinstance(answer, str)]
    assert isinstance(outcomes[1], InvalidItem) and "not UTF-8" in str(outcomes[1])
    assert isinstance(outcomes[4], InvalidItem) and "send fewer texts at once" in str(outcomes[4])
    succeeded = [outcomes[i] for i in (0, 2, 3)]
    rows = [json.loads(row) for outcome in succeeded if isinstance(outcome, dict) for row in outcome["RESULT"][:, 0]]
    assert rows.pop(2)["error"]["message"].startswith("item 1: ")
    assert [row["label"] for row in rows] == [answer["label"] for answer in expected]
    assert [row["windows"] for row in rows] == [answer["windows"] for answer in expected]
    assert np.allclose([row["score"] for row in rows], [answer["score"] for answer in expected], atol=1e-5)


def test_pick_changes_the_plain_ensemble_alone(place: Place) -> None:
    before = {path: path.read_bytes() for path in place.output.rglob("*") if path.is_file()}
    assert compare.main(["topics", "--repository", str(place.output), "--pick", "int8-ort"]) == 0
    changed = {path.relative_to(place.output).parts[0] for path in before if path.read_bytes() != before[path]}
    assert changed == {"topics"}
    assert problems(place) == []
    for file in (model_config.PORTABLE, model_config.RAGGED):
        assert INT8 in {step.model_name for step in config_of(place, "topics", file).ensemble_scheduling.step}


def test_a_build_removes_what_else_the_task_was_published_as(place: Place) -> None:
    """Such as the model `T_fused` of earlier releases."""
    shutil.copytree(place.output / "topics_tokenizer", place.output / "topics_fused")
    assert place.build("--variants", "fp32,int8-ort", "--max-drop", "50") == 0
    assert not (place.output / "topics_fused").exists()


def test_lint(place: Place) -> None:
    file = place.output / FP32 / model_config.RAGGED
    original = file.read_text(encoding="utf-8")
    file.write_text(original.replace('string_value: "fp32"', 'string_value: "int8-ort"'), encoding="utf-8")
    where = f"{FP32}/{model_config.RAGGED}"
    assert problems(place) == [f"{where}: runs variant 'int8-ort', not fp32: publish topics again"]
    file.write_text(original.replace("ernie_pipeline", "python").replace('"SCORE"', '"SCORES"'), encoding="utf-8")
    findings = "\n".join(problems(place))
    assert f"{where}: backend is 'python', the manifest says 'ernie_pipeline': publish topics again" in findings
    assert "output SCORE is missing" in findings
    file.write_text(original, encoding="utf-8")
    assert problems(place) == []
    (place.output / FP32 / "1" / "tokenizer.json").unlink()
    assert f"{FP32}/1/tokenizer.json: missing: publish topics again" in problems(place)
    with pytest.raises(ManifestError, match=r"tokenizer\.json: no such file; publish topics again"):
        step_of(place)
