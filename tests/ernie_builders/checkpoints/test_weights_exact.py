"""A Hugging Face model in Paddle computes what its documentation says, to the last digits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.framework import import_paddle
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import build_model

from ..tiny import CONFIG, ENTRIES, HEADS, HIDDEN, LAYERS, Weights, manifest_with, random_hugging_face
from ..torch_files import write_torch

LABELS = 3


def hugging_face_forward(
    weights: Weights, ids: np.ndarray, types_: np.ndarray, epsilon: float, task_id: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Hugging Face's ErnieModel as documented, in float64: hidden states [B, L, H], pooled [B, H]."""
    w = {name.removeprefix("ernie."): value.astype(np.float64) for name, value in weights.items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    gelu = np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][types_]
    x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    if task_id:
        x = x + w["embeddings.task_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    masked = np.where(ids != 0, 0.0, -1e30)[:, None, None, :]

    def heads(y: np.ndarray) -> np.ndarray:
        return y.reshape(*y.shape[:2], HEADS, HIDDEN // HEADS).transpose(0, 2, 1, 3)

    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        q, k, v = (heads(linear(x, f"{at}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(HIDDEN // HEADS) + masked
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        context = (scores / scores.sum(-1, keepdims=True)) @ v
        context = context.transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(linear(context, f"{at}.attention.output.dense") + x, f"{at}.attention.output.LayerNorm")
        inner = gelu(linear(x, f"{at}.intermediate.dense"))
        x = norm(linear(inner, f"{at}.output.dense") + x, f"{at}.output.LayerNorm")
    return x, np.tanh(linear(x[:, 0], "pooler.dense"))


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
