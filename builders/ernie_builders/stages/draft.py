"""A task's manifest before anything is exported: enough for cutting texts and decoding answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..config.tasks import TaskConfig
from ..kinds import get_builder_kind


def draft_manifest(task: TaskConfig, tokenizer: ErnieTokenizer, learnt: Mapping[str, Any] | None = None) -> Manifest:
    """Version 0 with one placeholder variant; learnt: options that training found (`BuilderKind.learn`)."""
    return Manifest(
        task=task.name,
        kind=task.kind,
        title=task.title,
        version=0,
        labels=task.labels,
        limits=task.limits,
        vocabulary_size=tokenizer.vocab_size,
        vocabulary_sha256=tokenizer.fingerprint,
        variants=(Variant("fp32", "onnxruntime", "model.onnx", 0, "", 0.0),),
        recommended="fp32",
        examples=task.examples,
        options={**(learnt or {}), **task.options},
        main_metric=get_builder_kind(task.kind).main_metric,
    )
