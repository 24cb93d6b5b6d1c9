"""A tiny ERNIE: its configuration, its weights at random under several names, and manifests for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ernie_runtime.manifest import Label, Limits, Manifest, Variant

Weights = dict[str, np.ndarray]
ENTRIES = 400
HIDDEN, LAYERS, HEADS, INNER = 32, 2, 2, 64
CONFIG: dict[str, Any] = {
    "vocab_size": ENTRIES,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "hidden_act": "gelu",
    "max_position_embeddings": 64,
    "type_vocab_size": 4,
    "task_type_vocab_size": 3,
    "use_task_id": True,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "model_type": "ernie",
}


def manifest_with(labels: int, kind: str = "sequence_classification", **fields: Any) -> Manifest:
    """A manifest with so many labels, enough to build a model."""
    names = tuple(Label(f"l{i}", f"l{i}") for i in range(labels))
    return Manifest(
        **{
            "task": "toy",
            "kind": kind,
            "title": "",
            "version": 0,
            "labels": names,
            "limits": Limits(max_length=32, doc_stride=16),
            "vocabulary_size": ENTRIES,
            "vocabulary_sha256": "",
            "variants": (
                Variant(name="fp32", engine="onnxruntime", file="model.onnx", bytes=0, sha256="", max_abs_error=0.0),
            ),
            "recommended": "fp32",
            "main_metric": "accuracy",
            **fields,
        }
    )


def embedding_manifest(kind: str = "similarity", dimension: int = HIDDEN, **options: Any) -> Manifest:
    """A manifest of a similarity or embedding task."""
    return manifest_with(0, kind, options={"dimension": dimension, **options}, main_metric="spearman")


def random_hugging_face(seed: int = 0, std: float = 0.3, config: dict[str, Any] = CONFIG) -> Weights:
    """Weights of Hugging Face's ErnieModel under its names; nothing is 0 or 1 that could hide a mistake."""
    generator = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def draw(*shape: int, around: float = 0.0) -> np.ndarray:
        return (around + std * generator.standard_normal(shape)).astype(np.float32)

    tables = {
        "word": config["vocab_size"],
        "position": config["max_position_embeddings"],
        "token_type": config["type_vocab_size"],
        **({"task_type": config["task_type_vocab_size"]} if config["use_task_id"] else {}),
    }
    weights = {f"embeddings.{name}_embeddings.weight": draw(rows, hidden) for name, rows in tables.items()}

    def linear(name: str, inputs: int, outputs: int) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = draw(outputs, inputs), draw(outputs)

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = draw(hidden, around=1.0), draw(hidden)

    norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", hidden, hidden)
        linear(f"{at}.attention.output.dense", hidden, hidden)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", hidden, inner)
        linear(f"{at}.output.dense", inner, hidden)
        norm(f"{at}.output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    return weights


def write_hugging_face(folder: Path, weights: Weights, config: dict[str, Any], vocabulary: Path) -> Path:
    """A Hugging Face directory with safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "vocab.txt").write_bytes(vocabulary.read_bytes())
    return folder


def nameless(source: Path, target: Path, names: dict[str, str] | None = None) -> Path:
    """A copy of a checkpoint that does not name its labels, or names them so."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    config.pop("id2label", None)
    if names:
        config["id2label"] = names
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return target


def assert_same_weights(actual: Weights, expected: Weights) -> None:
    """To the last bit."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def largest_difference(left: Weights, right: Weights) -> float:
    """The largest absolute difference of any weight."""
    assert left.keys() == right.keys()
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)
