"""An ERNIE-M directory as PaddleNLP has it, from text to hidden states; which such directories can be cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.tokenizer_files import read_tokenizer
from ernie_builders.compression.piece_cut import cut_vocabulary
from ernie_builders.errors import CheckpointError
from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import build_model

from ..sentencepiece_files import SHAPE
from ..sentencepiece_folders import sample_texts, write_ernie_m, write_ernie_tiny
from ..tiny import HIDDEN, manifest_with

WORDS = "ernie.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [text for text in sample_texts() if len(text) < 20]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With weights at random."""
    folder = write_ernie_m(tmp_path_factory.mktemp("directory") / "ernie_m", sample_texts())
    paddle, transformers = import_paddle("cpu"), import_paddlenlp()
    entries = len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    paddle.seed(3)
    config = transformers.ErnieMConfig(**{**SHAPE, "initializer_range": 0.3}, vocab_size=entries, pad_token_id=1)
    transformers.ErnieMModel(config).save_pretrained(str(folder))
    return folder


def test_from_text_to_hidden_states(directory: Path, texts: list[str]) -> None:
    """Pairs in one padded batch: PaddleNLP's tokenizer and class, and this project's."""
    paddle, transformers = import_paddle("cpu"), import_paddlenlp()
    files = (str(directory / "vocab.txt"), str(directory / "sentencepiece.bpe.model"))
    pairs = list(zip(texts[:6], texts[6:12], strict=True))
    their_tokenizer = transformers.ErnieMTokenizer(*files)
    theirs = [their_tokenizer(first, second)["input_ids"] for first, second in pairs]
    length = max(map(len, theirs))
    assert 10 < length <= SHAPE["max_position_embeddings"] - 2

    checkpoint = read_checkpoint(directory)
    tokenizer, layout = checkpoint.tokenizer, checkpoint.tokenizer.pair
    ids, types = np.zeros((2, len(pairs), length), np.int64)
    for row, (first, second) in enumerate(
        zip(*(tokenizer(list(part)) for part in zip(*pairs, strict=True)), strict=True)
    ):
        head = [tokenizer.cls_id, *first.ids, *layout.between]
        tail = [*second.ids, tokenizer.sep_id]
        assert len(head) + len(tail) == len(theirs[row])
        ids[row, : len(head) + len(tail)] = [*head, *tail]
        types[row, len(head) : len(head) + len(tail)] = layout.second_type
    padded = np.array([[*row, *[their_tokenizer.pad_token_id] * (length - len(row))] for row in theirs])
    real = ids != 0
    assert not real.all() and (real == (padded != their_tokenizer.pad_token_id)).all()

    their_model = transformers.ErnieMModel.from_pretrained(str(directory))
    model = build_model(get_builder_kind("sequence_classification"), checkpoint, manifest_with(3))
    their_model.eval()
    model.eval()
    with paddle.no_grad():
        mask = paddle.to_tensor(real.astype(np.int64))
        expected = their_model(paddle.to_tensor(padded), attention_mask=mask)[0].numpy()
        actual = model.ernie(paddle.to_tensor(ids), paddle.to_tensor(types))[0].numpy()
    assert np.abs(actual - expected)[real].max() <= 1e-5


def test_ernie_m_splits_pieces_again_and_cannot_be_cut(directory: Path, texts: list[str]) -> None:
    with pytest.raises(CheckpointError, match="ERNIE-M's tokenizer splits pieces again; its vocabulary cannot be cut"):
        cut_vocabulary(read_checkpoint(directory), texts, 1)


@pytest.mark.parametrize("min_count", [1, 4])
def test_ernie_tiny_can_be_cut(directory: Path, texts: list[str], tmp_path: Path, min_count: int) -> None:
    """Its vocabulary has entries that no text gives, and the model pieces that are no entries."""
    tokenizer = read_tokenizer(write_ernie_tiny(tmp_path / "tiny", sample_texts())).tokenizer
    table = np.random.default_rng(0).standard_normal((tokenizer.vocab_size, HIDDEN)).astype(np.float32)
    source: Any = read_checkpoint(directory)
    source = replace(source, tokenizer=tokenizer, weights=source.weights | {WORDS: table})
    cut, report = cut_vocabulary(source, texts, min_count)
    assert (report.same == report.texts) == (min_count == 1)
    assert report.pieces_after < report.pieces_before
    for mode in (lambda tokenizer: tokenizer, lambda tokenizer: tokenizer.for_characters()):
        before, after = mode(source.tokenizer), mode(cut.tokenizer)
        pieces = [[before.token(id) for id in tokens.ids] for tokens in before(texts)]
        kept = [i for i, row in enumerate(pieces) if all(after.id(piece) is not None for piece in row)]
        assert kept
        for i in kept:
            assert [after.token(id) for id in after([texts[i]])[0].ids] == pieces[i]
