"""options.pooling = "mean" of the classifiers: against the encoder's states, in every engine, and misspelt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.framework import import_paddle
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.first_token import reads_first_token_only
from ernie_builders.modeling.model import PaddleEngine, build_model, weights_of
from ernie_builders.stages import export
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.errors import ManifestError
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Limits

from ..tiny import manifest_with

KINDS = ("sequence_classification", "pair_classification", "hierarchical_classification", "ranking")


@pytest.mark.parametrize("name", KINDS)
def test_the_mean_of_real_tokens_is_classified(base_model: Path, tmp_path: Path, name: str) -> None:
    paddle = import_paddle()
    manifest, kind = manifest_with(2, name, options={"pooling": "mean"}), get_builder_kind(name)
    model = build_model(kind, read_checkpoint(base_model), manifest, seed=3)
    model.eval()
    weights = weights_of(model)
    assert kind.without_pooler(manifest.options) and not reads_first_token_only(model)
    ids = np.zeros((2, 9), np.int64)
    ids[0, :4], ids[1] = [2, 17, 33, 3], np.arange(20, 29)
    tensors = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    logits = PaddleEngine(model, kind)(tensors)["logits"]
    for row, length, actual in zip(ids, (4, 9), logits, strict=True):
        with paddle.no_grad():
            states = model.ernie(paddle.to_tensor(row[None, :length]))[0].numpy()[0]
        expected = states.mean(0) @ weights["classifier.weight"] + weights["classifier.bias"]
        assert np.abs(actual - expected).max() <= 1e-5
    export.to_onnx(
        export.to_static(model, tmp_path / "paddle"), tmp_path / "m.onnx", get_kind(name).encoder_outputs(manifest)
    )
    assert np.abs(OrtEngine(tmp_path / "m.onnx")(tensors)["logits"] - logits).max() <= 1e-5


@pytest.mark.parametrize("name", KINDS)
def test_another_pooling_is_refused(name: str) -> None:
    limits = Limits(max_length=32, doc_stride=16, overflow="truncate")
    manifest = replace(manifest_with(2, name, options={"pooling": "max"}), limits=limits)
    with pytest.raises(ManifestError, match=r"task toy: options.pooling 'max' is neither pooler nor mean"):
        get_kind(name).check(manifest)
    get_kind(name).check(replace(manifest, options={"pooling": "pooler"}))
