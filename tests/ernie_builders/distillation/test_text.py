"""Plain text: reading, cutting into sequences, and faulty files."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.distillation.text import batch_indices, read_sequences, read_texts, split
from ernie_builders.errors import DataError
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.tokenizer import TokenizedText


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_read_texts(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.txt", "\ufeff一\t二\r\n\n  \n三\n"), write(tmp_path / "b.txt", "四")
    assert read_texts([first, second]) == [("一\t二",), ("三",), ("四",)]
    assert read_texts([first, second], rows=2) == [("一\t二",), ("三",)]
    assert read_texts([write(tmp_path / "c.txt", "一\t二\n三\t四\n")], inputs=2) == [("一", "二"), ("三", "四")]


class FirstCharacters:
    """A tokenizer whose pieces are the first character of each text."""

    def __init__(self, by_character: ErnieTokenizer) -> None:
        self.by_character = by_character
        self.cls_id, self.sep_id = by_character.cls_id, by_character.sep_id

    def __call__(self, texts: list[str]) -> list[TokenizedText]:
        return [TokenizedText(t.ids[:1], t.offsets[:1]) for t in self.by_character(texts)]

    def for_characters(self) -> ErnieTokenizer:
        return self.by_character


@pytest.mark.parametrize(("share", "lengths"), [(0.0, [1, 1, 1, 1]), (0.5, [1, 4, 1, 4]), (1.0, [4, 4, 4, 4])])
def test_a_share_of_the_texts_is_read_by_character(
    tmp_path: Path, embedded_tokenizer: ErnieTokenizer, share: float, lengths: list[int]
) -> None:
    file = write(tmp_path / "a.txt", "今天天气\n" * 4)
    tokenizer: Any = FirstCharacters(embedded_tokenizer)
    (stream,) = read_sequences([file] * 3, tokenizer, sum(lengths) + 4 + 2, share)[:1]
    assert np.diff(np.flatnonzero(stream[:-1] == tokenizer.sep_id), prepend=0).tolist() == [n + 1 for n in lengths]
    packed = tmp_path / "a.u16"
    packed.write_bytes(b"\0\0")
    if share:
        with pytest.raises(DataError, match=rf"a\.u16: --characters {share} needs plain text; `build unpack-text`"):
            read_sequences([packed], tokenizer, 8, share)


@pytest.mark.parametrize(
    ("content", "inputs", "message"),
    [
        ("", 1, "x.txt: holds no text; expected one text a line"),
        (" \n\n", 1, "x.txt: holds no text"),
        (
            "好\n".encode() + "中文".encode("gb18030"),
            1,
            "x.txt:2: byte 0 of the line (byte 4 of the file, 0xd6) is not UTF-8",
        ),
        ("一\t二\n三\n", 2, "x.txt:2: 1 texts, the task takes 2: put a tab between each two"),
    ],
)
def test_faulty_text(tmp_path: Path, content: str | bytes, inputs: int, message: str) -> None:
    with pytest.raises(DataError) as raised:
        read_texts([write(tmp_path / "x.txt", content)], inputs)
    assert message in str(raised.value)


def test_sequences(tmp_path: Path, embedded_tokenizer: ErnieTokenizer) -> None:
    """Nothing is lost but the last tokens, which fill no sequence."""
    texts = ["我们在学习。", "", "今天天气很好，我们出去玩吧。", "好"]
    file = write(tmp_path / "a.txt", "\n".join(texts))
    sequences = read_sequences([file], embedded_tokenizer, 8)
    stream = []
    for text in embedded_tokenizer([text for text in texts if text]):
        stream += [*text.ids.tolist(), embedded_tokenizer.sep_id]
    assert sequences.shape == (len(stream) // 6, 8)
    assert sequences[:, 1:-1].reshape(-1).tolist() == stream[: sequences.shape[0] * 6]
    assert (sequences[:, 0] == embedded_tokenizer.cls_id).all()
    assert (sequences[:, -1] == embedded_tokenizer.sep_id).all()
    train, held_out = split(sequences)
    assert (len(train), len(held_out)) == (len(sequences) - 1, 1)
    with pytest.raises(DataError, match=r"the text has 2 tokens, at least 12 are needed for sequences of 8"):
        read_sequences([write(tmp_path / "b.txt", "好")], embedded_tokenizer, 8)
    with pytest.raises(DataError, match="--length 3: must be at least 4 tokens"):
        read_sequences([file], embedded_tokenizer, 3)


def test_packed_tokens(tmp_path: Path, embedded_tokenizer: ErnieTokenizer) -> None:
    """The same sequences as from the text itself, whatever the words."""
    texts = ["我们在学习。", "今天天气很好，我们出去玩吧。"]
    ids = [np.append(text.ids, embedded_tokenizer.sep_id) for text in embedded_tokenizer(texts)]
    raw = np.concatenate([row | np.where(np.arange(len(row)) % 2, 0x8000, 0) for row in ids]).astype("<u2").tobytes()
    plain, small = write(tmp_path / "a.txt", "\n".join(texts)), write(tmp_path / "a.u16", raw)
    xz = write(tmp_path / "b.u16.xz", lzma.compress(raw))
    expected = read_sequences([plain, plain], embedded_tokenizer, 8)
    assert (read_sequences([small, xz], embedded_tokenizer, 8) == expected).all()
    unknown_token = np.array([9000, 1], "<u2").tobytes()
    for name, content, message in (
        ("c.u16", b"abc", "3 bytes are no packed tokens"),
        ("d.u16.xz", b"abc", "d.u16.xz: cannot be unpacked"),
        ("e.u16", unknown_token, "holds token 9,000, the teacher's vocabulary has 8,000 entries"),
    ):
        with pytest.raises(DataError, match=message):
            read_sequences([write(tmp_path / name, content)], embedded_tokenizer, 8)


def test_batches_are_shuffled_rounds() -> None:
    indices = np.concatenate([batch_indices(7, 3, step, seed=2) for step in range(14)])
    rounds = indices.reshape(6, 7)
    assert all(sorted(row) == list(range(7)) for row in rounds.tolist())
    assert len({tuple(row) for row in rounds.tolist()}) > 1
    assert (batch_indices(7, 3, 5, seed=2) == indices[15:18]).all(), "a step's batch depends only on its number"
    assert len(batch_indices(2, 8, 0, seed=0)) == 8, "more than a round"
