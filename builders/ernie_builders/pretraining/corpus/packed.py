"""Packed text: `tokens.u16` (or .u16.xz) beside its `vocab.txt`.

Little-endian uint16: bits 0 to 14 are the id in vocab.txt; bit 15 is set if the token continues a word. Each document
ends with [SEP]. Sentences are found by their punctuation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer

from ...errors import DataError
from ...readers.files.lines import unpacked_bytes
from .stream import Stream, sentence_ends

NAMES = ("tokens.u16", "tokens.u16.xz")
CONTINUES = 0x8000


def packed_file(folder: Path) -> Path:
    """The file with the tokens; DataError if the folder has none."""
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"--data {folder}: has no {' or '.join(NAMES)} (--format packed)")


def read_packed(path: Path, tokenizer: Tokenizer) -> Stream:
    """Read a packed file; DataError if its ids are not in the vocabulary."""
    raw = unpacked_bytes(path)
    if not raw or len(raw) % 2:
        raise DataError(f"{path}: {len(raw):,} bytes unpacked; expected whole little-endian 16-bit numbers, some")
    packed = np.frombuffer(raw, "<u2")
    ids, starts = packed & np.uint16(CONTINUES - 1), packed < CONTINUES
    highest = int(ids.max())
    if highest >= tokenizer.vocab_size:
        position = int(ids.argmax())
        raise DataError(
            f"{path}: token {position} has id {highest}, the vocabulary has {tokenizer.vocab_size:,} entries: "
            "not the vocabulary that packed it"
        )
    is_end = ids == tokenizer.sep_id
    is_ordinary = ~is_end
    # A bound after n separators moves n tokens to the left when they are removed.
    documents = np.flatnonzero(is_end) - np.arange(int(is_end.sum()))
    ids, starts = ids[is_ordinary], starts[is_ordinary].copy()
    if not len(ids):
        raise DataError(f"{path}: the corpus is empty: it holds nothing but [SEP]")
    documents = np.unique(np.concatenate([[0], documents, [len(ids)]])).astype(np.int64)
    starts[documents[:-1]] = True
    sentences = np.union1d(documents, sentence_ends(ids, tokenizer))
    return Stream(ids=ids, starts=starts, sentences=sentences, documents=documents)
