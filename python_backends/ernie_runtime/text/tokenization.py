"""Text to token ids and character offsets, with the ids ERNIE models were trained with.

The reference is PaddleNLP 2.8.1, `ErnieTokenizer(vocab_file, do_lower_case=True)`: the ids here are those of
its `__call__` without [CLS] and [SEP]. Hugging Face `tokenizers` (Rust) does the work, built from explicit Unicode
tables because its own BertNormalizer and BertPreTokenizer differ on symbols and emoji. A saved tokenizer.json holds
the tables of the Python that built it; newer ones know more characters.

These rules are the reference's, odd as some are, because the models were trained with them:
- Private-use and unassigned characters, zero-width joiners, U+00AD, U+FFFD and vertical tabs are deleted, so the
  words on both sides become one; U+2028 and U+2029 separate words.
- Non-spacing marks are deleted in every script, not only accents: "が" is read as "か".
- A capital sigma always becomes "σ", never the final "ς": the reference lowers each character alone.
- "²", "º", "µ", "ŋ" and "〇" stand alone like symbols; "³", "ª", "①" and ideographs from U+2CEB0 do not.
- Hangul is decomposed into its letters; full-width letters are lowered but stay full-width.
- Where a token is on two lines of the vocabulary, the last line counts ("$" in ERNIE 3.0's).

Two differences are on purpose. Special tokens typed in a text are ordinary characters, while the reference takes a
user's "[SEP]" for a separator and so splits the input. And `vocab_size` counts lines, so that it is one more than the
highest id, while the reference counts distinct tokens.
"""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import accumulate, chain, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers import Tokenizer as RustTokenizer
from tokenizers.models import WordPiece

from ..errors import VocabularyError
from .character_table import CharacterTable
from .rust import encode, is_mark
from .tokenizer import SpecialTokens, TokenizedText, Tokenizer

MAX_WORD_CHARS = 100  # a longer word becomes one [UNK]
SPECIAL_TOKENS = SpecialTokens().names
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
_LIKE_SYMBOLS = frozenset("\u00b2\u00b5\u00ba\u00d8\u014b\u01b1\u3007")


class ErnieTokenizer(Tokenizer):
    """ERNIE's tokenizer."""

    def __init__(self, tokenizer: RustTokenizer) -> None:
        """Use `from_vocab` or `from_file`. VocabularyError where `tokenizer` is not one that they made."""
        if tokenizer.get_added_tokens_decoder():
            raise VocabularyError("it has registered special tokens: make it with ErnieTokenizer.save")
        entries = tokenizer.get_vocab(with_added_tokens=False)
        names = sorted(entries, key=entries.__getitem__)
        if [entries[name] for name in names] != list(range(len(names))):
            raise VocabularyError("its ids are not 0 to n - 1: make it with ErnieTokenizer.save")
        tokens = [name.rstrip("\n") for name in names]
        _check_special_tokens({token: index for index, token in enumerate(tokens)})
        self.lowercase = bool(tokenizer.normalizer.normalize_str("A") == "a")
        lines = tokens if self.lowercase else [*tokens, "", "cased"]
        fingerprint = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
        super().__init__(tokens=tokens, special=SpecialTokens(), fingerprint=fingerprint)
        self._tokenizer = tokenizer

    @classmethod
    def from_vocab(cls, path: str | Path, lowercase: bool = True) -> ErnieTokenizer:
        """Build from vocab.txt: UTF-8, one token per line, ids are line numbers from 0. Raises VocabularyError.

        lowercase: PaddleNLP's do_lower_case, which strips accents too.
        """
        try:
            with open(path, encoding="utf-8") as file:
                tokens = [line.rstrip("\n") for line in file]
        except (OSError, UnicodeDecodeError) as error:
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
            raise VocabularyError(f"{path}: {reason}") from None
        try:
            return cls.from_tokens(tokens, lowercase)
        except VocabularyError as error:
            raise VocabularyError(f"{path}: {error}") from None

    @classmethod
    def from_tokens(cls, tokens: list[str], lowercase: bool = True) -> ErnieTokenizer:
        """Build from the tokens by id. Raises VocabularyError."""
        if not any(tokens):
            raise VocabularyError("the vocabulary is empty")
        last = {token: index for index, token in enumerate(tokens)}
        _check_special_tokens(last)
        return cls(_build(tokens, last, lowercase))

    @classmethod
    def from_file(cls, path: str | Path) -> ErnieTokenizer:
        """Load a file that `save` wrote. Raises VocabularyError."""
        try:
            tokenizer = RustTokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise VocabularyError(f"{path}: not a tokenizer.json: {error}") from None
        try:
            return cls(tokenizer)
        except VocabularyError as error:
            raise VocabularyError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write tokenizer.json, which Hugging Face `tokenizers` can load; the bytes are always the same."""
        Path(path).write_bytes(self._tokenizer.to_str().encode() + b"\n")

    def __call__(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize texts: those of plain characters by a table, the others in one Rust call.

        Lone surrogates are deleted like other characters of category C.
        """
        texts = list(texts)
        by_table = [self._table.tokenize(text) for text in texts]
        rest = [text for text, tokens in zip(texts, by_table, strict=True) if tokens is None]
        by_rust = iter(self._by_rust(rest) if rest else ())
        return [
            next(by_rust)
            if tokens is None
            else TokenizedText(np.array(tokens[0], np.int64), np.array(tokens[1], np.int32).reshape(-1, 2))
            for tokens in by_table
        ]

    @cached_property
    def _table(self) -> CharacterTable:
        return CharacterTable(self._tokenizer, self._ids, self.unk_id)

    def _by_rust(self, texts: list[str]) -> list[TokenizedText]:
        encodings = encode(self._tokenizer, texts)
        ids = [encoding.ids for encoding in encodings]
        bounds = list(accumulate(map(len, ids), initial=0))
        all_ids = np.fromiter(chain.from_iterable(ids), np.int64, bounds[-1])
        pairs = chain.from_iterable(encoding.offsets for encoding in encodings)
        offsets = np.fromiter(chain.from_iterable(pairs), np.int32, 2 * bounds[-1]).reshape(-1, 2)
        _include_marks(texts, bounds, offsets)
        return [TokenizedText(all_ids[start:end], offsets[start:end]) for start, end in pairwise(bounds)]


