"""The likeliest tokens for each [MASK] of a text: the pre-training task itself, served.

The encoder's graph ends in softmax and top-k, so that a token's scores cross the wire and not those of the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import ManifestError
from ..manifest import Limits, Manifest
from ..names import TEXT
from ..numeric import check_finite
from ..results import MasksResult, ScoredToken
from ..text.tokenization import SPECIAL_TOKENS, ErnieTokenizer, TokenizedText
from ..text.windows import Cut, Document, Window, empty_fault, make_windows, read_texts, window_starts
from . import Answer, TensorSpec, WindowOutput

MASK = "[MASK]"
OPTIONS = ("top_k", "tokens")
TOP_K, MOST = 5, 100
NO_WORD = re.compile(r"\[unused\d+\]")  # spare entries of a vocabulary


def options_of(vocabulary: Sequence[str]) -> dict[str, Any]:
    """What the manifest must have besides `top_k`: the tokens by id, a line each."""
    return {"tokens": "\n".join(vocabulary)}


@lru_cache(maxsize=64)
def readable(tokens: str) -> list[str | None]:
    """What a token stands for in a text, by id: "##ing" for "ing"; None for one that stands for nothing."""
    return [
        None if token in SPECIAL_TOKENS or NO_WORD.fullmatch(token) else token.removeprefix("##") or token
        for token in tokens.split("\n")
    ]


def join(pieces: Sequence[TokenizedText], texts: Sequence[str], mask_id: int) -> tuple[TokenizedText, list[int]]:
    """A text from the pieces between its masks, and the index of each mask's token; offsets are those of the text."""
    ids, offsets, masks = [], [], []
    start = tokens = 0
    for number, (piece, text) in enumerate(zip(pieces, texts, strict=True)):
        if number:
            masks.append(tokens)
            ids.append(np.array([mask_id], np.int64))
            offsets.append(np.array([[start, start + len(MASK)]], np.int32))
            start, tokens = start + len(MASK), tokens + 1
        ids.append(piece.ids)
        offsets.append(piece.offsets + np.int32(start))
        start, tokens = start + len(text), tokens + len(piece.ids)
    return TokenizedText(np.concatenate(ids), np.concatenate(offsets)), masks


def places(masks: Sequence[int], tokens: int, limits: Limits) -> list[tuple[int, int]]:
    """(window, row in it) of each mask: in the window where it lies farthest from an edge, the first of equals."""
    room = limits.max_length - 2
    starts = np.array(window_starts(tokens, room, limits.doc_stride, limits.overflow))
    length = min(tokens, room)
    found = []
    for mask in masks:
        position = mask - starts
        context = np.minimum(position, length - 1 - position)  # below 0 where the window does not hold it
        window = int(context.argmax())
        found.append((window, int(position[window]) + 1))
    return found


class FillMask:
    """TEXT with [MASK] -> RESULT with `masks`: for each one, in order, its likeliest tokens; and `positions`.

    Options of the manifest: `top_k`, and `tokens` (see `options_of`), which the builder adds. Only windows that answer
    a mask are run.
    """

    name = "fill_mask"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(TEXT, "BYTES", (1,)),)
    offsets = False  # `Document.extra` says where the masks are

    def check(self, manifest: Manifest) -> None:
        """Options are known, top_k can be answered, no mask is cut off, a published manifest has all tokens."""
        unknown = [name for name in manifest.options if name not in OPTIONS]
        if unknown:
            raise ManifestError(f"task {manifest.task}: option {unknown[0]!r} is none of {', '.join(OPTIONS)}")
        top_k = manifest.options.get("top_k", TOP_K)
        if type(top_k) is not int or not 1 <= top_k <= MOST:
            raise ManifestError(f"task {manifest.task}: option top_k is {top_k!r}, expected 1 to {MOST}")
        if manifest.limits.overflow != "window":
            raise ManifestError(f'task {manifest.task}: {self.name} needs overflow "window": a mask may come late')
        tokens = manifest.options.get("tokens")
        if tokens is None and manifest.version == 0:
            return  # not built yet
        count = len(readable(tokens)) if isinstance(tokens, str) else 0
        if count != manifest.vocabulary_size:
            raise ManifestError(
                f"task {manifest.task}: option tokens has {count:,} lines, "
                f"the vocabulary {manifest.vocabulary_size:,}: publish the task again"
            )

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """None."""
        return ()

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """top_scores FP32 [tokens, K] (probabilities, best first), top_ids INT64 [tokens, K].

        K is above top_k by the special tokens, which are no answers.
        """
        most = min(manifest.options.get("top_k", TOP_K) + len(SPECIAL_TOKENS), manifest.vocabulary_size)
        return (TensorSpec("top_scores", "FP32", (-1, most)), TensorSpec("top_ids", "INT64", (-1, most)))

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: ErnieTokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """One text an item; `extra` holds `masks`: [window, row in it, start, end in characters] each."""
        texts, errors = read_texts(items, manifest.limits)
        split = [text.split(MASK) for (text,) in texts]
        tokenized = iter(tokenizer([piece for pieces in split for piece in pieces]))
        cut = Cut(tokenizer)
        for (text,), pieces, fault in zip(texts, split, errors, strict=True):
            whole, masks = join([next(tokenized) for _ in pieces], pieces, tokenizer.mask_id)
            if fault is not None or not masks:
                missing = f"the text has no {MASK}: write {MASK} where a word is missing"
                cut.refuse(text, fault or (missing if len(whole.ids) else empty_fault(text)))
                continue
            windows = make_windows(cut.owner, whole, tokenizer, manifest.limits)
            found = places(masks, len(whole.ids), manifest.limits)
            used = sorted({window for window, _ in found})
            rows = [
                [used.index(window), row, *whole.offsets[mask].tolist()]
                for mask, (window, row) in zip(masks, found, strict=True)
            ]
            cut.add(text, len(whole.ids), [windows[i] for i in used], False, {"masks": rows})
        return cut.documents, cut.windows

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """At most top_k tokens a mask, best first; of equal scores the lower id, which is the more frequent token."""
        top_k, words = manifest.options.get("top_k", TOP_K), readable(manifest.options["tokens"])
        answers = []
        for document, windows in zip(documents, outputs, strict=True):
            masks = []
            for window, row, _, _ in document.extra["masks"]:
                tensors = windows[window].tensors
                masks.append(best(tensors["top_scores"][row], tensors["top_ids"][row], words)[:top_k])
            positions = [[start, end] for _, _, start, end in document.extra["masks"]]
            result: MasksResult = {"masks": masks, "positions": positions}
            answers.append(Answer(result, {}))
        return answers


def best(scores: np.ndarray, ids: np.ndarray, words: Sequence[str | None]) -> list[ScoredToken]:
    """The answers for one mask; two tokens that read the same ("ing", "##ing") are one, with both scores.

    scores: float32 [K]; ids: int64 [K]. EngineError where a score is no number.
    """
    check_finite(scores)
    found: dict[str, float] = {}
    order = np.lexsort((ids, -scores))
    for id, score in zip(ids[order].tolist(), scores[order].tolist(), strict=True):
        word = words[id]
        if word is not None:
            found[word] = found.get(word, 0.0) + score
    ranked = sorted(found.items(), key=lambda item: -item[1])
    return [{"token": word, "score": round(score, 6)} for word, score in ranked]


KIND = FillMask()
