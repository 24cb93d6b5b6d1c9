"""The last layer computed for the first token only: the same outputs, and only where no other token is read."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import PaddleEngine, build_model
from ernie_builders.stages.export import to_onnx, to_static
from ernie_runtime.kinds import TensorSpec

from ..tiny import CONFIG, manifest_with, random_hugging_face, write_hugging_face


@pytest.fixture
def checkpoint(tmp_path: Path, vocabulary: Path) -> Checkpoint:
    return read_checkpoint(write_hugging_face(tmp_path / "model", random_hugging_face(), CONFIG, vocabulary))


def model_of(checkpoint: Checkpoint, kind: str, options: dict[str, Any]) -> Any:
    manifest = replace(manifest_with(3), kind=kind, options=options)
    model = build_model(get_builder_kind(kind), checkpoint, manifest)
    model.eval()
    return model


@pytest.mark.parametrize(
    ("kind", "options", "first_only"),
    [
        ("sequence_classification", {}, True),
        ("pair_classification", {}, True),
        ("hierarchical_classification", {}, True),
        ("embedding", {"pooling": "cls", "dimension": 32}, True),
        ("embedding", {"pooling": "mean", "dimension": 32}, False),
        ("embedding", {"pooling": "first_last_mean", "dimension": 32}, False),
        ("token_classification", {}, False),
        ("question_answering", {}, False),
    ],
)
def test_which_heads_read_the_first_token_only(
    checkpoint: Checkpoint, kind: str, options: dict[str, Any], first_only: bool
) -> None:
    from ernie_builders.modeling.first_token import FirstTokenLayer, reads_first_token_only, trim

    model = model_of(checkpoint, kind, options)
    assert reads_first_token_only(model) == first_only
    last = trim(copy.deepcopy(model)).ernie.encoder.layers[-1]
    assert isinstance(last, FirstTokenLayer) == first_only


def test_the_graph_answers_as_the_whole_model_with_less_work(checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = model_of(checkpoint, "sequence_classification", {})
    to_onnx(to_static(model, tmp_path / "paddle"), tmp_path / "m.onnx", [TensorSpec("logits", "FP32", (3,))])
    ids = np.arange(1, 25, dtype=np.int64).reshape(2, 12)
    ids[1, 5:] = 0
    tensors = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    expected = PaddleEngine(model, get_builder_kind("sequence_classification"))(tensors)["logits"]

    graph = onnx.load(str(tmp_path / "m.onnx"))
    inner = [n.output[0] for n in graph.graph.node if n.op_type == "Erf"]  # inside each layer's feed-forward part
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    logits, *states = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, tensors)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert [state.shape[1] for state in states] == [12] * (CONFIG["num_hidden_layers"] - 1) + [1]
