"""Intent and slots, the building side. Metric: share of utterances whose intent and slots are all correct."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.intent_slots import slot_tags
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

from ..metrics.class_report import ClassRow
from ..metrics.classes import as_pairs, confusion
from ..metrics.row_metric import RowMetric, mean
from ..metrics.spans import Span, span_classes, span_metrics
from ..readers import Example
from . import BuilderKind, LayerOutput, Targets, Tensors
from .sequence_classification import predicted_class
from .token_classification import tags_of

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig

CLEAR_MAJORITY = 2 / 3  # share of a surface form's occurrences that must agree on its value
MAX_VALUES = 2000  # the manifest is a parameter in the model's configuration: some tens of kilobytes at most


class IntentSlotsBuilder(BuilderKind):
    """Target: {"intent": id, "slots": [[start, end, slot, value], ...]}, in characters."""

    main_metric = "exact"
    by_character = True
    tags_tokens = True

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """Intent and slot types are the task's; slots lie in the text and do not overlap."""
        target = example.target
        if not isinstance(target, dict) or not {"intent", "slots"} <= set(target):
            return "expected an intent and slots, as the format nlpcc_slu gives them"
        ids = [label.id for label in manifest.labels]
        if target["intent"] not in ids:
            return f"intent {target['intent']!r} is none of {', '.join(ids)}"
        slot_types = manifest.options["slots"]
        last = 0
        for start, end, slot, _ in target["slots"]:
            if slot not in slot_types:
                return f"slot {slot!r} is none of {', '.join(slot_types)} (the task's options.slots)"
            if not last <= start < end <= len(example.texts[0]):
                return f"slot {slot} at {start}..{end} overlaps another or lies outside the text"
            last = end
        return None

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """Every window of a long utterance has the intent, and the tags of its own tokens."""
        intent = np.array([label.id for label in manifest.labels].index(example.target["intent"]), np.int64)
        tag_set, spans = slot_tags(manifest), example.target["slots"]
        return [{"intent": intent, "tags": tags} for tags in tags_of(windows, example.texts[0], spans, tag_set)]

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """The encoder with two heads: dropout and linear on the pooled output, and on each token's."""
        from ._layers import IntentSlotsModel

        return IntentSlotsModel(config, len(slot_tags(manifest).tags))

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """intent_logits [B, intents], slot_logits [B, L, tags]."""
        intent, slots = raw
        return {"intent_logits": intent, "slot_logits": slots}

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """The sum of both heads' cross entropy, as in ERNIE 3.0 Tiny's joint model."""
        import paddle.nn.functional as F

        from ._layers import token_loss

        intent = F.cross_entropy(outputs["intent_logits"], targets["intent"])
        return intent + token_loss(outputs["slot_logits"], targets["tags"])

    def learn(
        self,
        manifest: Manifest,
        train: Sequence[Example],
        held_out: Sequence[Example],
        pipeline: Callable[[], Pipeline],
    ) -> JsonObject:
        """options.values: the normal forms that training text gives to slots; options.slots_of: each intent's slots."""
        del manifest, held_out, pipeline
        learnt = {"values": learn_values(train), "slots_of": learn_slots_of(train)}
        return {name: value for name, value in learnt.items() if value}

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """In percent: `exact` (intent, and type and span of every slot), `exact_value` (the slots' values too), the
        intents' `accuracy`, and `span_metrics` of the slots.
        """
        right = np.zeros((len(examples), 3))  # exact, exact with values, intent
        expected_spans, predicted_spans = [], []
        for row, example, answer in zip(right, examples, answers, strict=True):
            expected, predicted = expected_slots(example), predicted_slots(answer)
            expected_spans.append(set(expected))
            predicted_spans.append(set(predicted))
            if isinstance(answer, str):
                continue
            same_intent = _intent(answer, manifest) == example.target["intent"]
            exact = same_intent and set(expected) == set(predicted)
            row[:] = (exact, same_intent and expected == predicted, same_intent)
        return {
            "exact": RowMetric(rows=right[:, 0], of=mean),
            "exact_value": RowMetric(rows=right[:, 1], of=mean),
            "accuracy": RowMetric(rows=right[:, 2], of=mean),
            **span_metrics(expected_spans, predicted_spans),
        }

    def confusion(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> np.ndarray | None:
        """Of the intents."""
        number = {label.id: i for i, label in enumerate(manifest.labels)}
        expected = [number[example.target["intent"]] for example in examples]
        return confusion(as_pairs(expected, [predicted_class(answer) for answer in answers]), len(number))

    def class_report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> list[ClassRow]:
        """A row for each type of slots."""
        expected, predicted = map(expected_slots, examples), map(predicted_slots, answers)
        return span_classes(list(map(set, expected)), list(map(set, predicted)))

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """The text, the intents where they differ, missed and invented slots."""
        text = example.texts[0]
        if isinstance(answer, str):
            return {"text": text, "error": answer}
        expected, predicted = expected_slots(example), predicted_slots(answer)
        intent = _intent(answer, manifest)
        row: JsonObject = {"text": text}
        if intent != example.target["intent"]:
            row |= {"expected": example.target["intent"], "predicted": intent, "score": answer.result["score"]}
        if set(expected) != set(predicted):
            missed = {span: value for span, value in expected.items() if span not in predicted}
            invented = {span: value for span, value in predicted.items() if span not in expected}
            row |= {"missed": _rows(missed, text), "invented": _rows(invented, text)}
        return row if len(row) > 1 else None


def expected_slots(example: Example) -> dict[Span, str]:
    """(start, end, slot) -> value, as labelled."""
    return {(start, end, slot): value for start, end, slot, value in example.target["slots"]}


def predicted_slots(answer: Answer | str) -> dict[Span, str]:
    """(start, end, slot) -> value, as answered."""
    if isinstance(answer, str):
        return {}
    return {(slot["start"], slot["end"], slot["slot"]): slot["value"] for slot in answer.result["slots"]}


def learn_values(examples: Sequence[Example]) -> dict[str, dict[str, str]]:
    """{slot: {surface form: value}} where the examples clearly agree on another value, the MAX_VALUES most frequent.

    A surface form that is mostly its own value, or that has now this value and now that, is left out.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for example in examples:
        for start, end, slot, value in example.target["slots"]:
            counts[slot, example.texts[0][start:end]][value] += 1
    clear = []
    for (slot, surface), value_counts in counts.items():
        value, count = min(value_counts.items(), key=lambda item: (-item[1], item[0]))
        if value != surface and count > CLEAR_MAJORITY * value_counts.total():
            clear.append((-count, slot, surface, value))
    values: dict[str, dict[str, str]] = {}
    for _, slot, surface, value in sorted(sorted(clear)[:MAX_VALUES], key=lambda row: row[1:]):
        values.setdefault(slot, {})[surface] = value
    return values


def learn_slots_of(examples: Sequence[Example]) -> dict[str, list[str]]:
    """{intent: the slots that its examples have}, sorted; an intent without examples is left out."""
    slots: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        slots[example.target["intent"]].update(slot for _, _, slot, _ in example.target["slots"])
    return {intent: sorted(slots[intent]) for intent in sorted(slots)}


def _intent(answer: Answer, manifest: Manifest) -> str:
    return manifest.labels[int(answer.numeric["LABEL_ID"])].id


def _rows(slots: Mapping[Span, str], text: str) -> list[JsonObject]:
    return [
        {"slot": slot, "text": text[start:end], "value": value, "start": start, "end": end}
        for (start, end, slot), value in sorted(slots.items())
    ]


KIND = IntentSlotsBuilder()
