"""Packed tokens as plain text again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ernie_builders import build_all

from .command_line import fault_line, one_object

TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "中", "国", "win", "##dows", "10", "##", "。"]


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return path


def pack(path: Path, *words: str) -> Path:
    np.array([TOKENS.index(word) for word in words], "<u2").tofile(path)
    return path


def test_documents_come_back(tmp_path: Path, vocabulary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = pack(
        tmp_path / "tokens.u16",
        "中",
        "国",
        "win",
        "##dows",
        "10",
        "。",
        "[UNK]",
        "[SEP]",
        "[SEP]",
        "win",
        "中",
        "##",
        "[SEP]",
    )
    output = tmp_path / "text.txt"
    words = ["unpack-text", str(packed), "--vocab", str(vocabulary), "--output", str(output), "--json"]
    assert build_all.main(words) == 0
    assert one_object(capsys) == {"output": str(output), "documents": 2}
    assert output.read_text(encoding="utf-8") == "中国windows 10。\n\nwin中##\n\n"


def test_another_vocabulary_is_refused(tmp_path: Path, vocabulary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "tokens.u16"
    np.array([5, 99], "<u2").tofile(packed)
    output = tmp_path / "text.txt"
    code = build_all.main(["unpack-text", str(packed), "--vocab", str(vocabulary), "--output", str(output)])
    messages = ("token 1 has id 99", "not the vocabulary that packed it")
    fault_line(code, *messages, program="ernie-triton build unpack-text", capsys=capsys)
    assert not output.exists()
