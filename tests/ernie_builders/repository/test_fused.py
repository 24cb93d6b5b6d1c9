"""A task that is also published as one fused model: its files, lint, --pick, --rollback and removing it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.lint.repository import lint
from ernie_builders.repository import compare, model_config
from ernie_builders.stages import publish
from ernie_runtime.errors import InvalidItem, ManifestError
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.fused import FusedStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.step import strings

from ..places import Place, change_times, copied

FUSED = "topics_fused"


@pytest.fixture(scope="module")
def published(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two variants and the fused model beside them."""
    place = copied(finished, tmp_path_factory.mktemp("fused"))
    assert place.build("--variants", "fp32,int8-ort", "--max-drop", "50", "--fused") == 0
    return place


@pytest.fixture
def place(published: Place, tmp_path: Path) -> Place:
    """A copy that a test may change."""
    copy = copied(published, tmp_path)
    shutil.copytree(published.output, copy.output)
    return copy


def step_of(place: Place, version: int = 1) -> FusedStep:
    """The model as its backend loads it."""
    folder = place.output / FUSED
    config = model_config.from_text((folder / "config.pbtxt").read_text(encoding="utf-8"))
    parameters = {name: value.string_value for name, value in config.parameters.items()}
    return FusedStep.load(folder / str(version), parameters)


def run(place: Place, *arguments: str) -> int:
    return compare.main(["topics", "--repository", str(place.output), *arguments])


def problems(place: Place) -> list[str]:
    return [str(finding) for finding in lint(place.output)[0]]


def test_the_files_of_the_fused_model(published: Place) -> None:
    assert problems(published) == []
    folder = published.output / FUSED
    assert sorted(path.name for path in (folder / "1").iterdir()) == ["manifest.json", "published"]
    config = model_config.from_text((folder / "config.pbtxt").read_text(encoding="utf-8"))
    ensemble = model_config.from_text((published.output / "topics" / "config.pbtxt").read_text(encoding="utf-8"))
    assert (config.backend, config.max_batch_size) == ("ernie_pipeline", ensemble.max_batch_size)
    assert (list(config.input), list(config.output)) == (list(ensemble.input), list(ensemble.output))
    assert len(config.model_warmup) == 2
    manifest = json.loads(config.parameters["manifest"].string_value)
    ensemble_manifest = json.loads(ensemble.parameters["manifest"].string_value)
    assert manifest == {**ensemble_manifest, "task": FUSED} and ensemble_manifest["made_by"]["pipeline"] == "fused"


def test_the_fused_model_answers_as_the_pipeline(published: Place, characters: list[str]) -> None:
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


def test_pick_changes_the_fused_model_with_the_ensemble(place: Place) -> None:
    before = {path: path.read_bytes() for path in place.output.rglob("*") if path.is_file()}
    assert run(place, "--pick", "int8-ort") == 0
    changed = {path.relative_to(place.output).parts[0] for path in before if path.read_bytes() != before[path]}
    assert changed == {"topics", FUSED}
    assert problems(place) == []
    config = model_config.from_text((place.output / FUSED / "config.pbtxt").read_text(encoding="utf-8"))
    assert config.parameters["variant"].string_value == "int8-ort" and len(config.model_warmup) == 2
    assert Manifest.load(place.output / FUSED / "1" / "manifest.json").recommended == "int8-ort"
    (answer,) = step_of(place).run([{"TEXT": strings(["的一不是".encode()])}])
    assert isinstance(answer, dict)
    assert run(place, "--pick", "fp32") == 0
    assert {path: path.read_bytes() for path in before} == before


def test_pick_keeps_the_latency_goal_and_the_instances(place: Place) -> None:
    file = place.output / FUSED / "config.pbtxt"
    config = model_config.from_text(file.read_text(encoding="utf-8"))
    config.parameters["slo_ms"].string_value, config.instance_group[0].count = "400", 3
    file.write_text(model_config.to_text(config), encoding="utf-8")
    assert run(place, "--pick", "int8-ort") == 0
    config = model_config.from_text(file.read_text(encoding="utf-8"))
    assert (config.parameters["slo_ms"].string_value, config.instance_group[0].count) == ("400", 3)


