"""Hierarchical multi-label classification, the building side. Metric: micro F1 over all labels of all levels."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import POOLING, Answer
from ernie_runtime.kinds.hierarchical_classification import tree_of
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

from ..console import say
from ..metrics.class_report import ClassRow
from ..metrics.row_metric import (
    RowMetric,
    counts,
    f1,
    macro_f1,
    macro_precision,
    macro_recall,
    mean,
    precision,
    recall,
)
from ..metrics.thresholds import choose
from ..readers import Example
from . import BuilderKind, LayerOutput, Targets, Tensors

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig


def expected_labels(examples: Sequence[Example], manifest: Manifest) -> np.ndarray:
    """The examples' labels with all their parents, bool [N, C]."""
    index = {label.id: i for i, label in enumerate(manifest.labels)}
    expected = np.zeros((len(examples), len(index)), bool)
    for row, example in zip(expected, examples, strict=True):
        row[[index[label] for label in example.target]] = True
    return tree_of(manifest).close(expected)


def predicted_labels(answers: Sequence[Answer | str], manifest: Manifest) -> np.ndarray:
    """The answers' labels, bool [N, C]; none where a text has no answer."""
    index = {label.name: i for i, label in enumerate(manifest.labels)}
    predicted = np.zeros((len(answers), len(index)), bool)
    for row, answer in zip(predicted, answers, strict=True):
        if not isinstance(answer, str):
            row[[index[label["label"]] for label in answer.result["labels"]]] = True
    return predicted


class HierarchicalClassificationBuilder(BuilderKind):
    """Target: the ids of a text's labels; their parents are implied."""

    main_metric = "micro_f1"
    headline = ("macro_f1", "exact_match")

    def without_pooler(self, options: Json) -> bool:
        """Where the mean of the tokens stands for it."""
        return options.get(POOLING) == "mean"

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """All labels are the task's."""
        if not isinstance(example.target, list):
            return "expected a list of labels, as the format hierarchy_tsv gives them"
        ids = [label.id for label in manifest.labels]
        for label in example.target:
            if label not in ids:
                similar = difflib.get_close_matches(str(label), ids, 1)
                return f"label {label!r} is none of the task's {len(ids)}" + (
                    f"; the nearest is {similar[0]!r}" if similar else ""
                )
        return None

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """Every window of a long text has the text's labels, float32 [C]."""
        (row,) = expected_labels([example], manifest)
        return [{"labels": row.astype(np.float32)} for _ in windows]

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """As sequence classification's.

        The bias starts at a value that predicts one label per text: 0 would predict half of all, which training would
        have to unlearn first.
        """
        import paddle

        from ._layers import classifier

        model: Any = classifier(config, manifest)
        bias = -math.log(len(manifest.labels) - 1)
        model.classifier.bias.set_value(paddle.full([len(manifest.labels)], bias))
        return model

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """logits [B, C]."""
        return {"logits": raw}

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Binary cross entropy, mean over labels."""
        import paddle.nn.functional as F

        return F.binary_cross_entropy_with_logits(outputs["logits"].astype("float32"), targets["labels"])

    def learn(
        self,
        manifest: Manifest,
        train: Sequence[Example],
        held_out: Sequence[Example],
        pipeline: Callable[[], Pipeline],
    ) -> JsonObject:
        """`thresholds` of labels by name, fitted on the held-out rows, and `threshold_choice`: how they were chosen.

        Its `held_out_micro_f1` is the figure of each scheme on halves that it was not fitted on. A task that sets its
        own thresholds learns nothing.
        """
        del train
        if "thresholds" in manifest.options or not held_out:
            return {}
        answers = pipeline().predict([example.texts for example in held_out])
        answered = [i for i, answer in enumerate(answers) if not isinstance(answer, str)]
        if not answered:
            return {}
        scores = np.stack([answer.numeric["SCORES"] for answer in answers if not isinstance(answer, str)])
        chosen = choose(scores, expected_labels([held_out[i] for i in answered], manifest), tree_of(manifest))
        by_scheme = ", ".join(f"{scheme} {value:.2f}" for scheme, value in chosen.held_out.items())
        say(f"    thresholds by {chosen.scheme}; micro F1 on halves that they were not fitted on: {by_scheme}")
        by_name = {label.name: value for label, value in zip(manifest.labels, chosen.values.tolist(), strict=True)}
        return {
            "thresholds": {} if chosen.scheme == "default" else by_name,
            "threshold_choice": {
                "way": chosen.scheme,
                "held_out_micro_f1": dict(chosen.held_out),
                "rows": len(answered),
            },
        }

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """Over all labels, and at each level as `level_1_f1` and so on: micro precision, recall and F1, macro F1, and
        how often all labels are right (`exact_match`, `level_1_accuracy`). Over all labels also macro precision and
        recall.

        Macro figures are means over the labels that are expected or predicted at least once.
        """
        expected, predicted = expected_labels(examples, manifest), predicted_labels(answers, manifest)
        rows = counts(expected & predicted, predicted, expected)
        metrics: dict[str, RowMetric] = {}
        levels = np.array(tree_of(manifest).levels)
        columns = {"micro": levels > 0, **{f"level_{n}": levels == n for n in range(1, levels.max() + 1)}}
        for prefix, chosen in columns.items():
            micro = rows[:, chosen].sum(axis=1)
            for name, of in (("precision", precision), ("recall", recall), ("f1", f1)):
                metrics[f"{prefix}_{name}"] = RowMetric(rows=micro, of=of)
            whole = prefix == "micro"
            right = (expected[:, chosen] == predicted[:, chosen]).all(axis=1).astype(np.float64)
            metrics["exact_match" if whole else f"{prefix}_accuracy"] = RowMetric(rows=right, of=mean)
            metrics["macro_f1" if whole else f"{prefix}_macro_f1"] = RowMetric(rows=rows[:, chosen], of=macro_f1)
        metrics["macro_precision"] = RowMetric(rows=rows, of=macro_precision)
        metrics["macro_recall"] = RowMetric(rows=rows, of=macro_recall)
        return metrics

    def class_report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> list[ClassRow]:
        """One row per label with its level, in the order of the manifest."""
        expected, predicted = expected_labels(examples, manifest), predicted_labels(answers, manifest)
        levels = tree_of(manifest).levels
        counts = [part.sum(axis=0).tolist() for part in (expected, predicted, expected & predicted)]
        return [
            ClassRow(label=label.name, level=level, expected=in_data, predicted=in_answers, correct=in_both)
            for label, level, in_data, in_answers, in_both in zip(manifest.labels, levels, *counts, strict=True)
        ]

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """Text, expected, predicted, missed and invented labels."""
        text = example.texts[0]
        if isinstance(answer, str):
            return {"text": text, "error": answer}
        expected, predicted = expected_labels([example], manifest)[0], predicted_labels([answer], manifest)[0]
        if (expected == predicted).all():
            return None
        names = [label.name for label in manifest.labels]
        missed = [names[i] for i in np.flatnonzero(expected & ~predicted)]
        invented = [names[i] for i in np.flatnonzero(predicted & ~expected)]
        both = {"expected": [names[i] for i in np.flatnonzero(expected)]}
        both["predicted"] = [names[i] for i in np.flatnonzero(predicted)]
        return {"text": text, **both, "missed": missed, "invented": invented}


KIND = HierarchicalClassificationBuilder()
