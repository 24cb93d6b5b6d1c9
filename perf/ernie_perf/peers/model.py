"""Tokenizer, model and answers in one call: what every peer but ours serves, and the judge of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .answers import Answer, answers_of
from .plain import PlainEncoder, PlainTokenizer


class PlainModel:
    """A case, served in this process."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.tokenizer, self.encoder, self.answers = PlainTokenizer(case), PlainEncoder(case), answers_of(case)

    def __call__(self, items: Sequence[Sequence[str]]) -> list[Answer]:
        """An answer an item; all items are padded to the longest."""
        return self.answers(self.encoder(self.tokenizer(items)))
