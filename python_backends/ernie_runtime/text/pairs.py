"""Windows of two texts, with the special tokens and token types of the tokenizer: [CLS] first [SEP] second [SEP]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ManifestError
from ..manifest import Limits, Manifest
from .windows import Document, DocumentBuilder, Window, read_texts, window_starts

if TYPE_CHECKING:
    from .tokenizer import TokenizedText, Tokenizer

SPECIAL = 3  # [CLS] and two [SEP]; a tokenizer may have more


def check_pair_limits(manifest: Manifest, special: int = SPECIAL) -> None:
    """ManifestError where a window has no room for one token of each text: one of them would never be read."""
    if manifest.limits.max_length < special + 2:
        raise ManifestError(
            f"task {manifest.task}: max_length {manifest.limits.max_length} has no room for two texts and their "
            f"{special} special tokens; it must be at least {special + 2}"
        )


def pair_window(owner: int, first: np.ndarray, second: np.ndarray, offsets: np.ndarray, tokenizer: Tokenizer) -> Window:
    """One row. first, second: ids, int64; offsets: int32 [len(second), 2], those of the second text.

    Tokens of the first text have offsets (0, 0), like special tokens: answers are cut from the second text.
    """
    first_end, second_start = len(first) + 1, len(first) + 1 + len(tokenizer.pair.between)
    input_ids = np.empty(second_start + len(second) + 1, np.int64)
    input_ids[0], input_ids[1:first_end] = tokenizer.cls_id, first
    input_ids[first_end:second_start] = tokenizer.pair.between
    input_ids[second_start:-1], input_ids[-1] = second, tokenizer.sep_id
    token_type_ids = np.zeros_like(input_ids)
    token_type_ids[second_start:] = tokenizer.pair.second_type
    all_offsets = np.zeros((len(input_ids), 2), np.int32)
    all_offsets[second_start:-1] = offsets
    return Window(owner=owner, input_ids=input_ids, token_type_ids=token_type_ids, offsets=all_offsets)


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """The number of tokens kept of each text where both must fit `room`: the longer one is cut first."""
    half = room // 2
    if first + second <= room:
        return first, second
    if first <= half:
        return first, room - first
    if second <= room - half:
        return room - second, second
    return half, room - half


def pair_windows(
    owner: int,
    first: TokenizedText,
    second: TokenizedText,
    tokenizer: Tokenizer,
    limits: Limits,
    first_tokens: int | None = None,
) -> tuple[list[Window], bool]:
    """The windows of a pair, and whether tokens were left out.

    Overflow "truncate": one window, the longer text is cut. Overflow "window": the second text is cut into
    overlapping windows, and the first is repeated in each, in at most half of the window. Either way the first text is
    cut to `first_tokens` beforehand, where that is given.
    """
    room, head = limits.max_length - tokenizer.pair.special, first.ids[:first_tokens]
    if limits.overflow == "truncate":
        first_kept, second_kept = longest_first(len(head), len(second.ids), room)
        window = pair_window(
            owner, head[:first_kept], second.ids[:second_kept], second.offsets[:second_kept], tokenizer
        )
        return [window], first_kept + second_kept < len(first.ids) + len(second.ids)
    head = head[: room // 2]
    room -= len(head)
    windows = [
        pair_window(owner, head, second.ids[start : start + room], second.offsets[start : start + room], tokenizer)
        for start in window_starts(len(second.ids), room, min(limits.doc_stride, room), limits.overflow)
    ]
    return windows, len(head) < len(first.ids)


def pair_documents(
    items: Sequence[tuple[bytes | str, ...]],
    tokenizer: Tokenizer,
    limits: Limits,
    names: tuple[str, str] = ("the text", "the second text"),
    first_tokens: int | None = None,
) -> tuple[list[Document], list[Window]]:
    """Like `windows.single_text_documents`, for items of two texts; a document's `text` is the second one.

    names: what messages call the two texts.
    """
    builder = DocumentBuilder(tokenizer)
    for text, first, second in good_pairs(items, builder, limits, names):
        windows, truncated = pair_windows(builder.owner, first, second, tokenizer, limits, first_tokens)
        builder.add(text, len(first.ids) + len(second.ids), windows, truncated)
    return builder.documents, builder.windows


def good_pairs(
    items: Sequence[tuple[bytes | str, ...]], builder: DocumentBuilder, limits: Limits, names: tuple[str, str]
) -> Iterator[tuple[str, TokenizedText, TokenizedText]]:
    """(second text, tokens of both) of each item that can be answered; `builder` gets the refused ones, in order."""
    texts, errors = read_texts(items, limits, names)
    tokenized = builder.tokenize([text for pair in texts for text in pair])
    for i, (pair, fault) in enumerate(zip(texts, errors, strict=True)):
        both = tokenized[2 * i : 2 * i + 2]
        for text, tokens, name in zip(pair, both, names, strict=True):
            if fault is None and len(tokens.ids) == 0:
                fault = builder.empty_fault(text, name)
        if fault is not None:
            builder.refuse(pair[1], fault)
            continue
        yield pair[1], both[0], both[1]
