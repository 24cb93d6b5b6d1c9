"""A Hugging Face model in Paddle computes what its documentation says, to the last digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.framework import import_paddle
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import build_model

from ..numpy_encoder import hugging_face_forward
from ..tiny import CONFIG, ENTRIES, HIDDEN, manifest_with, random_hugging_face
from ..torch_files import write_torch

LABELS = 3


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("task_id", [True, False])
@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
def test_hugging_face_is_exact(
    unweighted: Path, form: str, task_id: bool, epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**CONFIG, "layer_norm_eps": epsilon, "use_task_id": task_id}
    (unweighted / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {f"ernie.{name}": value for name, value in random_hugging_face(config=config).items()}
    for name in weights:
        if "embeddings.weight" in name:
            weights[name] *= np.float32(0.01)  # so small that epsilon counts
    generator = np.random.default_rng(5)
    weights["classifier.weight"] = generator.standard_normal((LABELS, HIDDEN)).astype(np.float32)
    weights["classifier.bias"] = generator.standard_normal(LABELS).astype(np.float32)
    if form == "bin":
        write_torch(unweighted / "pytorch_model.bin", weights, monkeypatch)
    else:
        save_file(
            {**weights, "ernie.embeddings.position_ids": np.arange(64)[None]},
            str(unweighted / "model.safetensors"),
        )
    ids = generator.integers(5, ENTRIES, (3, 20))
    ids[1, 7:] = ids[2, 13:] = 0
    types_ = generator.integers(0, 4, ids.shape)

    paddle = import_paddle("cpu")
    model = build_model(get_builder_kind("sequence_classification"), read_checkpoint(unweighted), manifest_with(LABELS))
    model.eval()
    with paddle.no_grad():
        tensors = {"input_ids": paddle.to_tensor(ids), "token_type_ids": paddle.to_tensor(types_)}
        hidden, pooled = (tensor.numpy() for tensor in model.ernie(**tensors))
        logits = model(**tensors).numpy()

    expected, expected_pooled = hugging_face_forward(weights, ids, types_, epsilon, task_id)
    expected_logits = expected_pooled @ weights["classifier.weight"].T + weights["classifier.bias"]
    real = ids != 0
    worst = max(
        np.abs(hidden - expected)[real].max(),
        np.abs(pooled - expected_pooled).max(),
        np.abs(logits - expected_logits).max(),
    )
    assert worst <= 1e-5
    wrong_epsilon = hugging_face_forward(weights, ids, types_, 1e-5 if epsilon < 1e-6 else 1e-12, task_id)[0]
    assert np.abs(wrong_epsilon - expected)[real].max() > 1e-3, "a wrong epsilon would go unnoticed"
