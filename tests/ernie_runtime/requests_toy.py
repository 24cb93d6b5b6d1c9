"""Requests, and engines whose logits depend on the ids of their own row only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ernie_runtime.engines import Tensors
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings

CLASSES = tuple(f"class {i}" for i in range(7))
TAGS = ("O", "B-PER", "B-LOC", "B-ORG")  # every sequence of them is legal
BUCKETS = (8, 12, 16)


def classifier(tensors: Tensors) -> Tensors:
    """Logits that depend on every id of their row and its position, and on nothing else in the batch."""
    ids = tensors["input_ids"]
    assert not tensors["token_type_ids"].any()
    sums = (ids * np.arange(1, ids.shape[1] + 1)).sum(1)
    return {"logits": (sums[:, None] % np.arange(11, 18)).astype(np.float32) / 3}


def tagger(tensors: Tensors) -> Tensors:
    """The same for each token: its tag depends on its id and the ids of its row; padding gets a high logit."""
    ids = tensors["input_ids"]
    column = np.where(ids == 0, 3, (ids + ids.sum(1, keepdims=True)) % 4)
    return {"logits": np.eye(4, dtype=np.float32)[column] * 5}


def engine_of(manifest: Manifest) -> Callable[[Tensors], Tensors]:
    return tagger if manifest.kind == "token_classification" else classifier


def per_token_of(manifest: Manifest) -> list[str]:
    return [spec.name for spec in PostprocessStep(manifest).specs if spec.per_token]


def request_of(*texts: str | bytes) -> dict[str, np.ndarray]:
    return {"TEXT": strings([t.encode() if isinstance(t, str) else t for t in texts])}


VALID_TEXTS = [
    "中共中央致中国致公党十一大的贺词",
    "打电话给18866668888",
    "好",
    "iPhone 15 Pro Max售价9,999元（约$1,399.00）",
    "👩\u200d💻 和 cafe\u0301",
    "北京大学的王小明教授昨天在上海出席了世界卫生组织的会议。" * 4,
]
