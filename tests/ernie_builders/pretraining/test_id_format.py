"""ERNIE 1.0's id format: read exactly, cut to a length; faults name the file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ernie_builders.errors import DataError
from ernie_builders.pretraining.batches import lay_out
from ernie_builders.pretraining.corpus.id_format import read_ids
from ernie_runtime.text.tokenization import ErnieTokenizer

from .texts import ids_line

GOOD = ids_line([10, 11, 12], [20, 21], 1)


def test_ids_are_read_as_they_are_written(tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{GOOD}\n\n{ids_line(list(range(30, 37)), [40], 0, words=3)};\n", encoding="utf-8")
    corpus = read_ids([path], tokenizer, task=0)
    sequences = corpus.sequences(64, np.random.default_rng(0))
    ids, types, units = lay_out(sequences, corpus.stream, tokenizer, token_types=2)
    assert ids[0, :8].tolist() == [1, 10, 11, 12, 2, 20, 21, 2]
    assert types[0, :8].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert units[0, :8].tolist() == [-1, 0, 0, 1, -1, 2, 2, -1]
    assert ids[1].tolist() == [1, *range(30, 37), 2, 40, 2]
    assert units[1].tolist() == [-1, 3, 3, 3, 4, 4, 4, 5, -1, 6, -1]
    assert sequences.labels.tolist() == [1, 0] and sequences.tasks.tolist() == [0, 0]


def test_long_sequences_are_cut_at_words(tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    lines = [ids_line([50] * 40, [60] * 4, 1), ids_line([50] * 20, [60] * 20, 0), GOOD]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    corpus = read_ids([path], tokenizer, task=0)
    cut = corpus.sequences(16, np.random.default_rng(0))
    sizes = (cut.spans[:, 1] - cut.spans[:, 0]).tolist()
    assert sizes == [8, 4, 6, 6, 3, 2]  # 16 holds 13 tokens of a pair, words have two
    assert corpus.sequences(64, np.random.default_rng(0)).spans[0].tolist() == [0, 40], "cut for good"


def with_field(line: str, number: int, value: str) -> str:
    parts = line.split(";")
    parts[number] = value
    return ";".join(parts)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2;0 0;0 1", "3 fields, expected 5: token ids; sentence ids; positions; word bounds; label"),
        (with_field(GOOD, 0, "1 x 2"), "token ids: expected whole numbers joined by spaces"),
        (
            with_field(GOOD, 1, "0 0"),
            "8 token ids, 2 sentence ids, 8 positions, 8 word bounds: expected as many of each",
        ),
        (with_field(GOOD, 4, "2"), "label: expected 0 or 1"),
        (
            with_field(GOOD, 0, "5 10 11 12 2 20 21 2"),
            r"token ids: expected \[CLS\] \(1\) first and \[SEP\] \(2\) last",
        ),
        (with_field(GOOD, 0, "1 10 999 12 2 20 21 2"), "token id 999: the vocabulary has 400 entries"),
        (with_field(GOOD, 0, "1 10 -4 12 2 20 21 2"), "token id -4: the vocabulary has 400 entries"),
        (with_field(GOOD, 2, "1 2 3 4 5 6 7 8"), "positions: expected 0, 1, 2"),
        (with_field(GOOD, 3, "0 0 0 0 0 0 0 0"), r"word bounds: expected -1 at \[CLS\] and \[SEP\]"),
        (with_field(GOOD, 1, "0 0 0 1 1 1 1 1"), r"sentence ids: expected 0 up to the first \[SEP\]"),
        (ids_line([], [20], 0), "token ids: an empty sentence"),
    ],
)
def test_faults(tokenizer: ErnieTokenizer, tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"a.txt: line 2: {message}"):
        read_ids([path], tokenizer, task=0)


def test_an_empty_file(tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match="the corpus is empty; expected lines of `token ids; sentence ids"):
        read_ids([tmp_path / "a.txt"], tokenizer, task=0)
