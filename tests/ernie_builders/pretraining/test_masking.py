"""Knowledge masking: whole units, 15% of them, 80/10/10, and never special tokens."""

from __future__ import annotations

import numpy as np

from ernie_builders.pretraining.masking import IGNORED, Vocabulary, mask
from ernie_runtime.text.tokenization import ErnieTokenizer

ROWS, LENGTH = 200, 400


def units_of(generator: np.random.Generator) -> np.ndarray:
    """Units of 1 to 4 tokens; [CLS] first, [SEP] last and in the middle, padding behind some rows."""
    starts = generator.random((ROWS, LENGTH)) < 0.5
    starts[:, 1] = True
    units = np.cumsum(starts.reshape(-1)).reshape(ROWS, LENGTH) - 1
    units[:, [0, LENGTH // 2, LENGTH - 1]] = -1
    units[::3, LENGTH // 3 :] = -1
    return units


def test_masking_statistics(tokenizer: ErnieTokenizer) -> None:
    generator, vocabulary = np.random.default_rng(0), Vocabulary.of(tokenizer)
    units = units_of(generator)
    ids = np.where(units >= 0, generator.choice(vocabulary.ordinary, units.shape), tokenizer.sep_id)
    before = ids.copy()
    hidden, labels = mask(ids, units, vocabulary, 0.15, np.random.default_rng(1))
    assert (ids == before).all(), "the input was changed"
    selected, real = labels != IGNORED, units >= 0
    assert not selected[~real].any(), "a special token is predicted"
    assert (hidden[~selected] == ids[~selected]).all()
    assert (labels[selected] == ids[selected]).all()

    numbers, counts = np.unique(units[real], return_counts=True)
    chosen = np.bincount(units[selected], minlength=numbers[-1] + 1)[numbers]
    assert set(np.unique(chosen / counts)) == {0.0, 1.0}, "a unit is hidden in part"
    assert 0.14 < float((chosen > 0).mean()) < 0.16

    masked = hidden[selected] == tokenizer.mask_id
    unchanged = hidden[selected] == ids[selected]
    assert 0.78 < masked.mean() < 0.82
    assert 0.09 < unchanged.mean() < 0.115  # some are replaced by themselves
    assert 0.085 < (~masked & ~unchanged).mean() < 0.115
    replaced = hidden[selected][~masked]
    assert not vocabulary.is_special[replaced].any()
    assert len(np.unique(replaced)) > 300, "replacements come from a few entries"


def test_masks_depend_on_the_generator_only(tokenizer: ErnieTokenizer) -> None:
    vocabulary, units = Vocabulary.of(tokenizer), np.arange(400).reshape(4, 100)
    ids = np.full((4, 100), 50)
    first, repeated, other_seed = (
        mask(ids, units, vocabulary, 0.15, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first[0] == repeated[0]).all() and (first[1] == repeated[1]).all()
    assert (first[1] != other_seed[1]).any()


def test_unknown_words_and_tiny_batches(tokenizer: ErnieTokenizer) -> None:
    vocabulary = Vocabulary.of(tokenizer)
    ids = np.array([[tokenizer.cls_id, tokenizer.unk_id, tokenizer.unk_id, tokenizer.sep_id]])
    units = np.array([[-1, 0, 1, -1]])
    assert (mask(ids, units, vocabulary, 0.9, np.random.default_rng(0))[1] == IGNORED).all()
    ids[0, 1] = 77
    for seed in range(20):  # something is always learnt
        labels = mask(ids, units, vocabulary, 0.01, np.random.default_rng(seed))[1]
        assert labels.tolist() == [[IGNORED, 77, IGNORED, IGNORED]]
    nothing = np.full((1, 3), -1)
    assert (mask(np.zeros((1, 3), np.int64), nothing, vocabulary, 0.5, np.random.default_rng(0))[1] == IGNORED).all()
