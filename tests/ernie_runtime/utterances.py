"""An utterance of which each character is a token, and what the encoder says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.bio import TagSet
from ernie_runtime.text.windows import Document, window_starts

MakeManifest = Callable[..., Manifest]
INTENTS = ("OTHERS", ("music.play", "play music"), "phone_call")
SLOTS = ["song", "singer", "phone_num"]
TAGS = TagSet.of_types(SLOTS)
KIND = get_kind("intent_slots")


def rows_of(tags: str, sure: float = 0.9) -> np.ndarray:
    """Log-probabilities of tags such as "O B-song I-song"."""
    rows = np.full((len(tags.split()), len(TAGS.tags)), (1 - sure) / (len(TAGS.tags) - 1))
    for row, tag in zip(rows, tags.split(), strict=True):
        row[TAGS.index[tag]] = sure
    return np.log(rows)


def answer(manifest: Manifest, text: str, slots: np.ndarray, *intents: Sequence[float]) -> Any:
    """The answer for a text of which each character is a token; intents: logits of each window, or of all."""
    room, limits = manifest.limits.max_length - 2, manifest.limits
    offsets = np.stack([np.arange(len(text)), np.arange(len(text)) + 1], 1)
    starts = window_starts(len(text), room, limits.doc_stride, limits.overflow)
    windows, loud, ends = [], np.full((1, slots.shape[1]), 99.0), np.zeros((1, 2), np.int32)
    for number, start in enumerate(starts):
        inner = slice(start, start + room)
        tensors = {
            "intent_logits": np.array(intents[number if len(intents) > 1 else 0], np.float32),
            "slot_logits": np.concatenate([loud, slots[inner], loud]).astype(np.float32),
        }
        windows.append(WindowOutput(np.concatenate([ends, offsets[inner], ends]).astype(np.int32), tensors))
    document = Document(text=text, tokens=len(text), windows=len(windows), truncated=False)
    (decoded,) = KIND.decode([document], [windows], manifest)
    return decoded
