"""Knowledge masking (ERNIE 1.0): whole units, words or phrases, are masked, not single tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer

MASKED, REPLACED = 0.8, 0.1  # shares of the predicted tokens; the rest stay unchanged
IGNORED = -1  # label of a token that is not predicted


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What masking needs of a vocabulary: the id of [MASK], and which ids may be predicted or drawn."""

    mask_id: int
    ordinary: np.ndarray  # int64, all ids that are not special
    is_special: np.ndarray  # bool [entries]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Vocabulary:
        """Special tokens are [PAD], [CLS], [SEP], [UNK] and [MASK], wherever they are in the vocabulary."""
        special = np.zeros(tokenizer.vocab_size, bool)
        special[list(tokenizer.special_ids)] = True
        return cls(mask_id=tokenizer.mask_id, ordinary=np.flatnonzero(~special), is_special=special)


def mask(
    ids: np.ndarray, units: np.ndarray, vocabulary: Vocabulary, rate: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Input ids with units masked, and labels (the true id, IGNORED elsewhere), both int64 [B, L].

    units: int64 [B, L], the number of each token's unit; negative for special tokens and padding. Those are never
    predicted, nor is [UNK] inside a unit. Each unit is chosen with probability `rate`; each token of a chosen unit
    becomes [MASK] (80%), a random ordinary token (10%), or stays (10%). If there is any unit, at least one is chosen.
    """
    is_maskable = (units >= 0) & ~vocabulary.is_special[ids]
    is_unit_chosen = generator.random(int(units.max(initial=-1)) + 1) < rate
    is_predicted = is_maskable & is_unit_chosen[np.maximum(units, 0)] if len(is_unit_chosen) else is_maskable
    if not is_predicted.any() and is_maskable.any():
        is_unit_chosen[generator.choice(units[is_maskable])] = True
        is_predicted = is_maskable & is_unit_chosen[np.maximum(units, 0)]
    draws = generator.random(ids.shape)
    random_ids = generator.choice(vocabulary.ordinary, ids.shape)
    masked_ids = np.where(is_predicted & (draws < MASKED), vocabulary.mask_id, ids)
    masked_ids = np.where(is_predicted & (draws >= MASKED) & (draws < MASKED + REPLACED), random_ids, masked_ids)
    return masked_ids, np.where(is_predicted, ids, IGNORED)
