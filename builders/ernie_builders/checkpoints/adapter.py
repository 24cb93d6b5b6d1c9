"""What LoRA changed in an encoder, as a checkpoint of its own: two files with PEFT's names.

adapter_model.safetensors.xz: for each linear layer `NAME.lora_A` [in, r] and `NAME.lora_B` [r, out] in 8 bits
(quantized.py), so that its weight [in, out] is the encoder's plus A B; and whatever was trained whole (head, pooler,
normalizations).
adapter_config.json: PEFT's fields, and the checksum of the encoder's weights.

The matrices come from the weights themselves: the difference of a layer has the rank that it was trained with, so its
singular value decomposition gives A and B back, whether training was one LoRA or several, one on the other.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ernie_runtime.json_types import JsonObject

from ..errors import CheckpointError
from ..filesystem import write_json
from .quantized import quantize
from .weight_formats import Weights, read_weights

CONFIG, ARRAYS = "adapter_config.json", "adapter_model.safetensors.xz"  # xz takes an eighth less
A, B = ".lora_A", ".lora_B"


@dataclass(frozen=True, kw_only=True)
class BaseEncoder:
    """The encoder that an adapter belongs to."""

    name: str  # of an encoder that ships, as --base-model takes it
    sha256: str  # `fingerprint` of its weights
    vocabulary: str  # `fingerprint` of its tokenizer


def adapter_of(weights: Mapping[str, np.ndarray], base: Mapping[str, np.ndarray]) -> Weights:
    """The arrays of an adapter.

    CheckpointError where a layer has changed in its full rank, or a table of embeddings has changed: the weights were
    not trained with LoRA.
    """
    stored: Weights = {}
    factors: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, value in weights.items():
        start = base.get(name)
        if start is None or start.shape != value.shape:
            stored[name] = value.astype(np.float16)
        elif not (value != start).any():
            continue
        elif name.startswith("ernie.encoder.layers.") and value.ndim == 2:
            factors[name.removesuffix(".weight")] = _factors(name, value, start)
        elif "embeddings" in name:
            raise CheckpointError(f"{name} has changed, which an adapter does not hold: train with --lora")
        else:
            stored[name] = value.astype(np.float16)
    width = max((a.shape[1] for a, _ in factors.values()), default=0)
    for layer, (a, b) in factors.items():
        missing = width - a.shape[1]
        stored[layer + A] = np.pad(a, ((0, 0), (0, missing))).astype(np.float16)
        stored[layer + B] = np.pad(b, ((0, missing), (0, 0))).astype(np.float16)
    return stored


def _factors(name: str, value: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A [in, r] and B [r, out] of a layer's difference, with the singular values shared between them."""
    left, values, right = np.linalg.svd(value.astype(np.float64) - start, full_matrices=False)
    # What float32 rounds when A B is added to a weight has smaller singular values than this.
    noise = 2.0**-23 * np.abs(value).max() * sum(np.sqrt(value.shape))
    kept = int((values > noise).sum())
    if kept * sum(value.shape) >= value.size:
        raise CheckpointError(
            f"{name} has changed in rank {kept} of {min(value.shape)}, so an adapter would not be smaller: "
            "train with --lora"
        )
    root = np.sqrt(values[:kept])
    return left[:, :kept] * root, root[:, None] * right[:kept]


def write_adapter_files(folder: Path, stored: Weights, base: BaseEncoder) -> None:
    """Write ARRAYS and CONFIG."""
    from safetensors.numpy import save

    layers = sorted(name.removesuffix(A) for name in stored if name.endswith(A))
    whole = sorted(name for name in stored if not name.endswith((A, B)))
    rank = stored[layers[0] + A].shape[1] if layers else 0
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "bias": "none",
        "target_modules": sorted({layer.rpartition(".")[2] for layer in layers}),
        "modules_to_save": whole,
        "base_model_name_or_path": base.name,
        "base_model_sha256": base.sha256,
        "base_vocabulary_sha256": base.vocabulary,
    }
    arrays = {name: np.ascontiguousarray(value) for name, value in quantize(stored, 8).items()}
    (folder / ARRAYS).write_bytes(lzma.compress(save(arrays, {"format": "pt"}), preset=9 | lzma.PRESET_EXTREME))
    write_json(folder / CONFIG, config)


def read_base(folder: Path) -> BaseEncoder:
    """The encoder that the adapter in a folder belongs to; CheckpointError."""
    path = folder / CONFIG
    try:
        raw: JsonObject = json.loads(path.read_text(encoding="utf-8"))
        names = ("base_model_name_or_path", "base_model_sha256", "base_vocabulary_sha256")
        name, sha256, vocabulary = (raw[name] for name in names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not an adapter of this project ({type(error).__name__}: {error})") from None
    return BaseEncoder(name=str(name), sha256=str(sha256), vocabulary=str(vocabulary))


def adapted(folder: Path, base: Weights) -> Weights:
    """The weights of `base`, float32, as the adapter in a folder changes them. CheckpointError names the file.

    `base` is what `read_base` names, which the caller has checked.
    """
    path = folder / ARRAYS
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, but {CONFIG} is there")
    stored = {name: value.astype(np.float32) for name, value in read_weights(path).items()}
    weights = dict(base)
    for name, value in stored.items():
        if name.endswith(B):
            if name.removesuffix(B) + A not in stored:
                raise CheckpointError(f"{path}: has {name}, but no {name.removesuffix(B) + A}")
        elif name.endswith(A):
            layer = name.removesuffix(A)
            weight, other = f"{layer}.weight", stored.get(layer + B)
            if other is None:
                raise CheckpointError(f"{path}: has {name}, but no {layer + B}")
            if weight not in base:
                raise CheckpointError(f"{path}: has {name}, but the encoder has no {weight}")
            if (value.shape[0], other.shape[-1]) != base[weight].shape or value.shape[-1] != other.shape[0]:
                raise CheckpointError(
                    f"{path}: {name} {list(value.shape)} and {layer + B} {list(other.shape)} do not fit {weight} "
                    f"{list(base[weight].shape)}"
                )
            weights[weight] = base[weight] + value @ other
        else:
            weights[name] = value
    return weights
