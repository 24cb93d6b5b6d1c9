"""Plain text: UTF-8, one text a line; for kinds of several inputs their texts stand on one line, tabs between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ernie_runtime.tokenization import ErnieTokenizer

from ..errors import DataError
from ..readers import lines

HELD_OUT, MOST_HELD_OUT = 50, 128  # one sequence of so many is held out, and at most so many in all
CHUNK = 1000  # texts tokenized together


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


def packed(texts: Sequence[str], tokenizer: ErnieTokenizer, length: int) -> np.ndarray:
    """int64 [N, length]: the texts' tokens in one stream, [SEP] after each, cut into [CLS] ... [SEP] without padding.

    DataError where they are too few to train and to hold some out.
    """
    if length < 4:
        raise DataError(f"--length {length}: must be at least 4 tokens")
    parts = []
    for start in range(0, len(texts), CHUNK):
        for text in tokenizer(texts[start : start + CHUNK]):
            if len(text.ids):
                parts += [text.ids, np.array([tokenizer.sep_id])]
    stream = np.concatenate(parts) if parts else np.zeros(0, np.int64)
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


def split(sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(to train on, held out): the last ones are held out, at least one."""
    held = min(max(1, len(sequences) // HELD_OUT), MOST_HELD_OUT)
    return sequences[:-held], sequences[-held:]


def batch_indices(count: int, size: int, step: int, seed: int) -> np.ndarray:
    """int64 [size]: the rows of a step's batch, out of endless shuffled rounds through `count` rows."""
    places = np.arange(step * size, (step + 1) * size)
    rounds = {number: np.random.default_rng([seed, number]).permutation(count) for number in set(places // count)}
    return np.array([rounds[place // count][place % count] for place in places.tolist()])
