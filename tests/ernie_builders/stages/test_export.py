"""The exported graph: the contract's names, any batch and length, and Paddle's answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.errors import ExportError
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import PaddleEngine, build_model
from ernie_builders.stages import export
from ernie_runtime.engines.ort import OrtEngine

from ..command_line import OneLine
from ..places import Place
from ..tiny import manifest_with, nameless


def dimensions(value: Any) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.fixture(scope="module")
def tagger(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The task `names`, exported from the fine-tuned checkpoint of `topics`: both have three labels."""
    place = replace(finished, root=tmp_path_factory.mktemp("tagger"))
    best = nameless(finished.stage("fine-tune") / "best", place.root / "nameless")
    assert place.build("--checkpoint", f"names={best}", "--until", "export", task="names") == 0
    return place


@pytest.mark.parametrize("task", ["topics", "names"])
def test_names_and_dimensions(finished: Place, tagger: Place, task: str) -> None:
    place = finished if task == "topics" else tagger
    graph = onnx.load(str(place.stage("export", task) / "model.onnx")).graph
    assert {value.name: dimensions(value) for value in graph.input} == {
        "input_ids": ["batch", "length"],
        "token_type_ids": ["batch", "length"],
    }
    expected = ["batch", 3] if task == "topics" else ["batch", "length", 3]
    assert {value.name: dimensions(value) for value in graph.output} == {"logits": expected}
    assert {value.type.tensor_type.elem_type for value in graph.input} == {onnx.TensorProto.INT64}


@pytest.mark.parametrize("task", ["topics", "names"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 17), (2, 64)])
def test_the_graph_answers_as_paddle(finished: Place, tagger: Place, task: str, shape: tuple[int, int]) -> None:
    import paddle

    place = finished if task == "topics" else tagger
    kind = get_builder_kind("sequence_classification" if task == "topics" else "token_classification")
    model = build_model(kind, read_checkpoint(place.stage("fine-tune", task) / "best"), manifest_with(3))
    model.eval()
    generator = np.random.default_rng(0)
    ids = generator.integers(5, 400, shape)
    if shape[0] > 1:
        ids[1, shape[1] // 2 :] = 0
    tensors = {"input_ids": ids, "token_type_ids": generator.integers(0, 2, shape)}
    ours = OrtEngine(place.stage("export", task) / "model.onnx")(tensors)["logits"]
    theirs = PaddleEngine(model, kind)(tensors)["logits"]
    real = ids != 0 if task == "names" else np.ones(shape[0], bool)
    assert np.abs(ours - theirs)[real].max() <= 1e-5
    assert paddle.get_device() == "cpu"


def build_with_wrong_export(
    place: Place, monkeypatch: pytest.MonkeyPatch, change: Callable[[np.ndarray], np.ndarray]
) -> int:
    """Build with an exporter that gets the first layer's bias wrong."""
    to_onnx = export.to_onnx

    def wrong(graph: Path, target: Path, outputs: Any) -> None:
        to_onnx(graph, target, outputs)
        model = onnx.load(str(target))
        bias = next(t for t in model.graph.initializer if list(t.dims) == [64])
        bias.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(bias)), bias.name))
        onnx.save(model, str(target))

    monkeypatch.setattr(export, "to_onnx", wrong)
    return place.build()


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda bias: bias + 0.5, "by 0."), (lambda bias: bias * np.nan, "by nan")],
    ids=["off", "NaN"],
)
def test_a_spoiled_graph_is_refused(
    finished: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_line: OneLine,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    shutil.copytree(finished.cache, tmp_path / "cache")
    place = replace(finished, root=tmp_path)
    shutil.rmtree(place.stage("export"))
    code = build_with_wrong_export(place, monkeypatch, change)
    one_line(
        code,
        f"task topics: the exported graph differs from Paddle {message}",
        "(allowed 0.001); nothing was published",
    )
    assert not place.output.exists()
    assert not list((place.cache / "topics" / "export").glob("*/done.json"))
    monkeypatch.undo()
    assert place.build() == 0
    figures = place.figures("export")
    assert figures["max_abs_error"] <= 1e-5
    assert figures["texts"] == 60


def test_a_graph_of_other_outputs_is_refused(finished: Place, tmp_path: Path) -> None:
    from ernie_builders.config.tasks import load_tasks
    from ernie_builders.stages.draft import draft_manifest
    from ernie_runtime.kinds import get_kind
    from ernie_runtime.text.tokenization import ErnieTokenizer

    task = load_tasks(finished.tasks_file)["topics"]
    tokenizer = ErnieTokenizer.from_file(finished.stage("export") / "tokenizer.json")
    (spec,) = get_kind(task.kind).encoder_outputs(draft_manifest(task, tokenizer))
    graph = finished.stage("export") / "paddle" / "model.json"
    with pytest.raises(ExportError, match="expected 2 inputs and 2 outputs, the graph has 2 and 1"):
        export.to_onnx(graph, tmp_path / "m.onnx", [spec, replace(spec, name="other")])
    (tmp_path / "bad.json").write_text('{"cut": ')
    with pytest.raises(ExportError, match=r"bad\.json: paddle2onnx cannot convert it"):
        export.to_onnx(tmp_path / "bad.json", tmp_path / "m.onnx", [spec])
