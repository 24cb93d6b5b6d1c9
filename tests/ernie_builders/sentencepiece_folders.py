"""Directories with small SentencePiece models, trained on texts that ship: XLM-R's, ERNIE-M's and ERNIE-Tiny's."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import re
from pathlib import Path

import sentencepiece

from ernie_builders.config.tasks import ASSETS

SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]  # in ERNIE-M's order
HARD_LINES = ["ＡＢＣ１２３ ｶﾞ 한국어 ﷺ ① ㎏ café naïve", "中文。中文，中文！", "Hello, World! 3.14 2019年5月"]


def sample_texts() -> list[str]:
    """Some thousand lines of the data samples that ship."""
    texts = []
    for path in sorted((ASSETS / "samples").rglob("*")):
        if path.is_file() and path.suffix in (".json", ".txt", ".tsv"):
            texts += re.findall(r"[\u4e00-\u9fff][^\"\\\n\t{}]{4,120}", path.read_text(encoding="utf-8"))
    return texts


def train(texts: list[str], pieces: int = 2600, **options: object) -> bytes:
    """A SentencePiece model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*texts, *HARD_LINES * 20]),
        model_writer=model,
        minloglevel=2,
        num_threads=1,
        **{
            "vocab_size": pieces,
            "model_type": "unigram",
            "normalization_rule_name": "nmt_nfkc",
            "character_coverage": 1.0,
            "hard_vocab_limit": False,
            **options,
        },
    )
    return model.getvalue()


def pieces_of(model: bytes) -> list[str]:
    """All pieces by id."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(id) for id in range(processor.get_piece_size())]


def write_xlm_r(folder: Path, texts: list[str], **options: object) -> Path:
    """sentencepiece.bpe.model alone, and the configuration that says whose it is."""
    folder.mkdir(parents=True)
    (folder / "sentencepiece.bpe.model").write_bytes(train(texts, **options))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))
    return folder


def write_ernie_m(folder: Path, texts: list[str]) -> Path:
    """vocab.txt, which lacks some of the pieces and has characters that are none, and sentencepiece.bpe.model."""
    folder.mkdir(parents=True)
    model = train(texts)
    pieces = [piece for piece in pieces_of(model)[3:] if hash_of(piece) % 17]
    characters = sorted({char for text in texts for char in text if hash_of(char) % 3} - set(pieces) - {" "})
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *pieces, *characters, "[MASK]"]) + "\n", encoding="utf-8")
    return folder


def write_ernie_tiny(folder: Path, texts: list[str]) -> Path:
    """vocab.txt, spm_cased_simp_sampled.model and dict.wordseg.pickle; texts were cut into words for training."""
    folder.mkdir(parents=True)
    words = {
        text[i : i + n]
        for text in texts
        for i in range(len(text))
        for n in (2, 3, 4)
        if hash_of(text[i : i + n]) % 5 == 0
    }
    spaced = [re.sub("([\u4e00-\u9fff]{1,2})", r"\1 ", text.lower()) for text in texts]
    model = train(spaced)
    pieces = [piece for piece in pieces_of(model)[3:] if hash_of(piece) % 17]
    (folder / "spm_cased_simp_sampled.model").write_bytes(model)
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]) + "\n", encoding="utf-8"
    )
    (folder / "dict.wordseg.pickle").write_bytes(pickle.dumps(dict.fromkeys(words, 1)))
    return folder


def hash_of(text: str) -> int:
    """The same in every process."""
    return sum(ord(char) * weight for char, weight in zip(text, itertools.count(7, 6)))
