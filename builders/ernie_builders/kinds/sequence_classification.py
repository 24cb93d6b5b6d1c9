"""Sequence classification, the building side. Metrics: accuracy (CLUE), macro F1, Matthews (CoLA)."""

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
from ..metrics.classes import NONE, as_pairs, class_metrics, confusion
from ..metrics.row_metric import RowMetric
from ..readers import Example
from . import BuilderKind, LayerOutput, Targets, Tensors

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig


def texts_of(example: Example) -> str | list[str]:
    """The text, or the list of texts of an example that has several."""
    return example.texts[0] if len(example.texts) == 1 else list(example.texts)


def predicted_class(answer: Answer | str) -> int:
    """The number of the predicted label; NONE where there is no answer."""
    return NONE if isinstance(answer, str) else int(answer.numeric["LABEL_ID"])


class SequenceClassificationBuilder(BuilderKind):
    """Target: the label's id."""

    main_metric = "accuracy"
    headline = ("macro_f1",)

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

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """`class_metrics`; `f1`, that of the label "1", for the two labels "0" and "1" (QQP, MRPC)."""
        ids = [label.id for label in manifest.labels]
        pairs = self._pairs(examples, answers, manifest)
        return class_metrics(pairs, len(ids), ids.index("1") if sorted(ids) == ["0", "1"] else None)

    def confusion(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> np.ndarray | None:
        """Of the labels."""
        return confusion(self._pairs(examples, answers, manifest), len(manifest.labels))

    @staticmethod
    def _pairs(examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest) -> np.ndarray:
        """Expected and predicted class, float64 [N, 2]."""
        number = {label.id: i for i, label in enumerate(manifest.labels)}
        return as_pairs([number[e.target] for e in examples], [predicted_class(answer) for answer in answers])

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
