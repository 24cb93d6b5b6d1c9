"""Token classification, the building side. Metric: F1 of entities (CoNLL: exact span and type)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.token_classification import tag_set
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.bio import OUTSIDE, TagSet
from ernie_runtime.text.windows import Window

from ..metrics.class_report import ClassRow
from ..metrics.row_metric import RowMetric
from ..metrics.spans import Span, span_classes, span_metrics
from ..readers import Example
from . import IGNORED, BuilderKind, LayerOutput, Targets, Tensors

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig


def tags_of(windows: Sequence[Window], text: str, spans: Sequence[Sequence[Any]], tags: TagSet) -> list[np.ndarray]:
    """Target tags of the tokens of a text's windows, int64 [L] each, IGNORED at special tokens.

    windows: all of the text's, or the first ones; spans: [start, end, type, ...] in characters, in order; tags: of the
    model. A token belongs to the span that its characters lie in, to the first one where it holds two: a span that ends
    inside a token grows to the token's end. The first token of a span is B-, the others I-, so that a window that
    starts inside a span begins with I-, as the decoder expects when it joins windows. Where the tags have them, the
    last token is E-, and a single one S-.
    """
    column = tags.column
    span_at = np.full(len(text) + 1, -1)  # index of the span that each character belongs to
    for number, (start, end, *_) in enumerate(spans):
        span_at[start:end] = number
    span_of_tokens = [_span_of_tokens(window, span_at) for window in windows]
    first_characters: dict[int, int] = {}  # of each span's first token
    for window, token_spans in zip(windows, span_of_tokens, strict=True):
        for position in np.flatnonzero(token_spans >= 0).tolist():
            number, start = int(token_spans[position]), int(window.offsets[position, 0])
            first_characters[number] = min(start, first_characters.get(number, start))
    targets = []
    for window, token_spans in zip(windows, span_of_tokens, strict=True):
        target = np.full(len(token_spans), IGNORED, np.int64)
        previous = -1
        for position, number in enumerate(token_spans[1:-1].tolist(), 1):
            if number < 0:
                target[position] = column[OUTSIDE, ""]
            else:
                # A character that is several tokens (decomposed Hangul) begins its span only once.
                is_first = window.offsets[position, 0] <= first_characters[number] and previous != number
                rest = text[window.offsets[position, 1] : spans[number][1]]
                is_last = not rest.strip() and token_spans[position + 1] != number
                role = ("S" if is_last else "B") if is_first else ("E" if is_last else "I")
                target[position] = column[role, spans[number][2]]
            previous = number
        targets.append(target)
    return targets


def _span_of_tokens(window: Window, span_at: np.ndarray) -> np.ndarray:
    """Index of the span that each token belongs to, int64 [L]; -1 for none and for special tokens."""
    token_spans = np.full(len(window.offsets), -1)
    for position, (start, end) in enumerate(window.offsets[1:-1].tolist(), 1):
        inside = span_at[start:end]
        token_spans[position] = next((number for number in inside.tolist() if number >= 0), -1)
    return token_spans


class TokenClassificationBuilder(BuilderKind):
    """Target: [[start, end, type], ...] in characters."""

    main_metric = "f1"
    by_character = True
    tags_tokens = True
    has_pooler = False
    training_version = 2  # 1: padding counted in the loss

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """Types are in the tag set; spans lie in the text and do not overlap."""
        if not isinstance(example.target, list):
            return "expected entities, as the formats bio_columns and table give them"
        types = _tag_set(manifest).types
        last = 0
        for start, end, kind in example.target:
            if kind not in types:
                return f"entity type {kind!r} has no B-{kind} among the labels: their types are {', '.join(types)}"
            if not last <= start < end <= len(example.texts[0]):
                return f"entity {kind} at {start}..{end} overlaps another or lies outside the text"
            last = end
        return None

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """The tag of each token of each window."""
        return [{"tags": tags} for tags in tags_of(windows, example.texts[0], example.target, _tag_set(manifest))]

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """PaddleNLP's head: dropout, linear."""
        from paddlenlp.transformers import ErnieForTokenClassification

        return ErnieForTokenClassification(config)

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """logits [B, L, tags]."""
        return {"logits": raw}

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Cross entropy over real tokens."""
        from ._layers import token_loss

        return token_loss(outputs["logits"], targets["tags"])

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """`span_metrics` of the entities."""
        return span_metrics([_expected(example) for example in examples], [_predicted(answer) for answer in answers])

    def class_report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> list[ClassRow]:
        """A row for each type of entities."""
        return span_classes([_expected(example) for example in examples], [_predicted(answer) for answer in answers])

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """The text, missed and invented entities."""
        text = example.texts[0]
        if isinstance(answer, str):
            return {"text": text, "error": answer}
        expected, predicted = _expected(example), _predicted(answer)
        if expected == predicted:
            return None
        return {
            "text": text,
            "missed": _rows(expected - predicted, text),
            "invented": _rows(predicted - expected, text),
        }


def _tag_set(manifest: Manifest) -> TagSet:
    return tag_set(tuple(label.id for label in manifest.labels))


def _expected(example: Example) -> set[Span]:
    return {(start, end, kind) for start, end, kind in example.target}


def _predicted(answer: Answer | str) -> set[Span]:
    if isinstance(answer, str):
        return set()
    return {(entity["start"], entity["end"], entity["label"]) for entity in answer.result["entities"]}


def _rows(spans: set[Span], text: str) -> list[JsonObject]:
    return [{"label": kind, "text": text[start:end], "start": start, "end": end} for start, end, kind in sorted(spans)]


KIND = TokenClassificationBuilder()
