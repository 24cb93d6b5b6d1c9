"""What every tokenizer offers: ids and character offsets of texts, its special tokens, and the layout of pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class TokenizedText:
    """The tokens of one text, without special tokens.

    Offsets index the text as sent (Python slicing). 0 <= start < end <= len(text), and neither starts nor ends ever
    decrease; tokens overlap only where one character gives several. A combining mark belongs to the character that it
    follows, though it may give no token.
    """

    ids: npt.NDArray[np.int64]  # [n]
    offsets: npt.NDArray[np.int32]  # [n, 2]


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The names of the special tokens in the vocabulary."""

    pad: str = "[PAD]"
    cls: str = "[CLS]"
    sep: str = "[SEP]"
    unk: str = "[UNK]"
    mask: str = "[MASK]"

    @property
    def names(self) -> tuple[str, str, str, str, str]:
        """All of them, in the order of the fields."""
        return self.pad, self.cls, self.sep, self.unk, self.mask


@dataclass(frozen=True, kw_only=True)
class PairLayout:
    """A window of two texts: the first special token, text, `between`, text, the last special token.

    The token type is 0 up to `between`, and `second_type` from the second text on.
    """

    between: tuple[int, ...]  # ids: [SEP]; </s></s> in XLM-R, [SEP] [SEP] in ERNIE-M
    second_type: int

    @property
    def special(self) -> int:
        """The number of special tokens in a window of two texts."""
        return len(self.between) + 2


class Tokenizer(ABC):
    """Text to ids and offsets; several threads may call it.

    Special tokens typed in a text are ordinary characters: no text can give their ids, except the unknown token's.
    """

    def __init__(self, *, tokens: Sequence[str], special: SpecialTokens, fingerprint: str) -> None:
        """tokens: by id; all names of `special` are among them."""
        self._tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        self.special = special
        self.pad_id, self.cls_id, self.sep_id, self.unk_id, self.mask_id = (self._ids[name] for name in special.names)
        self.vocab_size = len(self._tokens)
        """Rows an embedding table needs: the highest id + 1."""
        self.fingerprint = fingerprint
        """SHA-256 of what decides about ids: two tokenizers with the same one give the same ids."""
        self.pair = PairLayout(between=(self.sep_id,), second_type=1)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """The ids of the special tokens, in the order of `SpecialTokens.names`."""
        return self.pad_id, self.cls_id, self.sep_id, self.unk_id, self.mask_id

    def token(self, id: int) -> str:
        """The token of an id; IndexError where there is none."""
        if id < 0:
            raise IndexError(f"token id {id} is negative")
        return self._tokens[id]

    def id(self, token: str) -> int | None:
        """The id of a token, None where the vocabulary has none."""
        return self._ids.get(token)

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Write tokenizer.json, which `load_tokenizer` and Hugging Face `tokenizers` read; always the same bytes."""

    @abstractmethod
    def __call__(self, texts: Sequence[str]) -> list[TokenizedText]:
        """The tokens of each text."""

    def for_characters(self) -> Tokenizer:
        """The tokenizer for labels and answers in a text: no token covers two ideographs or symbols."""
        return self
