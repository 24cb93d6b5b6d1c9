"""Plain text: UTF-8, one text per line; the texts of a kind with several inputs are on one line, separated by tabs.

Task-agnostic distillation also reads packed tokens (`.u16`, `.u16.xz`), as pre-training does: little-endian uint16,
bits 0 to 14 the id, bit 15 set if the token continues a word, [SEP] after each document.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer

from ..errors import DataError
from ..readers.files.lines import lines, unpacked_bytes

HELD_OUT, MOST_HELD_OUT = 50, 128  # one sequence in 50 is held out, at most 128
CHUNK = 1000  # texts tokenized at once
PACKED, ID_BITS = (".u16", ".u16.xz"), 0x7FFF


def read_texts(paths: Sequence[Path], inputs: int = 1, rows: int = 0) -> list[tuple[str, ...]]:
    """The texts of all files in order, without blank lines; DataError names file and line.

    inputs: number of texts per line. rows: take at most this many, from the start; 0: all.
    """
    all_texts: list[tuple[str, ...]] = []
    for path in paths:
        count_before = len(all_texts)
        for number, line in lines(path):
            if not line.strip():
                continue
            texts = tuple(line.split("\t")) if inputs > 1 else (line,)
            if len(texts) != inputs:
                raise DataError(
                    f"{path}:{number}: {len(texts)} texts, the task takes {inputs}: put a tab between each two"
                )
            all_texts.append(texts)
        if len(all_texts) == count_before:
            raise DataError(f"{path}: holds no text; expected one text a line")
    return all_texts[: rows or None]


def _stream(texts: Sequence[str], tokenizer: Tokenizer, characters: float) -> np.ndarray:
    by_character = tokenizer.for_characters()
    parts = [np.zeros(0, np.int64)]
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        # Spread evenly: text i is read by character where i * characters passes a whole number.
        is_by_character = np.diff(np.floor(np.arange(start, start + len(chunk) + 1) * characters)) > 0
        tokens = [
            iter(part([text for text, is_chosen in zip(chunk, is_by_character, strict=True) if is_chosen == chosen]))
            for part, chosen in ((tokenizer, False), (by_character, True))
        ]
        for is_chosen in is_by_character:
            ids = next(tokens[int(is_chosen)]).ids
            if len(ids):
                parts += [ids, np.array([tokenizer.sep_id])]
    return np.concatenate(parts)


def read_sequences(paths: Sequence[Path], tokenizer: Tokenizer, length: int, characters: float = 0.0) -> np.ndarray:
    """int64 [N, length]: the tokens of all files in one stream, cut into [CLS] ... [SEP] without padding.

    A file is plain text ([SEP] is added after each text) or packed tokens. characters: share of the texts that are read
    character by character. DataError if a file is neither, or packed tokens that would have to be read by character, or
    if there are too few tokens to train on some and hold some out.
    """
    if length < 4:
        raise DataError(f"--length {length}: must be at least 4 tokens")
    stream = np.concatenate([_tokens(path, tokenizer, characters) for path in paths])
    tokens_per_sequence = length - 2
    count = len(stream) // tokens_per_sequence
    if count < 2:
        raise DataError(
            f"the text has {len(stream):,} tokens, at least {2 * tokens_per_sequence:,} are needed for sequences of "
            f"{length}: give more text, or a smaller --length"
        )
    sequences = np.empty((count, length), np.int64)
    sequences[:, 0], sequences[:, -1] = tokenizer.cls_id, tokenizer.sep_id
    sequences[:, 1:-1] = stream[: count * tokens_per_sequence].reshape(count, tokens_per_sequence)
    return sequences


def _tokens(path: Path, tokenizer: Tokenizer, characters: float) -> np.ndarray:
    """The ids of a file, int64 [T]."""
    if path.name.endswith(PACKED):
        if characters:
            raise DataError(
                f"{path}: --characters {characters} needs plain text; `build unpack-text` makes it from tokens"
            )
        return _packed_file(path, tokenizer)
    return _stream([text for (text,) in read_texts([path])], tokenizer, characters)


def _packed_file(path: Path, tokenizer: Tokenizer) -> np.ndarray:
    """The ids of a file of packed tokens, int64 [T]."""
    raw = unpacked_bytes(path)
    if not raw or len(raw) % 2:
        raise DataError(f"{path}: {len(raw):,} bytes are no packed tokens, two bytes each")
    ids = (np.frombuffer(raw, "<u2") & ID_BITS).astype(np.int64)
    if ids.max() >= tokenizer.vocab_size:
        raise DataError(
            f"{path}: holds token {ids.max():,}, the teacher's vocabulary has {tokenizer.vocab_size:,} entries: "
            "packed with another vocabulary"
        )
    return ids


def split(sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sequences to train on, held-out sequences): the last ones are held out, at least one."""
    held_out = min(max(1, len(sequences) // HELD_OUT), MOST_HELD_OUT)
    return sequences[:-held_out], sequences[-held_out:]


def batch_indices(count: int, size: int, step: int, seed: int) -> np.ndarray:
    """The rows of a step's batch, int64 [size]: epochs of `count` shuffled rows follow one another."""
    positions = range(step * size, (step + 1) * size)
    return np.array([_epoch_order(count, seed, position // count)[position % count] for position in positions])


@lru_cache(maxsize=2)  # a batch may begin in one epoch and end in the next
def _epoch_order(count: int, seed: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(count)
