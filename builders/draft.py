"""A task's manifest before anything is exported: enough for cutting texts and decoding answers."""

from __future__ import annotations

from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.tokenization import ErnieTokenizer

from .config import TaskConfig
from .kinds import get_builder_kind


def draft_manifest(task: TaskConfig, tokenizer: ErnieTokenizer) -> Manifest:
    """Version 0 with one placeholder variant."""
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
        main_metric=get_builder_kind(task.kind).main_metric,
    )
