"""A SentencePiece vocabulary cut to a text: rows and ids are exact, texts of kept pieces are read as before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders import convert_encoder
from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint
from ernie_builders.checkpoints.tokenizer_files import renumbered
from ernie_builders.compression.piece_cut import cut_vocabulary
from ernie_builders.errors import CheckpointError, ConfigError, DataError

from ...ernie_runtime.sentencepiece_samples import LINES
from ..command_line import fault_line
from ..sentencepiece_files import PAD_ID, write_xlm_r_tokenizer
from ..tiny import CONFIG, random_hugging_face

WORDS = "ernie.embeddings.word_embeddings.weight"
TEXTS = ["今天天气不错", "我们去公园吧", "今天我们去科技园", "the park", "iPhone", "龍"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with XLM-R's tokenizer, and spare rows behind its pieces."""
    path = tmp_path / "model"
    rows = write_xlm_r_tokenizer(path) + 5
    config = {**CONFIG, "model_type": "bert", "vocab_size": rows, "pad_token_id": PAD_ID, "use_task_id": False}
    save_file(random_hugging_face(config=config), str(path / "model.safetensors"))
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


@pytest.fixture
def source(folder: Path) -> Checkpoint:
    return read_checkpoint(folder)


def test_kept_pieces_have_their_rows_and_the_text_its_tokens(source: Checkpoint) -> None:
    cut, report = cut_vocabulary(source, TEXTS, 1)
    before, after = source.tokenizer, cut.tokenizer
    assert report.pieces_after == after.vocab_size == len(cut.weights[WORDS]) == cut.config.vocab_size
    assert after.vocab_size < before.vocab_size < len(source.weights[WORDS])
    assert after.special_ids == (0, 1, 2, 3, 4)
    for id in range(after.vocab_size):
        old = before.id(after.token(id))
        assert old is not None
        np.testing.assert_array_equal(cut.weights[WORDS][id], source.weights[WORDS][old])
    assert report.lost == 0 and report.same == report.texts == len(TEXTS)
    assert report.unknown_before == report.unknown_after == 1, "no piece has 龍"
    for old_tokens, new_tokens in zip(before(TEXTS), after(TEXTS), strict=True):
        assert [before.token(id) for id in old_tokens.ids] == [after.token(id) for id in new_tokens.ids]
        np.testing.assert_array_equal(old_tokens.offsets, new_tokens.offsets)
    assert all(after.id(character) is not None for character in "今，1a" if before.id(character) is not None)
    others = {name for name in source.weights if name != WORDS}
    assert all(cut.weights[name] is source.weights[name] for name in others)


def test_a_dropped_piece_is_read_in_smaller_ones(source: Checkpoint) -> None:
    before = source.tokenizer
    cut, report = cut_vocabulary(source, LINES, 1000)
    assert report.frequent == 0 and report.lost > 0 and report.tokens_after > report.tokens_before
    assert report.same < report.texts
    (old,), (new,) = before(["今天天气不错"]), cut.tokenizer(["今天天气不错"])
    assert len(new.ids) > len(old.ids)
    assert "".join(cut.tokenizer.token(id) for id in new.ids).lstrip("▁") == "今天天气不错"
    assert any("% were of dropped pieces" in line for line in report.lines())


def test_rare_pieces_need_their_count(source: Checkpoint) -> None:
    counts = np.zeros(source.tokenizer.vocab_size, np.int64)
    for tokenized in source.tokenizer(LINES):
        np.add.at(counts, tokenized.ids, 1)
    frequent = {source.tokenizer.token(id) for id in np.flatnonzero(counts >= 2)}
    rare = {source.tokenizer.token(id) for id in np.flatnonzero(counts == 1)}
    cut = cut_vocabulary(source, LINES, 2)[0].tokenizer
    assert frequent and all(cut.id(piece) is not None for piece in frequent)
    dropped = {piece for piece in rare if cut.id(piece) is None}
    assert dropped and all(len(piece.lstrip("▁")) > 1 for piece in dropped)


def test_the_price_of_an_unknown_character_stays(source: Checkpoint) -> None:
    """It depends on the least likely piece, which the cut drops here."""
    cut, _ = cut_vocabulary(source, TEXTS, 1)
    lowest = [
        min(score for _, score in json.loads(tokenizer.source)["model"]["vocab"])  # type: ignore[attr-defined]
        for tokenizer in (source.tokenizer, cut.tokenizer)
    ]
    assert lowest[0] == lowest[1]


def test_special_tokens_cannot_be_cut(source: Checkpoint) -> None:
    tokenizer = source.tokenizer
    ids = [id for id in range(tokenizer.vocab_size) if id != tokenizer.mask_id]
    with pytest.raises(CheckpointError, match="the vocabulary would lose <mask>"):
        renumbered(tokenizer, ids)
    with pytest.raises(CheckpointError, match="must have 0"):
        renumbered(tokenizer, [*ids[::-1], tokenizer.mask_id])


def test_faults(source: Checkpoint, base_model: Path) -> None:
    with pytest.raises(CheckpointError, match="its vocabulary is WordPiece; only SentencePiece's can be cut"):
        cut_vocabulary(read_checkpoint(base_model), TEXTS, 1)
    with pytest.raises(ConfigError, match="--min-count 0: must be at least 1"):
        cut_vocabulary(source, TEXTS, 0)
    with pytest.raises(DataError, match="--cut-vocabulary: the text holds no token"):
        cut_vocabulary(source, [], 1)


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(TEXTS), encoding="utf-8")
    arguments = [str(folder), str(tmp_path / "cut"), "--to", "paddle"]
    assert convert_encoder.main([*arguments, "--cut-vocabulary", str(text), "--min-count", "1"]) == 0
    assert "6 of 6 texts have kept pieces alone" in capsys.readouterr().out
    cut, expected = read_checkpoint(tmp_path / "cut"), cut_vocabulary(read_checkpoint(folder), TEXTS, 1)[0]
    assert cut.tokenizer.fingerprint == expected.tokenizer.fingerprint and cut.config == expected.config
    np.testing.assert_array_equal(cut.weights[WORDS], expected.weights[WORDS])
    code = convert_encoder.main([*arguments, "--cut-vocabulary", str(tmp_path / "no.txt")])
    fault_line(code, "no.txt", program=convert_encoder.NAME, capsys=capsys)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "cut").weights[WORDS], cut.weights[WORDS])
    with pytest.raises(SystemExit):
        convert_encoder.main([*arguments, "--min-count", "3"])
    assert "--min-count needs --cut-vocabulary" in capsys.readouterr().err
