"""All text as one row of ids, with the bounds of units, sentences and documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenization import ErnieTokenizer

from ...errors import DataError

ENDS = "。！？；!?;…"  # a sentence ends behind them


@dataclass(frozen=True)
class Stream:
    """Ids without special tokens but [UNK]; bounds count tokens and run from 0 to their number."""

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
        """Documents first to last - 1."""
        start, end = int(self.documents[first]), int(self.documents[last])
        inside = (self.sentences >= start) & (self.sentences <= end)
        return Stream(
            self.ids[start:end],
            self.starts[start:end],
            self.sentences[inside] - start,
            self.documents[first : last + 1] - start,
        )


def split(stream: Stream, held_out: int, where: str) -> tuple[Stream, Stream]:
    """Training text, and whole documents from the end with about `held_out` tokens, at most a tenth; DataError.

    Where the last documents are longer, a sentence of one is where the cut is.
    """
    most = max(1, len(stream) // 10)
    wanted = max(1, min(held_out, most))
    cut = _cut(stream.documents, len(stream), wanted, most) or _cut(stream.sentences, len(stream), wanted, most)
    if not cut and len(stream.sentences) > 2:
        cut = int(stream.sentences[-2])  # sentences longer than a tenth of the text
    if not cut:
        raise DataError(f"{where}: a single sentence gives nothing to hold out; give more text, or --held-out FILE")
    documents = np.union1d(stream.documents, [cut])
    whole = Stream(stream.ids, stream.starts, stream.sentences, documents)
    number = int(np.searchsorted(documents, cut))
    return whole.part(0, number), whole.part(number, len(documents) - 1)


def _cut(bounds: np.ndarray, end: int, wanted: int, most: int) -> int:
    """The bound that leaves `wanted` tokens behind it, or as few more as there are, up to `most`; else nearly as many,
    not less than half; 0 where there is none."""
    left = end - bounds[1:-1]
    for fit in (left[(left >= wanted) & (left <= most)], -left[(left < wanted) & (2 * left >= wanted)]):
        if len(fit):
            return end - abs(int(fit.min()))
    return 0


def sentence_ends(ids: np.ndarray, tokenizer: ErnieTokenizer) -> np.ndarray:
    """Bounds behind sentence-ending punctuation, int64; a run of it ends one sentence."""
    known = [found for char in ENDS if (found := tokenizer.id(char)) is not None]
    ends = np.isin(ids, known)
    last = ends & ~np.append(ends[1:], False)
    return np.flatnonzero(last).astype(np.int64) + 1


def save(stream: Stream, folder: Path) -> None:
    """Write the arrays, to be mapped by `load`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ids", "starts", "sentences", "documents"):
        save_array(folder / f"{name}.npy", getattr(stream, name))


def save_array(path: Path, array: np.ndarray) -> None:
    """As np.save does, whose own error for a full disk has no errno."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def load(folder: Path) -> Stream:
    """What `save` wrote."""
    ids, starts = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "starts"))
    sentences, documents = (np.load(folder / f"{name}.npy") for name in ("sentences", "documents"))
    return Stream(ids, starts, sentences, documents)
