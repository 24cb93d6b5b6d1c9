"""Token classification, the building side. Metric: entity-level F1 (CoNLL: exact span and type)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ernie_runtime.bio import TagSet
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Label, Manifest
from ernie_runtime.windows import Window

from ..readers import Example

IGNORED = -100
Span = tuple[int, int, str]


def prf(right: int, predicted: int, expected: int) -> tuple[float, float, float]:
    """Precision, recall, F1 in percent; 0 where undefined."""
    precision, recall = 100 * right / max(predicted, 1), 100 * right / max(expected, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


class TokenClassificationBuilder:
    """Target: [[start, end, type], ...] in characters."""

    main_metric = "f1"
    unused = ("pooler",)

    def check(self, example: Example, labels: Sequence[Label]) -> str | None:
        """Types are in the tag set; spans lie in the text and do not overlap."""
        if not isinstance(example.target, list):
            return "expected entities, as the format bio_columns gives them"
        known = {label.id for label in labels}
        last = 0
        for start, end, kind in example.target:
            if f"B-{kind}" not in known:
                return f"entity type {kind!r} has no B-{kind} among the labels {', '.join(sorted(known))}"
            if not last <= start < end <= len(example.texts[0]):
                return f"entity {kind} at {start}..{end} overlaps another or lies outside the text"
            last = end
        return None

    def targets(self, example: Example, windows: Sequence[Window], labels: Sequence[Label]) -> list[np.ndarray]:
        """Tags by characters: a token that covers an entity's first character is B-, one that only continues it I-.

        A token that starts before an entity and reaches into it (half of a number, say) carries the entity's B-.
        A window that starts inside an entity sees I- first, as the decoder's stitching expects.
        """
        tags = TagSet(tuple(label.id for label in labels)).index
        first = np.full(len(example.texts[0]) + 1, -1)  # index of the entity a character belongs to
        for number, (start, end, _) in enumerate(example.target):
            first[start:end] = number
        result = []
        for window in windows:
            target = np.full(len(window.offsets), IGNORED, np.int64)
            before = -1
            for position in range(1, len(window.offsets) - 1):
                start, end = window.offsets[position]
                inside = [n for n in first[start:end] if n >= 0]
                if not inside:
                    target[position], before = tags["O"], -1
                    continue
                begin, _, kind = example.target[inside[0]]
                # A character that decomposes into several tokens (Hangul) begins its entity only once.
                begins = start <= begin and before != inside[0]
                target[position], before = tags[f"B-{kind}" if begins else f"I-{kind}"], inside[0]
            result.append(target)
        return result

    def model(self, config: Any) -> Any:
        """PaddleNLP's head: dropout, linear."""
        from paddlenlp.transformers import ErnieForTokenClassification

        return ErnieForTokenClassification(config)

    def outputs(self, raw: Any) -> dict[str, Any]:
        """logits [B, L, tags]."""
        return {"logits": raw}

    def loss(self, outputs: dict[str, Any], targets: Any) -> Any:
        """Cross entropy over real tokens."""
        import paddle.nn.functional as F

        return F.cross_entropy(outputs["logits"], targets, ignore_index=IGNORED)

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
