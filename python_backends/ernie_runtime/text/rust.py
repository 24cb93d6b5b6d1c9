"""What both tokenizers need of Hugging Face `tokenizers`, which is written in Rust."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

POOL = 16  # texts from which Rust's thread pool pays: 8 titles took twice as long through it


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    """The encoding of each text, without special tokens. Lone surrogates are read as U+FFFD, which keeps offsets."""
    try:
        return _encode(tokenizer, texts)
    except (TypeError, UnicodeEncodeError):
        return _encode(tokenizer, [without_surrogates(text) for text in texts])


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    if len(texts) < POOL:
        return [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    encodings: list[Encoding] = tokenizer.encode_batch(texts, add_special_tokens=False)
    return encodings


def is_mark(char: str) -> bool:
    """Whether the character combines with the one before it."""
    # NFD may swap a spacing mark that has a combining class with a deleted one; offsets do not follow.
    return unicodedata.category(char) == "Mn" or unicodedata.combining(char) > 0
