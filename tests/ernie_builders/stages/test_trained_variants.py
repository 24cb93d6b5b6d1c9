"""Variants that train: narrower, shallower, and with 8-bit rounding; their graphs are physically smaller."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ernie_builders.compression.qat import insert_ranges, scale_and_zero
from ernie_builders.repository.compare import remarks
from ernie_runtime.repository import newest_version, task_manifest

from ...shared import made_once
from ..command_line import OneLine
from ..places import Place, copied
from ..tiny import CONFIG

VARIANTS = "fp32,w0.5,d1-v60,qat8-ort,w0.5-qat8-trt"


@pytest.fixture(scope="module")
def built(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The variants that train; copy it before changing it."""

    def build(root: Path) -> None:
        assert copied(finished, root).build("--variants", VARIANTS, "--max-drop", "30") == 0

    return replace(finished, root=made_once("trained", build, tmp_path_factory))


def graph(place: Place, variant: str) -> onnx.GraphProto:
    return onnx.load(str(newest_version(place.output / f"topics_encoder_{variant}") / "model.onnx")).graph


def shapes(exported: onnx.GraphProto) -> list[tuple[int, ...]]:
    return sorted(tuple(tensor.dims) for tensor in exported.initializer if len(tensor.dims) == 2)


def test_all_variants_passed(built: Place) -> None:
    manifest = task_manifest(built.output, "topics")
    assert [variant.name for variant in manifest.variants] == VARIANTS.split(",")
    fp32 = manifest.variants[0].evaluations[-1].metrics["accuracy"]
    for variant in manifest.variants[1:]:
        assert variant.evaluations[-1].metrics["accuracy"] >= fp32 - 30
        assert variant.gate["served_texts"] == 60


def test_matrices_are_smaller(built: Place) -> None:
    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    full, half = shapes(graph(built, "fp32")), shapes(graph(built, "w0.5"))
    assert full.count((hidden, inner)) == CONFIG["num_hidden_layers"]
    assert half.count((hidden, inner // 2)) >= CONFIG["num_hidden_layers"]
    assert half.count((hidden, hidden // 2)) >= 3 * CONFIG["num_hidden_layers"]
    assert (hidden, inner) not in half


def test_depth_and_vocabulary(built: Place) -> None:
    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    small = shapes(graph(built, "d1-v60"))
    assert small.count((hidden, inner)) == 1
    assert (60, hidden) in small
    figures = task_manifest(built.output, "topics").variant("d1-v60").made
    assert figures["vocabulary"] == 60
    assert figures["unknown_percent"][1] >= figures["unknown_percent"][0]


def test_products_are_in_8_bits(built: Place) -> None:
    for variant, unsigned in (("qat8-ort", True), ("w0.5-qat8-trt", False)):
        nodes = [node.op_type for node in graph(built, variant).node]
        assert nodes.count("QuantizeLinear") >= 4 * CONFIG["num_hidden_layers"]
        int8_matrices = [
            t for t in graph(built, variant).initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 2
        ]
        points = {t.name: t.data_type for t in graph(built, variant).initializer if t.name.endswith("_input_zero")}
        assert set(points.values()) == {onnx.TensorProto.UINT8 if unsigned else onnx.TensorProto.INT8}
        assert len(int8_matrices) == 6 * CONFIG["num_hidden_layers"]


def test_the_graph_rounds_as_training_did(finished: Place) -> None:
    """Ranges wide enough change little; the inserted rounding is that of numpy."""
    source = finished.stage("export") / "model.onnx"
    model = onnx.load(str(source))
    name = next(n.name for n in model.graph.node if n.op_type == "MatMul")
    weight_name = next(n.input[1] for n in model.graph.node if n.name == name)
    weight = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == weight_name)
    assert insert_ranges(model, {name: (-4.0, 4.0)}) == 1
    onnx.checker.check_model(model)
    initializers = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    packed, scale = initializers[f"{name}_weight_8"], initializers[f"{name}_weight_scale"]
    assert packed.dtype == np.int8
    np.testing.assert_allclose(packed * scale, weight, atol=float(scale.max()) / 2 + 1e-7)
    assert initializers[f"{name}_input_zero"] == 128
    assert weight_name not in initializers


@pytest.mark.parametrize(("bounds", "zero"), [((0.0, 1.0), 0), ((-1.0, 0.0), 255), ((-1.0, 1.0), 128), ((0.0, 0.0), 0)])
def test_scale_and_zero(bounds: tuple[float, float], zero: int) -> None:
    step, zero_point = scale_and_zero(bounds)
    assert zero_point == zero
    assert step == pytest.approx(max(bounds[1] - bounds[0], 1e-8) / 255)


def test_a_width_that_is_no_whole_number(finished: Place, tmp_path: Path, one_line: OneLine) -> None:
    place = copied(finished, tmp_path)
    one_line(place.build("--variants", "fp32,w0.7"), "width 0.7 of 2 attention heads is no whole number", "w0.5")


def test_layers_that_a_shallow_student_is_matched_with() -> None:
    """The embeddings with the embeddings, each layer with the teacher's layer that it was copied from."""
    from ernie_builders.training.distiller import matched

    assert matched(["embeddings", 1, 2, 3, 4], 3) == ["embeddings", 2, 4]
    assert matched(["embeddings", 1, 2, 3, 4], 4) == ["embeddings", 1, 3, 4]
    assert matched(["embeddings", 1, 2], 3) == ["embeddings", 1, 2]


def test_without_training_text(
    finished: Place, tmp_path: Path, one_line: OneLine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words cannot be counted, ranges come from the examples only, and unmeasured variants are not chosen."""
    place = copied(finished, tmp_path)
    shutil.copytree(finished.data_dir, tmp_path / "data")
    for name in ("train", "dev"):
        (tmp_path / "data" / "topics" / f"{name}.json").unlink()
    best = next((place.cache / "topics" / "fine-tune").glob("*/best"))
    tasks = tmp_path / "tasks.toml"
    text = finished.tasks_file.read_text(encoding="utf-8")
    tasks.write_text(text.replace('train = "train.json"\ndev = "dev.json"\n', ""), encoding="utf-8")
    unlabelled = replace(place, data_dir=tmp_path / "data", tasks_file=tasks, root=tmp_path / "more")
    ready = ("--checkpoint", f"topics={best}")
    one_line(unlabelled.build(*ready, "--variants", "fp32,v60"), "variant v60: no training text; give --data-dir")
    assert unlabelled.build(*ready, "--variants", "fp32,int8-ort", "--pick", "smallest") == 0
    assert "ranges from 2 windows of its examples alone" in capsys.readouterr().out
    manifest = task_manifest(unlabelled.output, "topics")
    assert [variant.name for variant in manifest.variants] == ["fp32", "int8-ort"]
    assert manifest.recommended == "fp32"
    assert any("measured on no labelled text" in line for line in remarks(manifest))
