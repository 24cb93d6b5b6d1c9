"""Plain text: UTF-8, one text a line; for kinds of several inputs their texts stand on one line, tabs between.

Task-agnostic distillation also reads packed tokens (`.u16`, `.u16.xz`), as pre-training has them: little-endian uint16,
bits 0 to 14 the id, bit 15 set where the token continues a word, [SEP] after each document.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenization import ErnieTokenizer

from ..errors import DataError
from ..readers import lines

HELD_OUT, MOST_HELD_OUT = 50, 128  # one sequence of so many is held out, and at most so many in all
CHUNK = 1000  # texts tokenized together
PACKED, ID_BITS = (".u16", ".u16.xz"), 0x7FFF


def read_texts(paths: Sequence[Path], inputs: int = 1, rows: int = 0) -> list[tuple[str, ...]]:
    """The texts of all files in order, blank lines left out; DataError (file, line) for what is no text.

    inputs: how many texts a line holds. rows: so many at most, from the start; 0: all.
    """
    found: list[tuple[str, ...]] = []
    for path in paths:
        before = len(found)
        for number, line in lines(path):
            if not line.strip():
                continue
            texts = tuple(line.split("\t")) if inputs > 1 else (line,)
            if len(texts) != inputs:
                raise DataError(
                    f"{path}:{number}: {len(texts)} texts, the task takes {inputs}: put a tab between each two"
                )
            found.append(texts)
        if len(found) == before:
            raise DataError(f"{path}: holds no text; expected UTF-8, one text a line")
    return found[: rows or None]


def _stream(texts: Sequence[str], tokenizer: ErnieTokenizer) -> np.ndarray:
    parts = [np.zeros(0, np.int64)]
    for start in range(0, len(texts), CHUNK):
        for text in tokenizer(texts[start : start + CHUNK]):
            if len(text.ids):
                parts += [text.ids, np.array([tokenizer.sep_id])]
    return np.concatenate(parts)


def read_sequences(paths: Sequence[Path], tokenizer: ErnieTokenizer, length: int) -> np.ndarray:
    """int64 [N, length]: the tokens of all files in one stream, cut into [CLS] ... [SEP] without padding.

    A file is plain text ([SEP] goes after each) or packed tokens. DataError for one that is neither, and where the
    tokens are too few to train and to hold some out.
    """
    if length < 4:
        raise DataError(f"--length {length}: must be at least 4 tokens")
    stream = np.concatenate([_tokens(path, tokenizer) for path in paths])
    room = length - 2
    count = len(stream) // room
    if count < 2:
        raise DataError(
            f"the text has {len(stream):,} tokens, at least {2 * room:,} are needed for sequences of {length}: "
            "give more text, or a smaller --length"
        )
    sequences = np.empty((count, length), np.int64)
    sequences[:, 0], sequences[:, -1] = tokenizer.cls_id, tokenizer.sep_id
    sequences[:, 1:-1] = stream[: count * room].reshape(count, room)
    return sequences


def _tokens(path: Path, tokenizer: ErnieTokenizer) -> np.ndarray:
    """int64 [T]: the ids of a file."""
    if path.name.endswith(PACKED):
        return _packed_file(path, tokenizer)
    return _stream([text for (text,) in read_texts([path])], tokenizer)


def _packed_file(path: Path, tokenizer: ErnieTokenizer) -> np.ndarray:
    """int64 [T]: the ids of a file of packed tokens."""
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except lzma.LZMAError as error:
        raise DataError(f"{path}: cannot be unpacked ({error})") from None
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
    """(to train on, held out): the last ones are held out, at least one."""
    held = min(max(1, len(sequences) // HELD_OUT), MOST_HELD_OUT)
    return sequences[:-held], sequences[-held:]


def batch_indices(count: int, size: int, step: int, seed: int) -> np.ndarray:
    """int64 [size]: the rows of a step's batch, out of endless shuffled rounds through `count` rows."""
    places = range(step * size, (step + 1) * size)
    return np.array([_round(count, seed, place // count)[place % count] for place in places])


@lru_cache(maxsize=2)  # a batch may begin in one round and end in the next
def _round(count: int, seed: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(count)
