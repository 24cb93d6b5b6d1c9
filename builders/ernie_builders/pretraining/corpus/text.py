"""Plain text: one paragraph per line; a blank line or the end of a file ends a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer

from ...console import bar
from ...errors import DataError
from ...readers.files.lines import lines
from .stream import Stream, sentence_ends
from .words import Segment, unit_starts

LINES = 1000  # lines tokenized at once


def text_files(data: Iterable[Path]) -> list[Path]:
    """The files that --data names, and of each folder all *.txt (.gz, .xz), sorted; DataError if there are none."""
    files: list[Path] = []
    for path in data:
        if path.is_dir():
            texts = sorted(p for p in path.rglob("*") if p.is_file() and ".txt" in p.suffixes[-2:])
            if not texts:
                raise DataError(f"--data {path}: the folder has no .txt file")
            files += texts
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"--data {path}: no such file or folder")
    return files


def paragraphs(files: Iterable[Path]) -> Iterator[str]:
    """Paragraphs in order, an empty string after each document; DataError if there is no text at all."""
    any_text = False
    for path in files:
        open_document = False
        for _, line in lines(path):
            paragraph = line.strip()
            if paragraph:
                any_text = open_document = True
                yield paragraph
            elif open_document:
                open_document = False
                yield ""
        if open_document:
            yield ""
    if not any_text:
        raise DataError("--data: the corpus is empty; expected text, a paragraph a line")


def read_text(files: Sequence[Path], tokenizer: Tokenizer, segment: Segment) -> Stream:
    """Read text files. A sentence ends after 。！？； and with its paragraph."""
    dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.int32
    ids: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    sentence_bounds: list[np.ndarray] = []
    documents, length, parts = [0], 0, list(paragraphs(files))
    with bar(len(parts), "segment", "paragraph") as shown:
        for first in range(0, len(parts), LINES):
            chunk = parts[first : first + LINES]
            for text, tokenized in zip(chunk, tokenizer(chunk), strict=True):
                if not text and length > documents[-1]:
                    documents.append(length)
                if len(tokenized.ids):
                    ids.append(tokenized.ids.astype(dtype))
                    starts.append(unit_starts(text, tokenized.ids, tokenized.offsets, tokenizer, segment))
                    ends = np.append(sentence_ends(tokenized.ids, tokenizer), len(tokenized.ids))
                    sentence_bounds.append(ends + length)
                    length += len(tokenized.ids)
            shown.update(len(chunk))
    if not length:
        raise DataError("--data: the corpus holds no character that the vocabulary's tokenizer keeps")
    return Stream(
        ids=np.concatenate(ids),
        starts=np.concatenate(starts),
        sentences=np.unique(np.concatenate([np.zeros(1, np.int64), *sentence_bounds])),
        documents=np.array(documents, np.int64),
    )
