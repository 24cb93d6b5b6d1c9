"""Pooling: the same vectors computed by hand, in Paddle and in the exported graph, whatever the padding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import DataConfig, TaskConfig
from ernie_builders.errors import ConfigError
from ernie_builders.framework import import_paddle
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.compatibility import check_fit
from ernie_builders.modeling.model import PaddleEngine, build_model
from ernie_builders.stages import export
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.engines.ov import OpenVinoEngine
from ernie_runtime.engines.paddle_inference import PaddleInferenceEngine
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Limits

from ..tiny import HIDDEN, embedding_manifest

KIND = get_builder_kind("similarity")
POOLINGS = ("cls", "mean", "first_last_mean", "pooler")


def test_a_pooler_must_come_with_the_encoder(base_model: Path) -> None:
    """A base model without one is refused before anything is trained: random weights would make noise of every text."""
    task = TaskConfig(
        name="alike",
        kind="similarity",
        title="",
        labels=(),
        limits=Limits(max_length=32, doc_stride=16),
        data=DataConfig(format="pair_scores", folder="alike"),
        options={"dimension": HIDDEN, "pooling": "pooler"},
    )
    source = read_checkpoint(base_model)
    check_fit(task, source, ready=False)
    bare = replace(source, weights={name: value for name, value in source.weights.items() if "pooler" not in name})
    with pytest.raises(ConfigError, match=r"has no pooler .*which tasks.alike.options.pooling names"):
        check_fit(task, bare, ready=True)


def random_ids(generator: np.random.Generator, lengths: list[int], width: int) -> np.ndarray:
    ids = np.zeros((len(lengths), width), np.int64)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = generator.integers(5, 400, length)
    return ids


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling(base_model: Path, pooling: str) -> None:
    """Against the hidden states of each row by itself: padding never counts."""
    paddle = import_paddle()
    weights = read_checkpoint(base_model).weights
    model = build_model(KIND, read_checkpoint(base_model), embedding_manifest(pooling=pooling), seed=3)
    model.eval()
    lengths = [3, 17, 9]
    ids = random_ids(np.random.default_rng(0), lengths, 20)
    pooled = PaddleEngine(model, KIND)({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})["embedding"]
    assert pooled.shape == (3, HIDDEN)
    for row, length, vector in zip(ids, lengths, pooled, strict=True):
        with paddle.no_grad():
            last, _, states = model.ernie(paddle.to_tensor(row[None, :length]), output_hidden_states=True)
        assert len(states) == 3  # the embeddings and two layers
        final, first = last.numpy()[0], states[1].numpy()[0]
        expected = {
            "cls": final[0],
            "mean": final.mean(0),
            "first_last_mean": (final.mean(0) + first.mean(0)) / 2,
            "pooler": np.tanh(final[0] @ weights["ernie.pooler.dense.weight"] + weights["ernie.pooler.dense.bias"]),
        }
        assert np.abs(vector - expected[pooling]).max() <= 1e-5
        others = [expected[name] for name in POOLINGS if name != pooling]
        assert all(np.abs(vector - other).max() > 1e-3 for other in others)


@pytest.mark.parametrize(
    ("pooling", "dimension"), [("cls", HIDDEN), ("mean", HIDDEN), ("first_last_mean", 20), ("pooler", HIDDEN)]
)
def test_every_engine_answers_as_paddle(base_model: Path, tmp_path: Path, pooling: str, dimension: int) -> None:
    manifest = embedding_manifest(dimension=dimension, pooling=pooling)
    model = build_model(KIND, read_checkpoint(base_model), manifest, seed=3)
    model.eval()
    assert (model.projection is None) is (dimension == HIDDEN)
    outputs = get_kind("similarity").encoder_outputs(manifest)
    static = export.to_static(model, tmp_path / "paddle")
    export.to_onnx(static, tmp_path / "model.onnx", outputs)
    engine, generator = OrtEngine(tmp_path / "model.onnx"), np.random.default_rng(1)
    others = [OpenVinoEngine(tmp_path / "model.onnx"), PaddleInferenceEngine(static, ["embedding"])]
    for lengths, width in (([1], 1), ([64], 64), ([4, 30, 2, 11], 32), ([7, 7], 7)):
        ids = random_ids(generator, lengths, width)
        tensors = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
        ours, theirs = engine(tensors)["embedding"], PaddleEngine(model, KIND)(tensors)["embedding"]
        assert ours.shape == (len(lengths), dimension)
        assert np.abs(ours - theirs).max() <= 1e-5
        assert all(np.abs(other(tensors)["embedding"] - theirs).max() <= 1e-5 for other in others)
        for row, length, vector in zip(ids, lengths, ours, strict=True):
            single = engine({"input_ids": row[None, :length], "token_type_ids": np.zeros((1, length), np.int64)})
            assert np.abs(single["embedding"][0] - vector).max() <= 1e-5
