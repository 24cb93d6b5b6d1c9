"""SentencePiece's unigram tokenizer (XLM-R, ERNIE-M, ERNIE-Tiny), with character offsets into the text as sent.

Hugging Face `tokenizers` finds the pieces. What its offsets lack is mended here: the blank before a word is no part of
it, and characters that normalization composes belong to one token. Where the checkpoint came without a tokenizer.json,
texts are read as SentencePiece reads them (`sentencepiece_text`, `viterbi`).

tokenizer.json holds what `tokenizers` reads, and inside `model` the field `ernie_triton` (`UnigramSettings`), which it
skips. Special tokens are no added tokens there, and their names in the vocabulary end in a blank, which no word of a
text contains: typed in a text they are ordinary characters.

In `characters` mode ideographs, kana, punctuation and symbols are tokens of their own, and there are no tokens of
blanks alone, so that no token covers characters of two words or labels.
"""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Regex, pre_tokenizers
from tokenizers import Tokenizer as RustTokenizer

from ..errors import VocabularyError
from .characters_map import CharactersMap
from .rust import encode, without_surrogates
from .sentencepiece_text import BLANK, Reader, Reading, ReadText, split_piece
from .template import pair_layout
from .tokenizer import SpecialTokens, TokenizedText, Tokenizer
from .viterbi import Pieces

SETTINGS = "ernie_triton"  # the field of `model` in tokenizer.json
ISOLATED = r"(?!▁)[\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}\p{Bopomofo}\p{P}\p{S}]"
SPLIT = {"type": "Split", "pattern": {"Regex": ISOLATED}, "behavior": "Isolated", "invert": False}
_ISOLATE = pre_tokenizers.Split(Regex(ISOLATED), "isolated")

Tokens = tuple[list[int], list[int]]  # ids; start and end of each token in turn


@dataclass(frozen=True, kw_only=True)
class UnigramSettings:
    """What `tokenizers` has no place for."""

    special: SpecialTokens
    entries: int  # pieces that are tokens: the first ones; pieces after them only split texts, and are unknown
    characters: bool = False
    reading: Reading | None = None  # None: texts are normalized and split as tokenizer.json says


