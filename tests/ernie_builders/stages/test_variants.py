"""Variants from the command line to the repository: built, gated through the real server, measured, published."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.compression import onnx_int8
from ernie_builders.compression.measure import may_be_chosen
from ernie_builders.lint.repository import lint
from ernie_builders.presets.overrides import CANDIDATES, TRAINED
from ernie_builders.repository import compare
from ernie_builders.repository.model_config import TENSORRT, from_text
from ernie_builders.stages.variants import measure
from ernie_runtime.manifest import Manifest
from ernie_runtime.repository import newest_version
from ernie_runtime.steps.pipeline import Pipeline

from ...shared import made_once
from ..command_line import OneLine
from ..places import Place, copied

VARIANTS = ("fp32", "int8", "int8-ort", "dynamic8-e8", "fp32-ov-e8", "fp32-paddle", "fp16", "int8-trt")


@pytest.fixture(scope="module")
def built(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """All variants of `topics`, the smallest behind its plain name; copy it before changing it."""

    def build(root: Path) -> None:
        place = copied(finished, root)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(measure, "ROUNDS", 2)  # nobody looks at how fast they are
            assert place.build("--variants", ",".join(VARIANTS), "--max-drop", "5", "--pick", "smallest") == 0

    return replace(finished, root=made_once("variants", build, tmp_path_factory))


def manifest_in(place: Place) -> Manifest:
    return Manifest.load(newest_version(place.output / "topics") / "manifest.json")


def test_all_are_published(built: Place) -> None:
    manifest = manifest_in(built)
    assert [variant.name for variant in manifest.variants] == list(VARIANTS)
    assert not lint(built.output)[0]
    for variant in manifest.variants:
        (answer,) = Pipeline.load(built.output, "topics", variant.name).predict([("的一不是",)])
        assert not isinstance(answer, str)
        assert answer.result["label"] in ("north", "south", "west")


def test_the_manifest_s_figures_of_each_variant(built: Place) -> None:
    manifest = manifest_in(built)
    for variant in manifest.variants:
        assert variant.evaluations[-1].rows == 60
        assert variant.speed["batch_1"]["p50_ms"] > 0
        assert variant.speed["memory"] > 1e6
        assert 0 <= variant.speed["single_memory"] <= variant.speed["model_memory"]
        assert variant.speed["machine"]["threads"] >= 1
    first, *others = manifest.variants
    assert first.speed["batch_1"]["ratio"] == first.speed["best"]["ratio"] == 1
    for variant in others:
        assert variant.gate["passed"] is True
        assert variant.gate["served_texts"] == 60


def test_those_for_a_gpu_stand_side_by_side(built: Place) -> None:
    """Each with a TensorRT configuration of its own precision; the other variants have none."""
    precisions = {}
    for variant in VARIANTS:
        file = built.output / f"topics_encoder_{variant}" / TENSORRT
        if file.is_file():
            config = from_text(file.read_text(encoding="utf-8"))
            (provider,) = config.optimization.execution_accelerators.gpu_execution_accelerator
            precisions[variant] = provider.parameters["precision_mode"]
    assert precisions == {"fp32": "FP32", "fp16": "FP16", "int8-trt": "INT8"}
    assert manifest_in(built).variant("int8-trt").made["symmetric"] is True


def test_the_smallest_is_recommended(built: Place) -> None:
    manifest = manifest_in(built)
    choosable = [variant for variant in manifest.variants if may_be_chosen(variant)]
    assert manifest.recommended == min(choosable, key=lambda variant: variant.bytes).name
    config = (built.output / "topics" / "config.pbtxt").read_text(encoding="utf-8")
    assert f'"topics_encoder_{manifest.recommended}"' in config


def test_until_evaluate_evaluates_the_variants(
    finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(finished, tmp_path)
    options = ("--variants", "fp32,dynamic8", "--until", "evaluate")
    assert place.build("--dry-run", *options) == 0
    planned = capsys.readouterr().out
    assert "convert dynamic8" in planned and "evaluate dynamic8" in planned
    assert place.build(*options) == 0
    assert "[topics dynamic8] evaluate: dev accuracy " in capsys.readouterr().out
    assert not place.output.exists()


def write_negated_model(source: Path, target: Path, *_: Any) -> None:
    """A broken 8-bit model: its logits have the opposite sign."""
    import onnx
    from onnx import helper

    model = onnx.load(str(source))
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["positive" if name == output.name else name for name in node.output]
    model.graph.node.append(helper.make_node("Neg", ["positive"], [output.name]))
    onnx.save(model, str(target))


@pytest.fixture
def broken(finished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place where the static quantiser is broken."""
    shutil.copytree(finished.cache, tmp_path / "cache")
    monkeypatch.setattr(onnx_int8, "quantize_static", write_negated_model)
    return replace(finished, root=tmp_path)


