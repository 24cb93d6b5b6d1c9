"""Loads a tokenizer from the one file that defines it."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import VocabularyError
from .tokenization import ErnieTokenizer
from .tokenizer import Tokenizer
from .unigram import UnigramTokenizer


def load_tokenizer(path: str | Path) -> Tokenizer:
    """From vocab.txt (WordPiece), or from a tokenizer.json that `Tokenizer.save` wrote (WordPiece or Unigram).

    VocabularyError names the file and what is wrong with it.
    """
    path = Path(path)
    if path.suffix != ".json":
        return ErnieTokenizer.from_vocab(path)
    return UnigramTokenizer.from_file(path) if model_type(path) == "Unigram" else ErnieTokenizer.from_file(path)


def model_type(path: Path) -> str:
    """The model of a tokenizer.json, WordPiece or Unigram; VocabularyError for another one, and for another file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VocabularyError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise VocabularyError(f"{path}: not a tokenizer.json: {error}") from None
    model = document.get("model") if isinstance(document, dict) else None
    name = model.get("type") if isinstance(model, dict) else None
    if not isinstance(name, str):
        raise VocabularyError(f"{path}: not a tokenizer.json: it has no model.type")
    if name not in ("WordPiece", "Unigram"):
        raise VocabularyError(f"{path}: its model is {name}; WordPiece and Unigram (SentencePiece) are supported")
    return name
