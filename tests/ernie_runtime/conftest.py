"""What the tests without a server share: the shipped vocabulary, and manifests made to measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ernie_runtime.manifest import Evaluation, Label, Limits, Manifest, Variant
from ernie_runtime.text.tokenization import ErnieTokenizer

from .hard_texts import VOCAB


@pytest.fixture(scope="session")
def tokenizer() -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(VOCAB)


@pytest.fixture(scope="session")
def make_manifest() -> Callable[..., Manifest]:
    """`make_manifest(kind, labels, max_length, doc_stride, ...)`; labels by id, or (id, name)."""

    def make(
        kind: str = "token_classification",
        labels: tuple[str | tuple[str, str], ...] = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
        max_length: int = 16,
        doc_stride: int = 8,
        overflow: str = "window",
        max_chars: int = 20_000,
        **fields: Any,
    ) -> Manifest:
        evaluation = Evaluation(split="dev", rows=10, metrics={"accuracy": 0.5}, by="a test")
        return Manifest(
            **{
                "task": "toy",
                "kind": kind,
                "title": "A toy, 玩具",
                "version": 1,
                "labels": tuple(Label(x, x) if isinstance(x, str) else Label(*x) for x in labels),
                "limits": Limits(max_length=max_length, doc_stride=doc_stride, overflow=overflow, max_chars=max_chars),
                "vocabulary_size": 9,
                "vocabulary_sha256": "00",
                "variants": (
                    Variant(
                        name="fp32",
                        engine="onnxruntime",
                        file="model.onnx",
                        bytes=1,
                        sha256="11",
                        max_abs_error=1e-5,
                        evaluations=(evaluation,),
                    ),
                ),
                "recommended": "fp32",
                "main_metric": "accuracy",
                "examples": (("今天",), ("明天",)),
                **fields,
            }
        )

    return make


@pytest.fixture
def qa_manifest(make_manifest: Callable[..., Manifest]) -> Callable[..., Manifest]:
    """`qa_manifest(max_length, doc_stride, **options)`: a task of reading comprehension."""

    def make(max_length: int = 32, doc_stride: int = 8, overflow: str = "window", **options: Any) -> Manifest:
        options = {"max_answer_tokens": 8, "max_question_tokens": 8, **options}
        return make_manifest(
            "question_answering", (), max_length, doc_stride, overflow, options=options, max_chars=2000
        )

    return make
