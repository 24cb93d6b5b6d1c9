"""Sequence classification, the building side. Metric: accuracy (CLUE)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import POOLING, Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Window

from ..metrics.class_report import ClassRow
from ..readers import Example
from . import BuilderKind, LayerOutput, Targets, Tensors

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig


def texts_of(example: Example) -> str | list[str]:
    """The text, or the list of texts of an example that has several."""
    return example.texts[0] if len(example.texts) == 1 else list(example.texts)


class SequenceClassificationBuilder(BuilderKind):
    """Target: the label's id."""

    main_metric = "accuracy"

    def without_pooler(self, options: Json) -> bool:
        """Where the mean of the tokens stands for it."""
        return options.get(POOLING) == "mean"

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """The label is one of the task's."""
        ids = [label.id for label in manifest.labels]
        return None if example.target in ids else f"label {example.target!r} is none of {', '.join(ids)}"

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """Every window of a long text has the text's label."""
        index = [label.id for label in manifest.labels].index(example.target)
        return [{"label": np.array(index, np.int64)} for _ in windows]

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """PaddleNLP's head: pooler, dropout, linear; with options.pooling = "mean" the tokens' mean for the pooler."""
        from ._layers import classifier

        return classifier(config, manifest)

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """logits [B, classes]."""
        return {"logits": raw}

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Cross entropy."""
        import paddle.nn.functional as F

        return F.cross_entropy(outputs["logits"], targets["label"])

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """Accuracy; a text that could not be answered counts as wrong."""
        right = sum(self.wrong(e, a, manifest) is None for e, a in zip(examples, answers, strict=True))
        return {"accuracy": round(100 * right / max(len(examples), 1), 3)}

    def class_report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> list[ClassRow]:
        """One row per label."""
        expected, predicted, correct = Counter[str](), Counter[str](), Counter[str]()
        for example, answer in zip(examples, answers, strict=True):
            expected[example.target] += 1
            if not isinstance(answer, str):
                label_id = manifest.labels[int(answer.numeric["LABEL_ID"])].id
                predicted[label_id] += 1
                correct[label_id] += label_id == example.target
        return [
            ClassRow(
                label=label.name, expected=expected[label.id], predicted=predicted[label.id], correct=correct[label.id]
            )
            for label in manifest.labels
        ]

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """The text, the expected and the predicted label."""
        if isinstance(answer, str):
            return {"text": texts_of(example), "expected": example.target, "error": answer}
        predicted = manifest.labels[int(answer.numeric["LABEL_ID"])]
        if predicted.id == example.target:
            return None
        expected = next(label.name for label in manifest.labels if label.id == example.target)
        return {
            "text": texts_of(example),
            "expected": expected,
            "predicted": predicted.name,
            "score": answer.result["score"],
        }


KIND = SequenceClassificationBuilder()
