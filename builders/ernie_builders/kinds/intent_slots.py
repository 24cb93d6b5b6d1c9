"""Intent and slots, the building side. Metric: utterances whose intent and slots are all right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.intent_slots import slot_tags
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

from ..readers import Example
from . import BuilderKind, Targets
from .token_classification import Span, span_metrics, tags_of

CLEAR_MAJORITY = 2 / 3  # part of a surface's occurrences that must agree on its value
MAX_VALUES = 2000  # the manifest travels in the model's configuration: some tens of kilobytes, no more


class IntentSlotsBuilder(BuilderKind):
    """Target: {"intent": id, "slots": [[start, end, slot, value], ...]}, in characters."""

    main_metric = "exact"

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """Intent and slot types are the task's; slots lie in the text and do not overlap."""
        target = example.target
        if not isinstance(target, dict) or not {"intent", "slots"} <= set(target):
            return "expected an intent and slots, as the format nlpcc_slu gives them"
        ids = [label.id for label in manifest.labels]
        if target["intent"] not in ids:
            return f"intent {target['intent']!r} is none of {', '.join(ids)}"
        known = manifest.options["slots"]
        last = 0
        for start, end, slot, _ in target["slots"]:
            if slot not in known:
                return f"slot {slot!r} is none of {', '.join(known)} (the task's options.slots)"
            if not last <= start < end <= len(example.texts[0]):
                return f"slot {slot} at {start}..{end} overlaps another or lies outside the text"
            last = end
        return None

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """Every window of a long utterance learns its intent, and the tags of its own tokens."""
        intent = np.array([label.id for label in manifest.labels].index(example.target["intent"]), np.int64)
        index, spans = slot_tags(manifest).index, example.target["slots"]
        return [{"intent": intent, "tags": tags} for tags in tags_of(windows, example.texts[0], spans, index)]

    def model(self, config: Any, manifest: Manifest) -> Any:
        """The encoder with two heads: dropout and linear on the pooled output, and on each token's."""
        import paddle
        from paddlenlp.transformers import ErnieModel

        slot_tags_count = len(slot_tags(manifest).tags)

        class ErnieForIntentSlots(paddle.nn.Layer):
            """(input_ids, token_type_ids) int64 [B, L] -> intent logits [B, C], slot logits [B, L, T]."""

            def __init__(self) -> None:
                super().__init__()
                self.ernie = ErnieModel(config)
                self.intent_dropout = paddle.nn.Dropout(config.hidden_dropout_prob)
                self.slot_dropout = paddle.nn.Dropout(config.hidden_dropout_prob)
                self.intent_classifier = paddle.nn.Linear(config.hidden_size, config.num_labels)
                self.slot_classifier = paddle.nn.Linear(config.hidden_size, slot_tags_count)

            def forward(self, input_ids: Any, token_type_ids: Any = None) -> tuple[Any, Any]:
                tokens, pooled = self.ernie(input_ids, token_type_ids=token_type_ids)
                return (
                    self.intent_classifier(self.intent_dropout(pooled)),
                    self.slot_classifier(self.slot_dropout(tokens)),
                )

        return ErnieForIntentSlots()

    def outputs(self, raw: Any) -> dict[str, Any]:
        """intent_logits [B, intents], slot_logits [B, L, tags]."""
        intent, slots = raw
        return {"intent_logits": intent, "slot_logits": slots}

    def loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """The sum of both heads' cross entropy, as in ERNIE 3.0 Tiny's joint model."""
        import paddle.nn.functional as F

        from ._layers import token_loss

        intent = F.cross_entropy(outputs["intent_logits"], targets["intent"])
        return intent + token_loss(outputs["slot_logits"], targets["tags"])

    def learn(
        self, manifest: Manifest, train: Sequence[Example], dev: Sequence[Example], pipeline: Callable[[], Pipeline]
    ) -> dict[str, Any]:
        """options.values: what the training text corrects a slot's surface to; options.slots_of: an intent's slots."""
        del manifest, dev, pipeline
        learnt = {"values": learn_values(train), "slots_of": learn_slots_of(train)}
        return {name: value for name, value in learnt.items() if value}

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """In percent: `exact` (intent and every slot's type and span), `exact_value` (their values too), the intents'
        accuracy, the slots' precision, recall and F1, and the same for each type.
        """
        exact = exact_value = intents = 0
        gold, found = [], []
        for example, answer in zip(examples, answers, strict=True):
            expected, predicted = gold_slots(example), found_slots(answer)
            gold.append(set(expected))
            found.append(set(predicted))
            if isinstance(answer, str):
                continue
            right = _intent(answer, manifest) == example.target["intent"]
            intents += right
            exact += right and set(expected) == set(predicted)
            exact_value += right and expected == predicted
        share = 100 / max(len(examples), 1)
        return {
            "exact": round(share * exact, 3),
            "exact_value": round(share * exact_value, 3),
            "accuracy": round(share * intents, 3),
            **span_metrics(gold, found),
        }

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> dict[str, Any] | None:
        """Text, intents where they differ, missed and invented slots."""
        text = example.texts[0]
        if isinstance(answer, str):
            return {"text": text, "error": answer}
        expected, predicted = gold_slots(example), found_slots(answer)
        intent = _intent(answer, manifest)
        row: dict[str, Any] = {"text": text}
        if intent != example.target["intent"]:
            row |= {"expected": example.target["intent"], "predicted": intent, "score": answer.result["score"]}
        if set(expected) != set(predicted):
            row["missed"] = _rows({s: v for s, v in expected.items() if s not in predicted}, text)
            row["invented"] = _rows({s: v for s, v in predicted.items() if s not in expected}, text)
        return row if len(row) > 1 else None


