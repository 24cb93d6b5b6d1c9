"""All text as one array of ids, with the boundaries of units, sentences and documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer

from ...errors import DataError

ENDS = "。！？；!?;…"  # a sentence ends after them


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Ids without special tokens other than [UNK]; boundaries are token positions, from 0 to the number of tokens."""

    ids: np.ndarray  # uint16 or int32 [n]
    starts: np.ndarray  # bool [n]: a unit begins here (a word, or a phrase of several)
    sentences: np.ndarray  # int64, ascending, first 0, last n
    documents: np.ndarray  # int64, a subset of `sentences`

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def document_count(self) -> int:
        """How many documents."""
        return len(self.documents) - 1

    def part(self, first: int, last: int) -> Stream:
        """The documents `first` to `last` - 1."""
        start, end = int(self.documents[first]), int(self.documents[last])
        inside = (self.sentences >= start) & (self.sentences <= end)
        return Stream(
            ids=self.ids[start:end],
            starts=self.starts[start:end],
            sentences=self.sentences[inside] - start,
            documents=self.documents[first : last + 1] - start,
        )


def split(stream: Stream, held_out_tokens: int, option: str) -> tuple[Stream, Stream]:
    """Split off about `held_out_tokens` tokens at the end, at most a tenth of all: (training text, held-out text).

    The cut is between documents, or between sentences if the last documents are too long. DataError names `option`.
    """
    limit = max(1, len(stream) // 10)
    wanted = max(1, min(held_out_tokens, limit))
    cut = _cut(stream.documents, len(stream), wanted, limit) or _cut(stream.sentences, len(stream), wanted, limit)
    if not cut and len(stream.sentences) > 2:
        cut = int(stream.sentences[-2])  # all sentences are longer than a tenth of the text
    if not cut:
        raise DataError(f"{option}: a single sentence gives nothing to hold out; give more text, or --held-out FILE")
    documents = np.union1d(stream.documents, [cut])
    with_cut = Stream(ids=stream.ids, starts=stream.starts, sentences=stream.sentences, documents=documents)
    first_held_out = int(np.searchsorted(documents, cut))
    return with_cut.part(0, first_held_out), with_cut.part(first_held_out, len(documents) - 1)


def _cut(bounds: np.ndarray, end: int, wanted: int, limit: int) -> int:
    """The boundary with at least `wanted` tokens after it, as few as possible and at most `limit`; else with as many as
    possible below `wanted`, at least half of it; 0 if there is none."""
    tokens_after = end - bounds[1:-1]
    enough = tokens_after[(tokens_after >= wanted) & (tokens_after <= limit)]
    if len(enough):
        return end - int(enough.min())
    nearly = tokens_after[(tokens_after < wanted) & (2 * tokens_after >= wanted)]
    return end - int(nearly.max()) if len(nearly) else 0


def sentence_ends(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Positions after sentence-ending punctuation, int64; several marks in a row end one sentence."""
    end_ids = [id for char in ENDS if (id := tokenizer.id(char)) is not None]
    is_end = np.isin(ids, end_ids)
    is_last = is_end & ~np.append(is_end[1:], False)
    return np.flatnonzero(is_last).astype(np.int64) + 1


def save(stream: Stream, folder: Path) -> None:
    """Write the arrays, which `load` maps into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ids", "starts", "sentences", "documents"):
        save_array(folder / f"{name}.npy", getattr(stream, name))


def save_array(path: Path, array: np.ndarray) -> None:
    """np.save, but with the errno of a full disk in its error."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        header: Any = np.lib.format  # its functions have no types
        header.write_array_header_1_0(file, header.header_data_from_array_1_0(array))
        file.write(array.data)


def load(folder: Path) -> Stream:
    """Read what `save` wrote."""
    ids, starts = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "starts"))
    sentences, documents = (np.load(folder / f"{name}.npy") for name in ("sentences", "documents"))
    return Stream(ids=ids, starts=starts, sentences=sentences, documents=documents)
