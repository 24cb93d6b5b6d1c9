"""One intent per utterance, and its slots as exact character spans.

The joint model of ERNIE 3.0 Tiny: one encoder with a head for the intent and one for the slots' BIO tags. Both answers
are chosen together: the likeliest pair of an intent and slots that it can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..errors import Faults
from ..manifest import Manifest
from ..names import INTENT_LOGITS, LABEL_ID, SCORE, SLOT_LOGITS
from ..numeric import softmax
from ..results import IntentResult, SlotSpan
from ..text.bio import IMPOSSIBLE, TagSet, joined_tokens, log_probabilities, tagged_spans, token_gaps
from ..text.windows import Document
from . import Answer, OneText, TensorSpec, WindowOutput, check_option_names
from .sequence_classification import mean_probabilities
from .token_classification import stitch, tag_set

OPTIONS = ("slots", "values", "slots_of")


def slot_tags(manifest: Manifest) -> TagSet:
    """The tags of the slot head, in the order of its logits: O, then B- and I- of each of options.slots."""
    return tag_set(TagSet.of_types(manifest.options["slots"]).tags)


def allowed_tags(tags: TagSet, manifest: Manifest) -> np.ndarray:
    """bool [intents, tags]: the tags that each intent allows by options.slots_of; all where it is not named."""
    slots_of = manifest.options.get("slots_of", {})
    types = [tag[2:] for tag in tags.tags]
    rows = [slots_of.get(label.id) for label in manifest.labels]
    return np.array([[slots is None or not kind or kind in slots for kind in types] for slots in rows])


def choose_intent(
    intent: np.ndarray,
    tags: TagSet,
    allowed: np.ndarray,
    scores: np.ndarray,
    joined: np.ndarray,
    apart: np.ndarray | None = None,
) -> tuple[int, np.ndarray]:
    """The likeliest pair of an intent and a path of tags that it allows; ties go to the first intent.

    intent: probabilities [intents]; scores: log-probabilities [n, tags]; joined, apart: see `TagSet.best_path`.
    """
    best, path = int(np.argmax(intent)), tags.best_path(scores, joined, apart)
    if allowed[best, path].all():
        return best, path  # the best of both, so the best pair
    likelihood, highest = log_probabilities(intent), -np.inf
    for row in np.unique(allowed, axis=0):  # intents with the same slots have the same path
        intents = np.flatnonzero((allowed == row).all(axis=1))
        candidate = int(intents[np.argmax(intent[intents])])
        masked = np.where(row, scores, IMPOSSIBLE)
        candidate_path = tags.best_path(masked, joined, apart)
        value = float(likelihood[candidate]) + tags.path_score(candidate_path, masked, joined, apart)
        if value > highest or (value == highest and candidate < best):
            best, path, highest = candidate, candidate_path, value
    return best, path


def _values_faults(values: object, slots: Sequence[str], where: str) -> Iterator[str]:
    """What is wrong with options.values."""
    if not isinstance(values, Mapping) or not all(isinstance(v, Mapping) for v in values.values()):
        yield f"{where}: options.values must be a table {{slot: {{text: value}}}}"
        return
    for slot, normal_forms in values.items():
        if slot not in slots:
            yield f"{where}: options.values has {slot!r}, which options.slots has not"
        elif not all(isinstance(value, str) for value in normal_forms.values()):
            yield f"{where}: options.values.{slot} has a value that is not a string"


def _slots_of_faults(slots_of: object, slots: Sequence[str], intents: Sequence[str], where: str) -> Iterator[str]:
    """What is wrong with options.slots_of."""
    if not isinstance(slots_of, Mapping) or not all(isinstance(s, (list, tuple)) for s in slots_of.values()):
        yield f"{where}: options.slots_of must be a table {{intent: [slots]}}"
        return
    for intent, intent_slots in slots_of.items():
        unknown = [slot for slot in intent_slots if slot not in slots] + ([] if intent in intents else [intent])
        yield from (f"{where}: options.slots_of has {name!r}, which the task has not" for name in unknown)


class IntentSlots(OneText):
    """TEXT -> LABEL_ID and SCORE of the intent, RESULT with `intent` and `slots`.

    The manifest's labels are the intents. options.slots: the slot types. Learnt from the training text: options.values,
    {slot: {text: its normal form}}, and options.slots_of, {intent: the slots it can have}.
    """

    name = "intent_slots"
    offsets = True

    def check(self, manifest: Manifest) -> None:
        """At least two intents; slot types are distinct names; the learnt options name only these."""
        where, faults, options = f"task {manifest.task}: {self.name}", Faults(), manifest.options
        with faults.collect():
            check_option_names(manifest, OPTIONS)
        if len(manifest.labels) < 2:
            faults.lines.append(f"{where} needs at least two labels, its intents")
        slots = options.get("slots")
        if not isinstance(slots, (list, tuple)) or not slots or not all(isinstance(s, str) and s for s in slots):
            faults.lines.append(f"{where} needs options.slots, a list of the slot types")
        else:
            if len(set(slots)) != len(slots):
                faults.lines.append(f"{where}: options.slots names a slot type twice")
            faults.lines += _values_faults(options.get("values", {}), slots, where)
            ids = [label.id for label in manifest.labels]
            faults.lines += _slots_of_faults(options.get("slots_of", {}), slots, ids, where)
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """The intent's LABEL_ID INT64 [1], SCORE FP32 [1]."""
        return (TensorSpec(LABEL_ID, "INT64", (1,)), TensorSpec(SCORE, "FP32", (1,)))

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """intent_logits FP32 [intents], slot_logits FP32 [tokens, tags]."""
        return (
            TensorSpec(INTENT_LOGITS, "FP32", (len(manifest.labels),)),
            TensorSpec(SLOT_LOGITS, "FP32", (-1, len(slot_tags(manifest).tags))),
        )

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The intent by mean probability over windows, stitched tags; see `choose_intent`. SCORE is the intent's."""
        if not outputs:
            return []
        tags, values = slot_tags(manifest), manifest.options.get("values", {})
        allowed = allowed_tags(tags, manifest)
        intents = mean_probabilities(outputs, INTENT_LOGITS)
        stitched = [stitch(d, w, SLOT_LOGITS, manifest.limits) for d, w in zip(documents, outputs, strict=True)]
        # One call for all texts: for short texts numpy's calls cost more than their work.
        all_probabilities = softmax(np.concatenate([logits for logits, _ in stitched]))
        logarithms = log_probabilities(all_probabilities)
        answers, last = [], 0
        for document, intent, (_, offsets) in zip(documents, intents, stitched, strict=True):
            first, last = last, last + len(offsets)
            probabilities, scores = all_probabilities[first:last], logarithms[first:last]
            joined, gaps = joined_tokens(document.text, offsets), token_gaps(document.text, offsets)
            best, path = choose_intent(intent, tags, allowed, scores, joined, gaps)
            slots: list[SlotSpan] = []
            for start, end, slot, score in tagged_spans(tags, path, probabilities, offsets):
                text = document.text[start:end]
                value = values.get(slot, {}).get(text, text)
                slots.append({"slot": slot, "text": text, "value": value, "start": start, "end": end, "score": score})
            result: IntentResult = {
                "intent": manifest.labels[best].name,
                "score": round(float(intent[best]), 6),
                "slots": slots,
            }
            answers.append(Answer(result, {LABEL_ID: best, SCORE: float(intent[best])}))
        return answers


KIND = IntentSlots()
