"""Hierarchical multi-label classification, the building side. Metric: micro F1 over all labels of all levels."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.hierarchical_classification import tree_of
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

from ..console import say
from ..metrics.class_report import ClassRow, class_row, prf
from ..metrics.thresholds import choose
from ..readers import Example
from . import BuilderKind, Targets


def gold_labels(examples: Sequence[Example], manifest: Manifest) -> np.ndarray:
    """The examples' labels closed under parents, bool [N, C]."""
    index = {label.id: i for i, label in enumerate(manifest.labels)}
    gold = np.zeros((len(examples), len(index)), bool)
    for row, example in zip(gold, examples, strict=True):
        row[[index[label] for label in example.target]] = True
    return tree_of(manifest).close(gold)


def found_labels(answers: Sequence[Answer | str], manifest: Manifest) -> np.ndarray:
    """The answers' labels, bool [N, C]; none where a text has no answer."""
    index = {label.name: i for i, label in enumerate(manifest.labels)}
    found = np.zeros((len(answers), len(index)), bool)
    for row, answer in zip(found, answers, strict=True):
        if not isinstance(answer, str):
            row[[index[label["label"]] for label in answer.result["labels"]]] = True
    return found


class HierarchicalClassificationBuilder(BuilderKind):
    """Target: the ids of a text's labels; parents need not be written."""

    main_metric = "micro_f1"
    headline = ("macro_f1", "exact_match")

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """The labels are the task's."""
        if not isinstance(example.target, list):
            return "expected a list of labels, as the format hierarchy_tsv gives them"
        ids = [label.id for label in manifest.labels]
        for label in example.target:
            if label not in ids:
                near = difflib.get_close_matches(str(label), ids, 1)
                return f"label {label!r} is none of the task's {len(ids)}" + (
                    f"; the nearest is {near[0]!r}" if near else ""
                )
        return None

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """Every window of a long text learns the text's labels, float32 [C]."""
        (row,) = gold_labels([example], manifest)
        return [{"labels": row.astype(np.float32)} for _ in windows]

    def model(self, config: Any, manifest: Manifest) -> Any:
        """PaddleNLP's head: pooler, dropout, linear.

        The bias starts where one label of all is expected: one of 0 expects half of them, which has to be unlearnt.
        """
        import paddle
        from paddlenlp.transformers import ErnieForSequenceClassification

        model = ErnieForSequenceClassification(config)
        bias = -math.log(len(manifest.labels) - 1)
        model.classifier.bias.set_value(paddle.full([len(manifest.labels)], bias))
        return model

    def outputs(self, raw: Any) -> dict[str, Any]:
        """logits [B, C]."""
        return {"logits": raw}

    def loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """Binary cross entropy, mean over labels."""
        import paddle.nn.functional as F

        return F.binary_cross_entropy_with_logits(outputs["logits"].astype("float32"), targets["labels"])

    def learn(
        self, manifest: Manifest, train: Sequence[Example], dev: Sequence[Example], pipeline: Callable[[], Pipeline]
    ) -> dict[str, Any]:
        """`thresholds` of labels by name, fitted on dev; `threshold_choice`: how they were chosen.

        `held_out_micro_f1` in the latter is what each way gave on texts it was not fitted on: the dev figure is
        measured on texts that the thresholds have seen. Nothing is learnt where the task gives its own thresholds.
        """
        del train
        if "thresholds" in manifest.options or not dev:
            return {}
        answers = pipeline().predict([example.texts for example in dev])
        rows = [i for i, answer in enumerate(answers) if not isinstance(answer, str)]
        if not rows:
            return {}
        scores = np.stack([answer.numeric["SCORES"] for answer in answers if not isinstance(answer, str)])
        chosen = choose(scores, gold_labels([dev[i] for i in rows], manifest), tree_of(manifest))
        shown = ", ".join(f"{way} {value:.2f}" for way, value in chosen.held_out.items())
        say(f"    thresholds by {chosen.way}; micro F1 on held-out halves of dev: {shown}")
        values = zip(manifest.labels, chosen.values.tolist(), strict=True)
        return {
            "thresholds": {} if chosen.way == "default" else {label.name: value for label, value in values},
            "threshold_choice": {"way": chosen.way, "held_out_micro_f1": dict(chosen.held_out), "rows": len(rows)},
        }

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """Micro precision, recall and F1 of all labels and of each level; macro F1; exact match of all labels.

        Macro F1 is the mean over the labels that are expected or predicted at least once.
        """
        gold, found = gold_labels(examples, manifest), found_labels(answers, manifest)
        right = gold & found
        metrics: dict[str, float] = {}
        levels = np.array(tree_of(manifest).levels)
        columns = {"micro": levels > 0, **{f"level_{n}": levels == n for n in range(1, levels.max() + 1)}}
        for prefix, chosen in columns.items():
            values = prf(*(int(part[:, chosen].sum()) for part in (right, found, gold)))
            metrics |= {f"{prefix}_{name}": v for name, v in zip(("precision", "recall", "f1"), values, strict=True)}
        counts = np.stack([part.sum(axis=0) for part in (right, found, gold)], axis=1)
        each = [prf(*row)[2] for row in counts.tolist() if any(row)]
        metrics["macro_f1"] = sum(each) / max(len(each), 1)
        metrics["exact_match"] = 100 * float((gold == found).all(axis=1).mean()) if len(gold) else 0.0
        return {name: round(value, 3) for name, value in metrics.items()}

    def report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> list[ClassRow]:
        """A row a label, in the order of the manifest, with its level."""
        gold, found = gold_labels(examples, manifest), found_labels(answers, manifest)
        counts = zip(*(part.sum(axis=0).tolist() for part in (gold & found, found, gold)), strict=True)
        return [
            class_row(label.name, *row, level=level)
            for label, level, row in zip(manifest.labels, tree_of(manifest).levels, counts, strict=True)
        ]

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> dict[str, Any] | None:
        """Text, missed and invented labels."""
        text = example.texts[0]
        if isinstance(answer, str):
            return {"text": text, "error": answer}
        gold, found = gold_labels([example], manifest)[0], found_labels([answer], manifest)[0]
        if (gold == found).all():
            return None
        names = [label.name for label in manifest.labels]
        missed, invented = ([names[i] for i in np.flatnonzero(part)] for part in (gold & ~found, found & ~gold))
        return {"text": text, "missed": missed, "invented": invented}


KIND = HierarchicalClassificationBuilder()