class UnigramTokenizer(Tokenizer):
    """A tokenizer whose model is Unigram."""

    def __init__(self, source: str) -> None:
        """source: the text of a tokenizer.json that `save` wrote, or that the builder made; VocabularyError."""
        document = json.loads(source)
        raw = document["model"].get(SETTINGS)
        if raw is None:
            raise VocabularyError(
                f"its model has no {SETTINGS}: it is a checkpoint's own file, publish the checkpoint to convert it"
            )
        self.settings = _settings(raw)
        pieces = document["model"]["vocab"][: self.settings.entries]
        tokens = [piece.removesuffix(" ") for piece, _ in pieces]
        missing = [name for name in self.settings.special.names if name not in tokens]
        if missing:
            raise VocabularyError(f"the vocabulary lacks {', '.join(missing)}")
        fingerprint = hashlib.sha256(source.encode()).hexdigest()
        super().__init__(tokens=tokens, special=self.settings.special, fingerprint=fingerprint)
        if self.pad_id != 0:
            raise VocabularyError(
                f"{self.special.pad} has id {self.pad_id}, it must have 0: ERNIE takes id 0 for padding"
            )
        self.pair = pair_layout(document["post_processor"], self.cls_id, self.sep_id)
        self.source = source
        self._blank_id = self.id(BLANK)
        self._rust = _rust_tokenizer(source)
        self._reader: Reader | None = None
        if self.settings.reading is not None:
            rules = base64.b64decode((document["normalizer"] or {}).get("precompiled_charsmap", ""))
            self._reader = Reader(self.settings.reading, CharactersMap(rules), self.settings.characters)
            self._pieces = Pieces(document["model"]["vocab"], self.unk_id)

    @classmethod
    def from_file(cls, path: str | Path) -> UnigramTokenizer:
        """Load a file that `save` wrote. Raises VocabularyError."""
        try:
            return cls(Path(path).read_text(encoding="utf-8").removesuffix("\n"))
        except VocabularyError as error:
            raise VocabularyError(f"{path}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise VocabularyError(f"{path}: not a tokenizer.json: {error!r}") from None

    def __reduce__(self) -> tuple[type[UnigramTokenizer], tuple[str]]:
        return UnigramTokenizer, (self.source,)

    def save(self, path: str | Path) -> None:
        """Write tokenizer.json, which Hugging Face `tokenizers` can load; always the same bytes."""
        Path(path).write_text(self.source + "\n", encoding="utf-8")

    def for_characters(self) -> UnigramTokenizer:
        """The same vocabulary in `characters` mode."""
        if self.settings.characters:
            return self
        document = json.loads(self.source)
        document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [document["pre_tokenizer"], SPLIT]}
        document["model"][SETTINGS]["characters"] = True
        return UnigramTokenizer(dumps(document))

    def __call__(self, texts: Sequence[str]) -> list[TokenizedText]:
        """The tokens of each text; a text of blanks has none."""
        texts = list(texts)
        if self._reader is not None:
            return _arrays([self._read(self._reader(without_surrogates(text))) for text in texts])
        encodings = encode(self._rust, texts)
        return _arrays([self._tokenized(text, encoding) for text, encoding in zip(texts, encodings, strict=True)])

    def _tokenized(self, text: str, encoding: Encoding) -> Tokens:
        blanks, characters = self._blanks, self.settings.characters
        if blanks.isdisjoint(text):  # most Chinese text: the offsets are right where they leave nothing out
            ids, bounds = encoding.ids, list(chain.from_iterable(encoding.offsets))
            if characters and ids[:1] == [self._blank_id]:
                ids, bounds = ids[1:], bounds[2:]
            is_whole = bounds[:1] == [0] and bounds[-1] == len(text) and bounds[1:-1:2] == bounds[2::2]
            if is_whole and self._blank_id not in ids:
                return ids, bounds
        return self._mended(text, encoding)

    def _mended(self, text: str, encoding: Encoding) -> Tokens:
        """With offsets that leave out blanks and include what normalization composed."""
        blanks, characters = self._blanks, self.settings.characters
        ids: list[int] = []
        bounds: list[int] = []
        only_blanks, has_gaps, last_start, last_end = True, False, 0, 0
        for id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            first, last = start, end
            while first < last and text[first] in blanks:
                first += 1
            while first < last and text[last - 1] in blanks:
                last -= 1
            if first == last or id == self._blank_id:  # no character: the blank itself, or what follows it
                if characters:
                    continue
                first, last = start, max(end, start + 1)
            else:
                only_blanks = False
            first, last = max(first, last_start), max(last, last_end)
            has_gaps = has_gaps or first > last_end
            ids.append(id)
            bounds += (first, last)
            last_start, last_end = first, last
        if only_blanks:
            ids, bounds = [], []
        elif has_gaps or last_end < len(text):
            _include_composed(text, bounds, blanks)
        return ids, bounds

    def _read(self, text: ReadText) -> Tokens:
        reading = self.settings.reading
        splits = reading is not None and reading.split
        drops_blanks = splits or self.settings.characters
        ids: list[int] = []
        bounds: list[int] = []
        for id, start, end in self._split(text.text):
            for part_id, first, last in self._parts(text.text, start, end) if splits else ((id, start, end),):
                begin = first
                while begin < last and text.text[begin] == BLANK:
                    begin += 1
                if begin == last and drops_blanks:
                    continue
                ids.append(part_id if part_id < self.vocab_size else self.unk_id)
                bounds += text.span(begin, last) if begin < last else text.blank(first, last)
        return ids, bounds

    def _split(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Id, start and end of the pieces of a normalized text."""
        reading = self.settings.reading
        isolates = self.settings.characters and reading is not None and reading.words is None
        parts = _ISOLATE.pre_tokenize_str(text) if isolates else [(text, (0, len(text)))]
        for part, (offset, _) in parts:
            for id, start, end in self._pieces.split(part):
                yield id, offset + start, offset + end

    def _parts(self, text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Id, start and end of each part of the piece text[start:end]."""
        for first, last in split_piece(text[start:end]):
            id = self._ids.get(text[start + first : start + last], self.unk_id)
            yield self.unk_id if id in self.special_ids else id, start + first, start + last

    @cached_property
    def _blanks(self) -> frozenset[str]:
        """Characters that normalization makes blanks, or deletes."""
        normalizer = self._rust.normalizer
        characters = map(chr, chain(range(0xD800), range(0xE000, 0x10000), range(0xE0000, 0xE0080)))
        separators = [c for c in characters if unicodedata.category(c) in ("Zs", "Zl", "Zp", "Cc", "Cf")]
        silent = {
            c for c in separators if not (normalizer.normalize_str(c) if normalizer is not None else c).strip(" ")
        }
        return frozenset(silent | {BLANK})


def dumps(document: dict[str, Any]) -> str:
    """The text of a tokenizer.json, always the same for the same content."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def settings_json(settings: UnigramSettings) -> dict[str, Any]:
    """For `model.ernie_triton`."""
    return asdict(settings)


def _settings(raw: dict[str, Any]) -> UnigramSettings:
    reading = raw["reading"] and Reading(**{**raw["reading"], "words": _words(raw["reading"]["words"])})
    return UnigramSettings(**{**raw, "special": SpecialTokens(**raw["special"]), "reading": reading})


def _words(raw: list[str] | None) -> tuple[str, ...] | None:
    return None if raw is None else tuple(raw)


def _rust_tokenizer(source: str) -> RustTokenizer:
    try:
        rust = RustTokenizer.from_str(source)
    except Exception as error:  # tokenizers raises bare Exception
        raise VocabularyError(f"not a tokenizer.json: {error}") from None
    rust.no_padding()
    rust.no_truncation()
    return rust


def _arrays(tokens: list[Tokens]) -> list[TokenizedText]:
    ends = list(accumulate((len(ids) for ids, _ in tokens), initial=0))
    all_ids = np.array(list(chain.from_iterable(ids for ids, _ in tokens)), np.int64)
    all_bounds = np.array(list(chain.from_iterable(bounds for _, bounds in tokens)), np.int32).reshape(-1, 2)
    return [TokenizedText(all_ids[start:end], all_bounds[start:end]) for start, end in pairwise(ends)]


def _include_composed(text: str, bounds: list[int], blanks: frozenset[str]) -> None:
    """Move the end of each token over the characters right after it that no token has, in place.

    Normalization made them one with the token's last: combining marks, the voiced marks of half-width kana.
    """
    limits = [*bounds[2::2], len(text)]
    for token, limit in enumerate(limits):
        end = bounds[2 * token + 1]
        while end < limit and text[end] not in blanks:
            end += 1
        bounds[2 * token + 1] = end
