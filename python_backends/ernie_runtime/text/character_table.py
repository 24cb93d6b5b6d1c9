"""Most Chinese text is one look-up a character.

A text of plain characters only is tokenized here; one with any other (combining marks, control characters, letters that
decompose, characters that the vocabulary lacks) is left to Rust. What is plain, and what becomes of it, is asked of the
Rust tokenizer itself, so that both give the same ids and offsets. Words of several characters ("iphone", "2019") are
cut by Rust too, each once: the pieces are kept.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

from tokenizers import Tokenizer

SPACE, WORD = -1, -2  # else the id of a character that is always a word by itself
ASCII = "".join(map(chr, range(0x21, 0x7F)))
SPACES = " \t\n\r\u3000"
KEPT_WORDS, KEPT_CHARS = 20_000, 40  # words whose pieces are kept, and of what length: some megabytes
Tokens = tuple[list[int], list[int]]  # ids; start and end of each token in turn, in characters


class CharacterTable:
    """What becomes of each plain character. vocabulary: token -> id; unknown: the id of a token that it lacks."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Mapping[str, int], unknown: int) -> None:
        self._tokenizer = tokenizer
        self._words: dict[str, Tokens] = {}
        self._characters: dict[str, int] = {}
        for char, normal, kind in _plain_characters(tokenizer, vocabulary):
            self._characters[char] = vocabulary.get(normal, unknown) if kind is None else kind

    def tokenize(self, text: str) -> Tokens | None:
        """None where a character is not plain."""
        ids: list[int] = []
        offsets: list[int] = []
        look_up, word = self._characters.get, -1  # where a word began
        for i, char in enumerate(text):
            found = look_up(char)
            if found is None:
                return None
            if found == WORD:
                if word < 0:
                    word = i
                continue
            if word >= 0:
                self._add(text, word, i, ids, offsets)
                word = -1
            if found != SPACE:
                ids.append(found)
                offsets += (i, i + 1)
        if word >= 0:
            self._add(text, word, len(text), ids, offsets)
        return ids, offsets

    def _add(self, text: str, start: int, end: int, ids: list[int], offsets: list[int]) -> None:
        """Append the tokens of the word text[start:end], as Rust cuts it."""
        word = text[start:end]
        pieces = self._words.get(word)
        if pieces is None:
            encoding = self._tokenizer.encode(word, add_special_tokens=False)
            pieces = encoding.ids, [bound for pair in encoding.offsets for bound in pair]
            if len(word) <= KEPT_CHARS:
                if len(self._words) >= KEPT_WORDS:
                    self._words.clear()
                self._words[word] = pieces
        ids += pieces[0]
        offsets += [start + bound for bound in pieces[1]]


def _plain_characters(tokenizer: Tokenizer, vocabulary: Mapping[str, int]) -> Iterator[tuple[str, str, int | None]]:
    """(character, normal form, SPACE, WORD or None) of what has a normal form of one character wherever it stands."""
    single = {token for token in vocabulary if len(token) == 1}
    known = single | {token.upper() for token in single} | set(ASCII) | set(SPACES)
    chars = sorted(char for char in known if len(char) == 1 and _keeps_its_place(char))
    # Between letters, on a line of its own: it joins them to one word (WORD), or stands between two (SPACE: unseen).
    normal = _between_letters(tokenizer, chars)
    if len(normal) != 4 * len(chars):  # this Python and Rust do not know the same characters
        chars = [char for char in chars if len(_between_letters(tokenizer, [char])) == 4]
        normal = _between_letters(tokenizer, chars)
    words = {start: end for _, (start, end) in tokenizer.pre_tokenizer.pre_tokenize_str(normal)}
    for char, at in zip(chars, range(0, len(normal), 4), strict=True):
        kind = WORD if words[at] == at + 3 else None if at + 1 in words else SPACE
        yield char, normal[at + 1], kind


def _between_letters(tokenizer: Tokenizer, chars: list[str]) -> str:
    normal: str = tokenizer.normalizer.normalize_str("".join(f"a{char}a\n" for char in chars))
    return normal


def _keeps_its_place(char: str) -> bool:
    """Nothing that normalising takes apart or moves."""
    return len(unicodedata.normalize("NFD", char)) == 1 and not unicodedata.combining(char) and len(char.lower()) == 1