def test_a_broken_variant_is_refused(broken: Place, one_line: OneLine) -> None:
    line = one_line(
        broken.build("--variants", "fp32,int8-ort"), "topics int8-ort: dev accuracy is", "allowed are 0.5", "--force"
    )
    assert "fp32 has" in line
    assert [variant.name for variant in manifest_in(broken).variants] == ["fp32"]
    assert not (broken.output / "topics_int8-ort").exists()
    one_line(broken.build("--variants", "fp32,int8-ort"), "topics int8-ort")  # nor is it let through the second time


def test_force_publishes_a_broken_variant_with_its_reason(broken: Place) -> None:
    assert broken.build("--variants", "fp32,int8-ort", "--force") == 0
    _, variant = manifest_in(broken).variants
    assert variant.gate["passed"] is False
    assert "points lost" in variant.gate["reason"]


@pytest.mark.slow
def test_pick_builds_its_own_candidates(broken: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody named them, so a refused one does not fail the build; the manifest has its figures and the reason."""
    assert broken.build("--pick", "smallest") == 0
    manifest = manifest_in(broken)
    assert {variant.name for variant in (*manifest.variants, *manifest.refused)} == {*CANDIDATES, *TRAINED}
    choosable = [variant for variant in manifest.variants if may_be_chosen(variant)]
    assert manifest.recommended == min(choosable, key=lambda variant: variant.bytes).name
    refused = manifest.refused[0]
    assert refused.name == "int8-e8-ort"
    assert refused.speed["best"]["texts_per_second"] > 0
    assert "points lost" in refused.gate["reason"]
    assert "not taken: int8-e8-ort: dev accuracy is" in capsys.readouterr().out
    assert any(line.startswith("int8-e8-ort was refused: dev accuracy is") for line in compare.remarks(manifest))
    assert ["int8-e8-ort !"] in [row[:1] for row in compare.table(manifest)]


def test_a_build_with_fewer_variants_removes_the_others(built: Place, tmp_path: Path) -> None:
    shutil.copytree(built.root, tmp_path / "copy")
    place = replace(built, root=tmp_path / "copy")
    assert place.build("--variants", "fp32,int8", "--max-drop", "5") == 0
    names = {model.name for model in place.output.iterdir()}
    assert names == {
        "topics",
        "topics_tokenizer",
        "topics_postprocess",
        "topics_fp32",
        "topics_encoder_fp32",
        "topics_int8",
        "topics_encoder_int8",
    }
    assert not lint(place.output)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variants", "fp32,int7"), "--variants: variant 'int7'"),
        (("--variants", "int8"), "fp32 must come first"),
        (("--max-drop", "-1"), "compress.max_drop is -1"),
        (("--variants", "fp32,int8", "--pick", "itn8"), "--pick itn8: task topics builds fp32, int8; or fastest"),
    ],
)
def test_faulty_options(place: Place, one_line: OneLine, arguments: tuple[str, ...], message: str) -> None:
    one_line(place.build(*arguments), message)


def test_word_tables_in_8_bits(finished: Place, tmp_path: Path) -> None:
    import onnx
    import onnxruntime as ort

    source = finished.stage("export") / "model.onnx"
    model = onnx.load(str(source))
    saved = onnx_int8.quantize_tables(model)
    onnx.save(model, str(tmp_path / "small.onnx"))
    assert source.stat().st_size - (tmp_path / "small.onnx").stat().st_size > 0.9 * saved > 0
    ids = np.arange(1, 25, dtype=np.int64).reshape(2, 12)
    feeds = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    before, after = (
        ort.InferenceSession(str(path)).run(["logits"], feeds)[0] for path in (source, tmp_path / "small.onnx")
    )
    assert np.abs(before - after).max() < 0.1 * np.abs(before).max()
    assert json.dumps([int(x) for x in before.argmax(-1)]) == json.dumps([int(x) for x in after.argmax(-1)])
