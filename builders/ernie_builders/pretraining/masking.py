"""Knowledge masking (ERNIE 1.0): whole units are hidden, words or phrases, not tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ernie_runtime.text.tokenization import SPECIAL_TOKENS, ErnieTokenizer

MASKED, REPLACED = 0.8, 0.1  # of the tokens that are predicted; the rest stay as they are
IGNORED = -1  # label of a token that is not predicted


@dataclass(frozen=True)
class Vocabulary:
    """What masking must know of one: the mask, and which ids may be predicted or drawn."""

    mask_id: int
    ordinary: np.ndarray  # int64, all ids that are not special
    is_special: np.ndarray  # bool [entries]

    @classmethod
    def of(cls, tokenizer: ErnieTokenizer) -> Vocabulary:
        """Special are [PAD], [CLS], [SEP], [UNK] and [MASK], wherever they stand."""
        special = np.zeros(tokenizer.vocab_size, bool)
        special[[tokenizer.id(name) for name in SPECIAL_TOKENS]] = True
        return cls(tokenizer.mask_id, np.flatnonzero(~special), special)


def mask(
    ids: np.ndarray, units: np.ndarray, vocabulary: Vocabulary, rate: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Input ids with units hidden, and labels (the true id, IGNORED elsewhere), both int64 [B, L].

    units: int64 [B, L], the number of each token's unit, below 0 for special tokens and padding, which are never
    predicted, nor is [UNK] inside a unit. Each unit is chosen with probability `rate`; each token of a chosen one
    becomes [MASK] (80%), another ordinary token (10%) or stays (10%). At least one unit is chosen where there is one.
    """
    possible = (units >= 0) & ~vocabulary.is_special[ids]
    chosen = generator.random(int(units.max(initial=-1)) + 1) < rate
    picked = possible & chosen[np.maximum(units, 0)] if len(chosen) else possible
    if not picked.any() and possible.any():
        chosen[generator.choice(units[possible])] = True
        picked = possible & chosen[np.maximum(units, 0)]
    dice = generator.random(ids.shape)
    drawn = generator.choice(vocabulary.ordinary, ids.shape)
    hidden = np.where(picked & (dice < MASKED), vocabulary.mask_id, ids)
    hidden = np.where(picked & (dice >= MASKED) & (dice < MASKED + REPLACED), drawn, hidden)
    return hidden, np.where(picked, ids, IGNORED)
