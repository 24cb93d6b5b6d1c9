"""Token classification, the building side. Metric: entity-level F1 (CoNLL: exact span and type)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ernie_runtime.bio import TagSet
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.windows import Window

from ..readers import Example
from . import IGNORED, BuilderKind, Targets

Span = tuple[int, int, str]


def prf(right: int, predicted: int, expected: int) -> tuple[float, float, float]:
    """Precision, recall, F1 in percent; 0 where undefined."""
    precision, recall = 100 * right / max(predicted, 1), 100 * right / max(expected, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def tags_of(window: Window, text: str, spans: Sequence[Sequence[Any]], index: Mapping[str, int]) -> np.ndarray:
    """Targets of a window's tokens, int64 [L], IGNORED at special tokens; spans: [start, end, type] in characters.

    Tags by characters: a token that covers a span's first character is B-, one that only continues it I-.
    A token that starts before a span and reaches into it (half of a number, say) carries the span's B-.
    A window that starts inside a span sees I- first, as the decoder's stitching expects.
    """
    first = np.full(len(text) + 1, -1)  # index of the span a character belongs to
    for number, (start, end, _) in enumerate(spans):
        first[start:end] = number
    target = np.full(len(window.offsets), IGNORED, np.int64)
    before = -1
    for position in range(1, len(window.offsets) - 1):
        start, end = window.offsets[position]
        inside = [n for n in first[start:end] if n >= 0]
        if not inside:
            target[position], before = index["O"], -1
            continue
        begin, _, kind = spans[inside[0]]
        # A character that decomposes into several tokens (Hangul) begins its span only once.
        begins = start <= begin and before != inside[0]
        target[position], before = index[f"B-{kind}" if begins else f"I-{kind}"], inside[0]
    return target


class TokenClassificationBuilder(BuilderKind):
    """Target: [[start, end, type], ...] in characters."""

    main_metric = "f1"
    unused = ("pooler",)

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
        return [{"tags": tags_of(window, example.texts[0], example.target, index)} for window in windows]

    def model(self, config: Any, manifest: Manifest) -> Any:
        """PaddleNLP's head: dropout, linear."""
        from paddlenlp.transformers import ErnieForTokenClassification

        return ErnieForTokenClassification(config)

    def outputs(self, raw: Any) -> dict[str, Any]:
        """logits [B, L, tags]."""
        return {"logits": raw}

    def loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """Cross entropy over real tokens."""
        import paddle.nn.functional as F

        return F.cross_entropy(outputs["logits"], targets["tags"], ignore_index=IGNORED)

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """Micro precision, recall and F1, and the same for each type."""
        right: Counter[str] = Counter()
        predicted: Counter[str] = Counter()
        expected: Counter[str] = Counter()
        for example, answer in zip(examples, answers, strict=True):
            gold, found = self._gold(example), self._found(answer)
            for counter, spans in ((expected, gold), (predicted, found), (right, gold & found)):
                counter.update(kind for _, _, kind in spans)
        rows = {"": (right.total(), predicted.total(), expected.total())}
        rows |= {f"{kind}_": (right[kind], predicted[kind], expected[kind]) for kind in sorted(expected | predicted)}
        metrics = {}
        for prefix, counts in rows.items():
            for name, value in zip(("precision", "recall", "f1"), prf(*counts), strict=True):
                metrics[prefix + name] = round(value, 3)
        return metrics

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