def _include_marks(texts: Sequence[str], bounds: list[int], offsets: npt.NDArray[np.int32]) -> None:
    """Move the end of each token over the combining marks right after it, in place.

    The marks were deleted before the text was split, so the last token of "cafe\\u0301" ends at "e". Text i has the
    tokens bounds[i] to bounds[i + 1]. Only tokens with a gap before the next one are looked at.
    """
    limits = np.empty(len(offsets), np.int32)
    limits[:-1] = offsets[1:, 0]
    for text, (start, end) in zip(texts, pairwise(bounds), strict=True):
        if start < end:
            limits[end - 1] = len(text)
    ends = offsets[:, 1]
    for token in (ends < limits).nonzero()[0].tolist():
        text, limit = texts[bisect_right(bounds, token) - 1], limits[token]
        end = int(ends[token])
        while end < limit and is_mark(text[end]):
            end += 1
        ends[token] = end


def _check_special_tokens(ids: dict[str, int]) -> None:
    missing = [token for token in SPECIAL_TOKENS if token not in ids]
    if missing:
        raise VocabularyError(f"the vocabulary lacks {', '.join(missing)}")
    if ids["[PAD]"] != 0:
        raise VocabularyError(f"[PAD] has id {ids['[PAD]']}, it must have 0: ERNIE takes id 0 for padding")


def _build(tokens: list[str], last: dict[str, int], lowercase: bool) -> RustTokenizer:
    # A line that does not count keeps its id under a name with line breaks, which no word contains.
    vocab: dict[str, int] = {}
    for index, token in enumerate(tokens):
        name = token
        while last[token] != index and (name == token or name in vocab):
            name += "\n"
        vocab[name] = index
    deleted, marks, isolated, isolated_or_space, unknown_to_rust = _character_classes()
    tokenizer = RustTokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=MAX_WORD_CHARS))
    # Deletion comes first: Rust lowers and decomposes some characters that this Python does not know yet.
    lowering = [
        normalizers.Lowercase(),
        *(normalizers.Replace(char, unicodedata.normalize("NFD", char)) for char in unknown_to_rust),
        normalizers.NFD(),
        normalizers.Replace(Regex(marks), ""),
    ]
    delete = normalizers.Replace(Regex(deleted), "")
    tokenizer.normalizer = normalizers.Sequence([delete, *(lowering if lowercase else [])])
    words = Regex(f"{isolated}|[^{isolated_or_space[1:-1]}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(words, "removed", invert=True)
    return tokenizer


@cache
def _character_classes() -> tuple[str, str, str, str, str]:
    """Regex classes: deleted characters, combining marks, words of one character, and these with the spaces.

    The last element, a plain string, holds the characters that Rust's NFD does not decompose (one in tokenizers 0.23).
    """
    pairs = np.frombuffer(_categories().encode(), np.uint8)  # two letters for each code point
    major, minor = pairs[::2], pairs[1::2]
    marks = (major == ord("M")) & (minor == ord("n"))
    spaces = major == ord("Z")
    spaces[[ord(char) for char in "\t\n\r"]] = True
    deleted = (major == ord("C")) & ~spaces
    deleted[0xD800:0xE000] = False
    deleted[0xFFFD] = True
    isolated = (major == ord("P")) | (major == ord("S"))
    isolated[[ord(char) for char in _LIKE_SYMBOLS]] = True
    for first, last in _IDEOGRAPHS:
        isolated[first : last + 1] = True
    isolated &= ~(marks | spaces | deleted)
    nfd, unknown_to_rust = normalizers.NFD(), ""
    for char in map(chr, np.flatnonzero(major != ord("C")).tolist()):
        decomposition = unicodedata.decomposition(char)
        if decomposition and decomposition[0] != "<" and nfd.normalize_str(char) == char:
            unknown_to_rust += char
    classes = [_regex(np.flatnonzero(mask)) for mask in (deleted, marks, isolated, isolated | spaces)]
    return classes[0], classes[1], classes[2], classes[3], unknown_to_rust


def _categories() -> str:
    """Unicode's two letters of every code point, of which all that are not asked for begin with C.

    Planes 4 to 13 are unassigned, 15 and 16 for private use, and of plane 14 only the beginning is assigned. To ask
    for them, too, takes every process that builds a tokenizer a quarter of a second.
    """
    parts = [range(0x40000), range(0xE0000, 0xE1000)]
    first, second = ("".join(map(unicodedata.category, map(chr, part))) for part in parts)
    return first + "Cn" * (0xE0000 - 0x40000) + second + "Cn" * (0x110000 - 0xE1000)


def _regex(codes: np.ndarray) -> str:
    """The character class of ascending code points, as ranges, in the syntax of `tokenizers` (Oniguruma)."""
    breaks = np.flatnonzero(np.diff(codes) > 1)
    firsts, lasts = codes[np.r_[0, breaks + 1]], codes[np.r_[breaks, len(codes) - 1]]
    return "[" + "".join(f"\\x{{{a:X}}}-\\x{{{b:X}}}" for a, b in zip(firsts, lasts, strict=True)) + "]"
