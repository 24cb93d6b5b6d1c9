"""One label for a text: softmax over the classes, averaged over the windows of a long text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ManifestError
from ..manifest import Limits, Manifest
from ..numeric import softmax
from ..tokenization import ErnieTokenizer
from ..windows import Document, Window, single_text_documents
from . import Answer, TensorSpec, WindowOutput

TOP = 5


class SequenceClassification:
    """TEXT -> LABEL_ID (index into the manifest's labels), SCORE (its probability), RESULT."""

    name = "sequence_classification"
    inputs: tuple[TensorSpec, ...] = (TensorSpec("TEXT", "BYTES", (1,)),)
    numeric: tuple[TensorSpec, ...] = (TensorSpec("LABEL_ID", "INT64", (1,)), TensorSpec("SCORE", "FP32", (1,)))
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """At least two labels."""
        if len(manifest.labels) < 2:
            raise ManifestError(f"task {manifest.task}: {self.name} needs at least two labels")

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """logits FP32 [classes]."""
        return (TensorSpec("logits", "FP32", (len(manifest.labels),)),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: ErnieTokenizer, limits: Limits
    ) -> tuple[list[Document], list[Window]]:
        """One text an item."""
        return single_text_documents(items, tokenizer, limits)

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """Mean probability over windows, weighted by their tokens; ties go to the first label."""
        answers = []
        names = [label.name for label in manifest.labels]
        for windows in outputs:
            weights = np.array([max(len(w.offsets) - 2, 1) for w in windows], np.float32)
            scores = weights @ softmax(np.stack([w.tensors["logits"] for w in windows])) / weights.sum()
            order = np.argsort(-scores, kind="stable")[:TOP]
            top = [{"label": names[i], "score": round(float(scores[i]), 6)} for i in order]
            best = int(order[0])
            result = {**top[0], "top": top}
            answers.append(Answer(result, {"LABEL_ID": best, "SCORE": float(scores[best])}))
        return answers


KIND = SequenceClassification()
