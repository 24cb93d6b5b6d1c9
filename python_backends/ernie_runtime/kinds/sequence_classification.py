"""One label per text: softmax over the classes, averaged over the windows of a long text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import Faults
from ..manifest import Manifest
from ..names import LABEL_ID, LOGITS, SCORE
from ..numeric import softmax, stack
from ..results import LabelResult, ScoredLabel
from ..text.windows import Document
from . import POOLING, Answer, OneText, TensorSpec, WindowOutput, check_option_names, check_pooling

TOP = 5  # best labels in an answer


def mean_probabilities(outputs: Sequence[Sequence[WindowOutput]], name: str) -> np.ndarray:
    """Class probabilities of each text, float32 [N, C]: the mean over its windows, weighted by their tokens.

    outputs: the windows of each text, at least one; name: of the tensor of logits [C].
    """
    # One call for all windows: a dozen numpy calls per text would cost more than the tokenizer.
    probabilities = softmax(stack([window.tensors[name] for windows in outputs for window in windows]))
    if len(probabilities) == len(outputs):
        return probabilities  # each text has one window
    means = np.empty((len(outputs), probabilities.shape[1]), np.float32)
    first = 0
    for text, windows in enumerate(outputs):
        rows = probabilities[first : first + len(windows)]
        weights = [max(len(window.offsets) - 2, 1) for window in windows]
        means[text] = rows[0] if len(windows) == 1 else np.average(rows, axis=0, weights=weights)
        first += len(windows)
    return means


class SequenceClassification(OneText):
    """TEXT -> LABEL_ID (index into the manifest's labels), SCORE (its probability), RESULT."""

    name = "sequence_classification"
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """At least two labels; options: pooling."""
        faults = Faults()
        with faults.collect():
            check_option_names(manifest, (POOLING,))
        with faults.collect():
            check_pooling(manifest)
        if len(manifest.labels) < 2:
            faults.lines.append(f"task {manifest.task}: {self.name} needs at least two labels")
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """LABEL_ID INT64 [1], SCORE FP32 [1]."""
        return (TensorSpec(LABEL_ID, "INT64", (1,)), TensorSpec(SCORE, "FP32", (1,)))

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """logits FP32 [classes]."""
        return (TensorSpec(LOGITS, "FP32", (len(manifest.labels),)),)

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The labels by mean probability over the windows, weighted by their tokens; ties go to the first label."""
        if not outputs:
            return []
        names = [label.name for label in manifest.labels]
        scores = mean_probabilities(outputs, LOGITS)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        answers = []
        rows = np.arange(len(scores))[:, None]  # for a single text, np.take_along_axis takes four times as long
        for order, values in zip(best.tolist(), scores[rows, best].tolist(), strict=True):
            top: list[ScoredLabel] = [
                {"label": names[i], "score": round(value, 6)} for i, value in zip(order, values, strict=True)
            ]
            result: LabelResult = {**top[0], "top": top}
            answers.append(Answer(result, {LABEL_ID: order[0], SCORE: values[0]}))
        return answers


KIND = SequenceClassification()