def test_repeating_a_build_changes_nothing_and_a_build_without_the_option_removes_the_model(place: Place) -> None:
    variants = ("--variants", "fp32", "--max-drop", "50")
    assert place.build(*variants, "--fused") == 0
    assert sorted(p.name for p in (place.output / FUSED).iterdir() if p.name.isdigit()) == ["1", "2"]
    assert problems(place) == []
    step_of(place, 2)
    times = change_times(place.output)
    assert place.build(*variants, "--fused") == 0
    assert change_times(place.output) == times
    shutil.copytree(place.output / FUSED, place.root / "backup")
    assert place.build(*variants) == 0
    assert not (place.output / FUSED).exists() and problems(place) == []
    (place.root / "backup").rename(place.output / FUSED)  # as if the build had been stopped before the end
    assert place.build(*variants) == 0
    assert not (place.output / FUSED).exists()


def test_rollback_restores_or_removes_the_fused_model(
    place: Place, finished: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    text = place.tasks_file.read_text(encoding="utf-8").replace('title = "Topics"', 'title = "T"\npipeline = "fused"')
    (place.root / "tasks.toml").write_text(text, encoding="utf-8")
    fused_place = replace(place, tasks_file=place.root / "tasks.toml")
    first_config = (place.output / FUSED / "config.pbtxt").read_bytes()
    assert fused_place.build("--variants", "fp32") == 0
    assert (place.output / FUSED / "2").is_dir()
    assert run(place, "--rollback") == 1  # the variant of version 1 was taken away
    assert "has no version 1 to go back to" in capsys.readouterr().err
    shutil.rmtree(place.output)
    assert place.build() == 0
    assert fused_place.build() == 0
    assert (place.output / FUSED / "2").is_dir() and not (place.output / FUSED / "1").exists()
    assert run(place, "--rollback") == 0
    assert not (place.output / FUSED).exists() and problems(place) == []
    assert place.build("--fused") == fused_place.build() == 0
    assert run(place, "--rollback") == 0
    assert problems(place) == []
    config = (place.output / FUSED / "config.pbtxt").read_bytes()
    assert config != first_config and b'"topics_fused"' in config
    step_of(place, 2)


def test_lint(place: Place) -> None:
    file = place.output / FUSED / "config.pbtxt"
    original = file.read_text(encoding="utf-8")
    config = model_config.from_text(original)
    config.parameters["variant"].string_value = "int8-ort"
    file.write_text(model_config.to_text(config), encoding="utf-8")
    problem = "runs variant 'int8-ort', the task recommends fp32: `ernie-triton compare topics --pick fp32`"
    assert problems(place) == [f"{FUSED}/config.pbtxt: {problem}"]
    file.write_text(original.replace("ernie_pipeline", "python").replace('"SCORE"', '"SCORES"'), encoding="utf-8")
    findings = "\n".join(problems(place))
    assert f"{FUSED}/config.pbtxt: backend is 'python', not 'ernie_pipeline': publish topics again" in findings
    assert "output SCORE is missing" in findings
    file.write_text(original.replace('\\"task\\": \\"topics_fused', '\\"task\\": \\"topics', 1), encoding="utf-8")
    assert "parameter manifest is not 1/manifest.json as task topics_fused" in "\n".join(problems(place))
    file.write_text(original, encoding="utf-8")
    assert problems(place) == []
    (place.output / "topics_encoder_fp32" / "1" / "model.onnx").unlink()
    finding = f"{FUSED}: reads topics_encoder_fp32/1/model.onnx, which is missing: publish topics again"
    assert finding in problems(place)
    with pytest.raises(
        ManifestError, match=r"model\.onnx: no such file; topics_fused reads it from there: publish topics"
    ):
        step_of(place)
    shutil.rmtree(place.output / FUSED)
    assert f"{FUSED}: the model is missing: publish topics again" in problems(place)


def test_the_models_of_a_fused_task(published: Place) -> None:
    manifest = Manifest.load(published.output / "topics" / "1" / "manifest.json")
    assert publish.models_of(manifest) == [
        "topics_tokenizer",
        "topics_encoder_fp32",
        "topics_encoder_int8-ort",
        "topics_postprocess",
        FUSED,
        "topics_fp32",
        "topics_int8-ort",
        "topics",
    ]
