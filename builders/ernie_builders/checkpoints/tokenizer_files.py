"""The tokenizer of a model directory: which files define it, and what its settings ask for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.errors import VocabularyError
from ernie_runtime.names import TOKENIZER_FILE
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer, model_type
from ernie_runtime.text.unigram import SETTINGS, UnigramTokenizer, dumps

from ..errors import CheckpointError
from ..filesystem import write_file, write_json
from . import sentencepiece_files
from .tokenizer_json import renumber, unigram_tokenizer
from .tokenizer_settings import CONFIG, TokenizerSettings, read_settings
from .weight_formats import Weights
from .word_piece_files import read_word_piece

VOCABULARY = "vocab.txt"
BY_TOKEN_ID = ("ernie.embeddings.word_embeddings.weight", "cls.predictions.decoder_bias")


@dataclass(frozen=True, kw_only=True)
class StoredTokenizer:
    """The tokenizer of a model directory, and where its files and weights have the pad token."""

    tokenizer: Tokenizer  # its pad token has id 0
    pad_id: int = 0  # the pad token's id in the directory; whatever has id 0 there has it in `tokenizer`


def read_tokenizer(folder: Path) -> StoredTokenizer:
    """The tokenizer of a PaddleNLP or Hugging Face directory, or of one that this project wrote; CheckpointError.

    Every setting that the directory states is obeyed, or refused by its name.
    """
    try:
        return _read(folder)
    except VocabularyError as error:
        raise CheckpointError(str(error)) from None


def _read(folder: Path) -> StoredTokenizer:
    settings = read_settings(folder)
    vocabulary, tokenizer_json = (
        path if path.is_file() else None for path in (folder / VOCABULARY, folder / TOKENIZER_FILE)
    )
    model = model_type(tokenizer_json) if tokenizer_json is not None else None
    if tokenizer_json is not None and model == "Unigram":
        return _read_unigram(tokenizer_json, settings)
    if any((folder / name).is_file() for name in sentencepiece_files.FILES):
        tokenizer, pad_id = sentencepiece_files.read_sentencepiece(folder, settings)
        return StoredTokenizer(tokenizer=tokenizer, pad_id=pad_id)
    if vocabulary is None and tokenizer_json is None:
        raise CheckpointError(f"{folder}: no {VOCABULARY} and no {TOKENIZER_FILE}")
    return StoredTokenizer(tokenizer=read_word_piece(vocabulary, tokenizer_json, settings))


def _read_unigram(path: Path, settings: TokenizerSettings) -> StoredTokenizer:
    document = json.loads(path.read_text(encoding="utf-8"))
    if SETTINGS in document["model"]:
        return StoredTokenizer(tokenizer=load_tokenizer(path))
    try:
        tokenizer, pad_id = unigram_tokenizer(document, settings)
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from None
    except (KeyError, TypeError) as error:
        raise VocabularyError(f"{path}: not a tokenizer.json: {error!r}") from None
    return StoredTokenizer(tokenizer=tokenizer, pad_id=pad_id)


def tokenizer_file(folder: Path) -> Path | None:
    """The file that `write_tokenizer` left in a folder, if it did."""
    return next((path for name in (VOCABULARY, TOKENIZER_FILE) if (path := folder / name).is_file()), None)


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> Path:
    """Write the file that defines the tokenizer, vocab.txt or tokenizer.json, and remove what was there; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (VOCABULARY, TOKENIZER_FILE, CONFIG):
        (folder / name).unlink(missing_ok=True)
    if not isinstance(tokenizer, ErnieTokenizer):
        tokenizer.save(folder / TOKENIZER_FILE)
        return folder / TOKENIZER_FILE
    if not tokenizer.lowercase:
        write_json(folder / CONFIG, {"do_lower_case": False})
    write_file(folder / VOCABULARY, vocabulary_text(tokenizer))
    return folder / VOCABULARY


def vocabulary_text(tokenizer: Tokenizer) -> str:
    """The content of vocab.txt: a token a line, by id."""
    return "".join(f"{tokenizer.token(id)}\n" for id in range(tokenizer.vocab_size))


def renumbered(tokenizer: Tokenizer, old_ids: Sequence[int]) -> UnigramTokenizer:
    """The Unigram tokenizer whose id i is the old id old_ids[i]; pieces without a new id are no longer found in texts.

    CheckpointError where special tokens would be lost, padding would not be id 0, or the tokenizer is another one.
    """
    if not isinstance(tokenizer, UnigramTokenizer):
        raise CheckpointError("only a SentencePiece (Unigram) vocabulary can be renumbered")
    try:
        return UnigramTokenizer(dumps(renumber(json.loads(tokenizer.source), old_ids)))
    except VocabularyError as error:
        raise CheckpointError(str(error)) from None


def with_pad_first(weights: Weights, pad_id: int) -> Weights:
    """The weights of a directory whose pad token is `pad_id`, for ids of which 0 and `pad_id` have changed places."""
    if pad_id == 0:
        return weights
    changed = {}
    for name in BY_TOKEN_ID:
        if name in weights and len(weights[name]) > pad_id:  # another model's head is refused where it is used
            rows = weights[name].copy()
            rows[[0, pad_id]] = rows[[pad_id, 0]]
            changed[name] = rows
    return weights | changed