def gold_slots(example: Example) -> dict[Span, str]:
    """(start, end, slot) -> value, as labelled."""
    return {(start, end, slot): value for start, end, slot, value in example.target["slots"]}


def found_slots(answer: Answer | str) -> dict[Span, str]:
    """(start, end, slot) -> value, as answered."""
    if isinstance(answer, str):
        return {}
    return {(slot["start"], slot["end"], slot["slot"]): slot["value"] for slot in answer.result["slots"]}


def learn_values(examples: Sequence[Example]) -> dict[str, dict[str, str]]:
    """{slot: {surface: value}} where the examples clearly correct a surface, the most frequent MAX_VALUES of them.

    A surface that is mostly meant as it stands, or corrected now to this and now to that, is left out.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for example in examples:
        for start, end, slot, value in example.target["slots"]:
            counts[slot, example.texts[0][start:end]][value] += 1
    clear = []
    for (slot, surface), seen in counts.items():
        value, count = min(seen.items(), key=lambda item: (-item[1], item[0]))
        if value != surface and count > CLEAR_MAJORITY * seen.total():
            clear.append((-count, slot, surface, value))
    values: dict[str, dict[str, str]] = {}
    for _, slot, surface, value in sorted(sorted(clear)[:MAX_VALUES], key=lambda row: row[1:]):
        values.setdefault(slot, {})[surface] = value
    return values


def learn_slots_of(examples: Sequence[Example]) -> dict[str, list[str]]:
    """{intent: the slots that examples of it have}, sorted; an intent without examples is left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        found[example.target["intent"]].update(slot for _, _, slot, _ in example.target["slots"])
    return {intent: sorted(found[intent]) for intent in sorted(found)}


def _intent(answer: Answer, manifest: Manifest) -> str:
    return manifest.labels[int(answer.numeric["LABEL_ID"])].id


def _rows(slots: Mapping[Span, str], text: str) -> list[dict[str, Any]]:
    return [{"slot": k, "text": text[s:e], "value": v, "start": s, "end": e} for (s, e, k), v in sorted(slots.items())]


KIND = IntentSlotsBuilder()
