"""Model directories with a WordPiece vocabulary: vocab.txt, or the tokenizer.json of Hugging Face's BERT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ernie_runtime.errors import VocabularyError
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.tokenizer import SpecialTokens

from ..errors import CheckpointError
from .tokenizer_settings import CONFIG, TokenizerSettings

BERT_NORMALIZER = {"clean_text": True, "handle_chinese_chars": True}


def read_word_piece(
    vocabulary: Path | None, tokenizer_json: Path | None, settings: TokenizerSettings
) -> ErnieTokenizer:
    """The tokenizer of one of the files, or of both, which must agree; CheckpointError, VocabularyError."""
    names = SpecialTokens()
    for role, name in settings.special.items():
        usual = getattr(names, role)
        if name != usual:
            raise CheckpointError(f"{settings.where}: {role}_token {name!r}: of WordPiece only {usual} is supported")
    lowercase = settings.lowercase
    if tokenizer_json is not None:
        tokens, lowercase_there = _tokens(tokenizer_json)
        if lowercase is not None and lowercase_there is not None and lowercase != lowercase_there:
            raise CheckpointError(f"{tokenizer_json}: lowercase is not do_lower_case of {CONFIG}")
        lowercase = lowercase_there if lowercase is None else lowercase
    lowercase = lowercase is not False
    if settings.strip_accents not in (None, lowercase):
        raise CheckpointError(
            f"{settings.where}: strip_accents {settings.strip_accents} with do_lower_case {lowercase} is not supported"
        )
    if vocabulary is None:
        assert tokenizer_json is not None
        return ErnieTokenizer.from_tokens(tokens, lowercase=lowercase)
    tokenizer = _from_vocabulary(vocabulary, lowercase)
    if tokenizer_json is not None and tokens != [tokenizer.token(id) for id in range(tokenizer.vocab_size)]:
        raise CheckpointError(f"{vocabulary}: not the vocabulary of {tokenizer_json.name} beside it")
    return tokenizer


def _from_vocabulary(path: Path, lowercase: bool) -> ErnieTokenizer:
    """Of a vocab.txt: a token a line, or `token TAB id` as the ERNIE repository wrote it; VocabularyError."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    if not lines or len(lines[0]) == 1:
        return ErnieTokenizer.from_vocab(path, lowercase=lowercase)
    for id, cells in enumerate(lines):
        if len(cells) != 2 or cells[1] != str(id):
            raise VocabularyError(f"{path}:{id + 1}: expected a token, a tab and the id {id}, as the lines before have")
    return ErnieTokenizer.from_tokens([token for token, _ in lines], lowercase=lowercase)


def _tokens(path: Path) -> tuple[list[str], bool | None]:
    """The tokens of a tokenizer.json by id, and whether it lowers texts, if it says so."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model, normalizer = document["model"], document.get("normalizer") or {}
    if model.get("continuing_subword_prefix", "##") != "##":
        raise CheckpointError(
            f"{path}: continuing_subword_prefix {model['continuing_subword_prefix']!r} is not supported"
        )
    ids = {token: id for token, id in model["vocab"].items()}
    for token in document.get("added_tokens") or []:
        if ids.get(token["content"]) != token["id"]:
            raise CheckpointError(f"{path}: added token {token['content']!r} is not in the vocabulary: not supported")
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise CheckpointError(f"{path}: its ids are not 0 to n - 1")
    if normalizer.get("type") != "BertNormalizer":
        raise CheckpointError(f"{path}: its normalizer is {normalizer.get('type')}; BertNormalizer is supported")
    for name, value in BERT_NORMALIZER.items():
        if normalizer.get(name, value) != value:
            raise CheckpointError(f"{path}: {name} {normalizer[name]} is not supported")
    if normalizer.get("strip_accents") not in (None, normalizer["lowercase"]):
        raise CheckpointError(f"{path}: strip_accents {normalizer['strip_accents']} is not supported")
    return tokens, normalizer["lowercase"]
