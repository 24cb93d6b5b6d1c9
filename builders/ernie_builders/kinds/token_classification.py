"""Token classification, the building side. Metric: entity-level F1 (CoNLL: exact span and type)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.bio import TagSet
from ernie_runtime.text.windows import Window

from ..metrics.class_report import prf
from ..readers import Example
from . import IGNORED, BuilderKind, Targets

Span = tuple[int, int, str]


def tags_of(
    windows: Sequence[Window], text: str, spans: Sequence[Sequence[Any]], index: Mapping[str, int]
) -> list[np.ndarray]:
    """Targets of the tokens of a text's windows, int64 [L] each, IGNORED at special tokens.

    windows: all of the text or its first ones; spans: [start, end, type, ...] in characters, in order. A token belongs
    to the span that its characters lie in, the first of them where it holds two: a span that ends inside a token grows
    to its end. The first token of a span is B-, the others I-, so that a window that starts inside a span sees I-
    first, as the decoder's stitching expects.
    """
    owner = np.full(len(text) + 1, -1)  # index of the span a character belongs to
    for number, (start, end, *_) in enumerate(spans):
        owner[start:end] = number
    owners = [_owners(window, owner) for window in windows]
    begins: dict[int, int] = {}  # first character of a span's first token
    for window, mine in zip(windows, owners, strict=True):
        for position in np.flatnonzero(mine >= 0).tolist():
            number, start = int(mine[position]), int(window.offsets[position, 0])
            begins[number] = min(start, begins.get(number, start))
    targets = []
    for window, mine in zip(windows, owners, strict=True):
        target = np.full(len(mine), IGNORED, np.int64)
        before = -1
        for position, number in enumerate(mine[1:-1].tolist(), 1):
            if number < 0:
                target[position] = index["O"]
            else:
                # A character that decomposes into several tokens (Hangul) begins its span only once.
                first = window.offsets[position, 0] <= begins[number] and before != number
                target[position] = index[f"{'B' if first else 'I'}-{spans[number][2]}"]
            before = number
        targets.append(target)
    return targets


def _owners(window: Window, owner: np.ndarray) -> np.ndarray:
    """The span that each token belongs to, int64 [L]; -1 for none and for special tokens."""
    owners = np.full(len(window.offsets), -1)
    for position, (start, end) in enumerate(window.offsets[1:-1].tolist(), 1):
        inside = owner[start:end]
        owners[position] = next((n for n in inside.tolist() if n >= 0), -1)
    return owners


def span_metrics(gold: Sequence[set[Span]], found: Sequence[set[Span]]) -> dict[str, float]:
    """Micro precision, recall and F1 of spans in percent (a span is right with its type and both ends), and by type."""
    right: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for wanted, given in zip(gold, found, strict=True):
        for counter, spans in ((expected, wanted), (predicted, given), (right, wanted & given)):
            counter.update(kind for _, _, kind in spans)
    rows = {"": (right.total(), predicted.total(), expected.total())}
    rows |= {f"{kind}_": (right[kind], predicted[kind], expected[kind]) for kind in sorted(expected | predicted)}
    metrics = {}
    for prefix, counts in rows.items():
        for name, value in zip(("precision", "recall", "f1"), prf(*counts), strict=True):
            metrics[prefix + name] = round(value, 3)
    return metrics


class TokenClassificationBuilder(BuilderKind):
    """Target: [[start, end, type], ...] in characters."""

    main_metric = "f1"
    unused = ("pooler",)
    training = 2  # 1: padding counted in the loss

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """Types are in the tag set; spans lie in the text and do not overlap."""
        if not isinstance(example.target, list):
            return "expected entities, as the format bio_columns gives them"
        known = {label.id for label in manifest.labels}
        last = 0
        for start, end, kind in example.target:
            if f"B-{kind}" not in known:
                return f"entity type {kind!r} has no B-{kind} among the labels {', '.join(sorted(known))}"
            if not last <= start < end <= len(example.texts[0]):
                return f"entity {kind} at {start}..{end} overlaps another or lies outside the text"
            last = end
        return None

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """The tag of each token of each window."""
        index = TagSet(tuple(label.id for label in manifest.labels)).index
        return [{"tags": tags} for tags in tags_of(windows, example.texts[0], example.target, index)]

    def model(self, config: Any, manifest: Manifest) -> Any:
        """PaddleNLP's head: dropout, linear."""
        from paddlenlp.transformers import ErnieForTokenClassification

        return ErnieForTokenClassification(config)

    def outputs(self, raw: Any) -> dict[str, Any]:
        """logits [B, L, tags]."""
        return {"logits": raw}

    def loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """Cross entropy over real tokens."""
        from ._layers import token_loss

        return token_loss(outputs["logits"], targets["tags"])

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """Micro precision, recall and F1, and the same for each type."""
        return span_metrics([self._gold(example) for example in examples], [self._found(answer) for answer in answers])

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> dict[str, Any] | None:
        """Text, missed and invented entities."""
        text = example.texts[0]
        if isinstance(answer, str):
            return {"text": text, "error": answer}
        gold, found = self._gold(example), self._found(answer)
        if gold == found:
            return None

        def rows(spans: set[Span]) -> list[dict[str, Any]]:
            return [{"label": k, "text": text[s:e], "start": s, "end": e} for s, e, k in sorted(spans)]

        return {"text": text, "missed": rows(gold - found), "invented": rows(found - gold)}

    @staticmethod
    def _gold(example: Example) -> set[Span]:
        return {(start, end, kind) for start, end, kind in example.target}

    @staticmethod
    def _found(answer: Answer | str) -> set[Span]:
        if isinstance(answer, str):
            return set()
        return {(e["start"], e["end"], e["label"]) for e in answer.result["entities"]}


KIND = TokenClassificationBuilder()
