"""Hugging Face's encoders of BERT's kind as they are documented, in numpy and float64."""

from __future__ import annotations

import math

import numpy as np

from .tiny import HEADS, HIDDEN, LAYERS, Weights


def hugging_face_forward(
    weights: Weights,
    ids: np.ndarray,
    types_: np.ndarray,
    epsilon: float,
    task_id: bool = False,
    pad_id: int = 0,
    first_position: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Hidden states [B, L, H] and pooled [B, H] of weights of CONFIG's shape; padding is behind the tokens."""
    w = {name.removeprefix("ernie."): value.astype(np.float64) for name, value in weights.items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    gelu = np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][types_]
    x = x + w["embeddings.position_embeddings.weight"][first_position : first_position + ids.shape[1]]
    if task_id:
        x = x + w["embeddings.task_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    masked = np.where(ids != pad_id, 0.0, -1e30)[:, None, None, :]

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
