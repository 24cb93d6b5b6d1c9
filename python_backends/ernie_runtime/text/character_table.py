"""A fast path of the tokenizer: most Chinese text needs one look-up per character.

Texts of plain characters are tokenized here; texts with any other (combining marks, control characters, letters that
decompose, characters that the vocabulary lacks) are left to Rust. The Rust tokenizer itself says which characters are
plain and what they become, so that both give the same ids and offsets. Rust also splits words of several characters
("iphone", "2019"), each only once: the pieces are cached.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

from tokenizers import Tokenizer

SPACE, WORD = -1, -2  # other values are the id of a character that is always a word by itself
ASCII = "".join(map(chr, range(0x21, 0x7F)))
SPACES = " \t\n\r\u3000"
CACHED_WORDS, CACHED_CHARS = 20_000, 40  # the maximum of cached words and of their length: some megabytes
Tokens = tuple[list[int], list[int]]  # ids; start and end of each token in turn, in characters


class CharacterTable:
    """What each plain character becomes. vocabulary: token -> id; unknown: the id of a token that it lacks."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Mapping[str, int], unknown: int) -> None:
        self._tokenizer = tokenizer
        self._words: dict[str, Tokens] = {}
        self._characters: dict[str, int] = {}
        for char, normal, kind in _plain_characters(tokenizer, vocabulary):
            self._characters[char] = vocabulary.get(normal, unknown) if kind is None else kind

    def tokenize(self, text: str) -> Tokens | None:
        """The tokens of a text; None where a character is not plain."""
        ids: list[int] = []
        offsets: list[int] = []
        look_up, word_start = self._characters.get, -1
        for i, char in enumerate(text):
            entry = look_up(char)
            if entry is None:
                return None
            if entry == WORD:
                if word_start < 0:
                    word_start = i
                continue
            if word_start >= 0:
                self._append_word(text, word_start, i, ids, offsets)
                word_start = -1
            if entry != SPACE:
                ids.append(entry)
                offsets += (i, i + 1)
        if word_start >= 0:
            self._append_word(text, word_start, len(text), ids, offsets)
        return ids, offsets

    def _append_word(self, text: str, start: int, end: int, ids: list[int], offsets: list[int]) -> None:
        """Append the tokens of the word text[start:end], as Rust splits it."""
        word = text[start:end]
        pieces = self._words.get(word)
        if pieces is None:
            encoding = self._tokenizer.encode(word, add_special_tokens=False)
            pieces = encoding.ids, [bound for pair in encoding.offsets for bound in pair]
            if len(word) <= CACHED_CHARS:
                if len(self._words) >= CACHED_WORDS:
                    self._words.clear()
                self._words[word] = pieces
        ids += pieces[0]
        offsets += [start + bound for bound in pieces[1]]


def _plain_characters(tokenizer: Tokenizer, vocabulary: Mapping[str, int]) -> Iterator[tuple[str, str, int | None]]:
    """(character, normal form, SPACE, WORD or None) of characters whose normal form is one character in any context."""
    single = {token for token in vocabulary if len(token) == 1}
    candidates = single | {token.upper() for token in single} | set(ASCII) | set(SPACES)
    chars = sorted(char for char in candidates if len(char) == 1 and _keeps_its_place(char))
    # Between letters, on a line of its own, a character joins them into one word (WORD), or separates two: it is a word
    # itself, or no token at all (SPACE).
    normal = _between_letters(tokenizer, chars)
    if len(normal) != 4 * len(chars):  # this Python and Rust know different characters
        chars = [char for char in chars if len(_between_letters(tokenizer, [char])) == 4]
        normal = _between_letters(tokenizer, chars)
    words = {start: end for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(normal)}
    for char, start in zip(chars, range(0, len(normal), 4), strict=True):
        kind = WORD if words[start] == start + 3 else None if start + 1 in words else SPACE
        yield char, normal[start + 1], kind


def _between_letters(tokenizer: Tokenizer, chars: list[str]) -> str:
    normal: str = tokenizer.normalizer.normalize_str("".join(f"a{char}a\n" for char in chars))
    return normal


def _keeps_its_place(char: str) -> bool:
    """Whether normalization neither decomposes the character nor moves it."""
    return len(unicodedata.normalize("NFD", char)) == 1 and not unicodedata.combining(char) and len(char.lower()) == 1
