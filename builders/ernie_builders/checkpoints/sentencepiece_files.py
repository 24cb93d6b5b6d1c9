"""Model directories with SentencePiece's own files: XLM-R's, ERNIE-M's and ERNIE-Tiny's.

ERNIE-M and ERNIE-Tiny are read as PaddleNLP 2.8.1 reads them (`ErnieMTokenizer`, `ErnieTinyTokenizer`), XLM-R as
Hugging Face's and PaddleNLP's `XLMRobertaTokenizer` do. A directory that has tokenizer.json besides is read by that.
"""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

from ernie_runtime.errors import VocabularyError
from ernie_runtime.text.sentencepiece_text import LONGEST_WORD, Reading
from ernie_runtime.text.tokenizer import SpecialTokens
from ernie_runtime.text.unigram import UnigramTokenizer

from ..errors import CheckpointError
from .sentencepiece_model import SentencePieceModel, read_model
from .tokenizer_json import sentencepiece_tokenizer
from .tokenizer_settings import CONFIG, TokenizerSettings

MODEL, TINY_MODEL, WORDS = "sentencepiece.bpe.model", "spm_cased_simp_sampled.model", "dict.wordseg.pickle"
FILES = (MODEL, TINY_MODEL, WORDS)
XLM_R = {"pad": "<pad>", "cls": "<s>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
XLM_R_CLASSES = ("XLMRobertaTokenizer", "XLMRobertaTokenizerFast")
XLM_R_FIRST = ("<s>", "<pad>", "</s>", "<unk>")  # in fairseq's vocabulary, before the pieces; <mask> comes last


Stored = tuple[UnigramTokenizer, int]
"""A tokenizer whose pad token has id 0, and the id that it has in the directory."""


def read_sentencepiece(folder: Path, settings: TokenizerSettings) -> Stored:
    """The tokenizer of such a directory; CheckpointError."""
    try:
        return _read(folder, settings)
    except VocabularyError as error:
        raise CheckpointError(f"{folder}: {error}") from None


def _read(folder: Path, settings: TokenizerSettings) -> Stored:
    vocabulary, names = folder / "vocab.txt", settings.special
    if (folder / TINY_MODEL).is_file() or (folder / WORDS).is_file():
        return _ernie_tiny(folder, read_vocabulary(vocabulary), SpecialTokens(**names), settings)
    if vocabulary.is_file():
        return _ernie_m(folder, read_vocabulary(vocabulary), SpecialTokens(**names), settings)
    return _xlm_r(folder, SpecialTokens(**{**XLM_R, **names}), settings)


def read_vocabulary(path: Path) -> list[str]:
    """The lines of a vocab.txt; their numbers are the ids."""
    try:
        with path.open(encoding="utf-8") as lines:
            return [line.rstrip("\n") for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise CheckpointError(f"{path}: {reason}") from None


def _reading(model: SentencePieceModel, settings: TokenizerSettings, **fields: Any) -> Reading:
    if settings.add_prefix_space is not None and settings.add_prefix_space != model.dummy_prefix:
        raise VocabularyError(f"add_prefix_space {settings.add_prefix_space}: the SentencePiece model says otherwise")
    return Reading(dummy_prefix=model.dummy_prefix, extra_blanks_removed=model.extra_blanks_removed, **fields)


def _ernie_m(folder: Path, tokens: list[str], special: SpecialTokens, settings: TokenizerSettings) -> Stored:
    model = read_model(folder / MODEL)
    reading = _reading(model, settings, split=True, lowercase=bool(settings.lowercase))
    return sentencepiece_tokenizer(model, tokens, special, reading, separators=2)


def _ernie_tiny(folder: Path, tokens: list[str], special: SpecialTokens, settings: TokenizerSettings) -> Stored:
    if settings.lowercase is False:
        raise VocabularyError("do_lower_case false is not supported for ERNIE-Tiny's tokenizer")
    model = read_model(folder / TINY_MODEL)
    # By character the words are not needed, and single characters are words anyway.
    words = tuple(sorted(word for word in read_words(folder / WORDS) if 1 < len(word) <= LONGEST_WORD))
    reading = _reading(model, settings, lowercase=True, words=words)
    return sentencepiece_tokenizer(model, tokens, special, reading, separators=1)


def _xlm_r(folder: Path, special: SpecialTokens, settings: TokenizerSettings) -> Stored:
    if settings.lowercase:
        raise VocabularyError("do_lower_case true is not supported for XLM-R's tokenizer")
    if settings.tokenizer_class not in XLM_R_CLASSES and read_model_type(folder) != "xlm-roberta":
        raise CheckpointError(
            f"{folder / MODEL}: alone it does not say the ids: give vocab.txt (ERNIE-M), tokenizer.json, or a "
            f"{CONFIG} with tokenizer_class {XLM_R_CLASSES[0]}"
        )
    model = read_model(folder / MODEL)
    first = [piece.text for piece in model.pieces[:3]]
    if first != ["<unk>", "<s>", "</s>"]:
        raise CheckpointError(
            f"{folder / MODEL}: its first pieces are {', '.join(first)}; XLM-R's are <unk>, <s>, </s>: "
            "give vocab.txt or tokenizer.json, which say the ids"
        )
    tokens = [*XLM_R_FIRST, *(piece.text for piece in model.pieces[3:]), special.mask]
    return sentencepiece_tokenizer(model, tokens, special, _reading(model, settings), separators=2)


def read_model_type(folder: Path) -> str:
    """What config.json says about the model; empty where it says nothing."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # read_config says what is wrong with it
        return ""
    return str(config.get("model_type", "")) if isinstance(config, dict) else ""


class _Words(pickle.Unpickler):
    """Reads built-in containers of strings alone: a pickle can otherwise run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("builtins", "set"), ("builtins", "frozenset"), ("__builtin__", "set")):
            return set
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_words(path: Path) -> set[str]:
    """The words of ERNIE-Tiny's dictionary, a pickled dict, set or list; CheckpointError for anything else."""
    try:
        words = _Words(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except Exception as error:  # pickle raises what the damaged bytes lead to
        reason = str(error) or type(error).__name__
        raise CheckpointError(f"{path}: not a pickled dictionary of words ({reason})") from None
    if not isinstance(words, (dict, set, list)) or not all(isinstance(word, str) for word in words):
        raise CheckpointError(f"{path}: not a pickled dictionary of words")
    return set(words)
