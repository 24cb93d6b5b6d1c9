"""The likeliest tokens for each [MASK] of a text: the pre-training task itself, served.

The encoder's graph ends in softmax and top-k, so that only the best scores leave the encoder, not the vocabulary's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..errors import Faults
from ..json_types import JsonObject
from ..manifest import Limits, Manifest
from ..names import TEXT, TOP_IDS, TOP_SCORES
from ..numeric import check_finite
from ..results import MasksResult, ScoredToken
from ..text.sentencepiece_text import BLANK
from ..text.tokenization import SPECIAL_TOKENS
from ..text.tokenizer import TokenizedText, Tokenizer
from ..text.windows import Document, DocumentBuilder, Window, empty_fault, make_windows, read_texts, window_starts
from . import Answer, TensorSpec, WindowOutput, check_option_names

MASK = "[MASK]"
OPTIONS = ("top_k", "tokens")
TOP_K, MAX_TOP_K = 5, 100
UNUSED = re.compile(r"\[unused\d+\]")  # spare entries of a vocabulary


def options_of(vocabulary: Sequence[str]) -> JsonObject:
    """The options that a manifest needs besides `top_k`: the tokens by id, one per line, empty for special ones."""
    return {"tokens": "\n".join(vocabulary)}


@lru_cache(maxsize=64)
def readable(tokens: str) -> list[str | None]:
    """The text of each token, by id: "ing" for WordPiece's "##ing", for SentencePiece's "▁ing"; None for no text."""
    lines = tokens.split("\n")
    if any(token.startswith(BLANK) for token in lines):  # SentencePiece, where "##" is text
        return [token.removeprefix(BLANK) or None for token in lines]
    return [
        None if token in ("", *SPECIAL_TOKENS) or UNUSED.fullmatch(token) else token.removeprefix("##") or token
        for token in lines
    ]


def join_pieces(pieces: Sequence[TokenizedText], texts: Sequence[str], mask_id: int) -> tuple[TokenizedText, list[int]]:
    """The tokens of a text from those of the pieces between its masks, and the index of each mask's token."""
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


def mask_positions(masks: Sequence[int], tokens: int, limits: Limits) -> list[tuple[int, int]]:
    """(window, row in it) of each mask: in the window where it lies farthest from an edge, the first of equals.

    masks: indices of the masks among the `tokens` tokens of a text.
    """
    room = limits.max_length - 2
    starts = np.array(window_starts(tokens, room, limits.doc_stride, limits.overflow))
    length = min(tokens, room)
    positions = []
    for mask in masks:
        position = mask - starts
        context = np.minimum(position, length - 1 - position)  # negative where the window does not hold it
        window = int(context.argmax())
        positions.append((window, int(position[window]) + 1))
    return positions


class FillMask:
    """TEXT with [MASK] -> RESULT with `masks` (the likeliest tokens of each one, in order) and `positions`.

    Options of the manifest: `top_k`, and `tokens` (see `options_of`), which the builder adds. Only windows that a mask
    is answered from are run.
    """

    name = "fill_mask"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(TEXT, "BYTES", (1,)),)
    offsets = False  # `Document.extra` says where the masks are

    def check(self, manifest: Manifest) -> None:
        """Options are known, top_k is in range, no mask can be cut off, and a published manifest has all tokens."""
        faults = Faults()
        with faults.collect():
            check_option_names(manifest, OPTIONS)
        top_k = manifest.options.get("top_k", TOP_K)
        if type(top_k) is not int or not 1 <= top_k <= MAX_TOP_K:
            faults.lines.append(f"task {manifest.task}: option top_k is {top_k!r}, expected 1 to {MAX_TOP_K}")
        if manifest.limits.overflow != "window":
            faults.lines.append(f'task {manifest.task}: {self.name} needs overflow "window": a mask may come late')
        tokens = manifest.options.get("tokens")
        count = len(readable(tokens)) if isinstance(tokens, str) else 0
        is_built = tokens is not None or manifest.version > 0
        if is_built and count != manifest.vocabulary_size:
            faults.lines.append(
                f"task {manifest.task}: option tokens has {count:,} lines, "
                f"the vocabulary {manifest.vocabulary_size:,}: publish the task again"
            )
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """None."""
        return ()

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """top_scores FP32 [tokens, K] (probabilities, best first), top_ids INT64 [tokens, K].

        K exceeds top_k by the number of special tokens, which are no answers.
        """
        k = min(manifest.options.get("top_k", TOP_K) + len(SPECIAL_TOKENS), manifest.vocabulary_size)
        return (TensorSpec(TOP_SCORES, "FP32", (-1, k)), TensorSpec(TOP_IDS, "INT64", (-1, k)))

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """One document per item; `extra` holds `masks`: [window, row in it, start, end in characters] of each."""
        texts, errors = read_texts(items, manifest.limits)
        split = [text.split(MASK) for (text,) in texts]
        tokenized = iter(tokenizer([piece for pieces in split for piece in pieces]))
        builder = DocumentBuilder(tokenizer)
        for (text,), pieces, fault in zip(texts, split, errors, strict=True):
            whole, masks = join_pieces([next(tokenized) for _ in pieces], pieces, tokenizer.mask_id)
            if fault is not None or not masks:
                missing = f"the text has no {MASK}: write {MASK} where a word is missing"
                builder.refuse(text, fault or (missing if len(whole.ids) else empty_fault(text)))
                continue
            windows = make_windows(builder.owner, whole, tokenizer, manifest.limits)
            positions = mask_positions(masks, len(whole.ids), manifest.limits)
            used = sorted({window for window, _ in positions})
            rows = [
                [used.index(window), row, *whole.offsets[mask].tolist()]
                for mask, (window, row) in zip(masks, positions, strict=True)
            ]
            builder.add(text, len(whole.ids), [windows[i] for i in used], False, {"masks": rows})
        return builder.documents, builder.windows

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """At most top_k tokens per mask, best first; of equal scores the lower id, which is the more frequent token."""
        top_k, words = manifest.options.get("top_k", TOP_K), readable(manifest.options["tokens"])
        answers = []
        for document, windows in zip(documents, outputs, strict=True):
            masks = []
            for window, row, _, _ in document.extra["masks"]:
                tensors = windows[window].tensors
                masks.append(best_tokens(tensors[TOP_SCORES][row], tensors[TOP_IDS][row], words)[:top_k])
            positions = [[start, end] for _, _, start, end in document.extra["masks"]]
            result: MasksResult = {"masks": masks, "positions": positions}
            answers.append(Answer(result, {}))
        return answers


def best_tokens(scores: np.ndarray, ids: np.ndarray, words: Sequence[str | None]) -> list[ScoredToken]:
    """The answers for one mask; two tokens with the same text ("ing", "##ing") are one, with the sum of their scores.

    scores: float32 [K]; ids: int64 [K]. EngineError where a score is not finite.
    """
    check_finite(scores)
    totals: dict[str, float] = {}
    order = np.lexsort((ids, -scores))
    for id, score in zip(ids[order].tolist(), scores[order].tolist(), strict=True):
        word = words[id]
        if word is not None:
            totals[word] = totals.get(word, 0.0) + score
    ranked = sorted(totals.items(), key=lambda item: -item[1])
    return [{"token": word, "score": round(score, 6)} for word, score in ranked]


KIND = FillMask()
