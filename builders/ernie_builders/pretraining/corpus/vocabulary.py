"""Cut a large vocabulary to its most frequent entries, and a checkpoint to a smaller vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ...checkpoints.checkpoint import Checkpoint
from ...compression.vocabulary import kept_entries
from ...errors import CheckpointError, ConfigError
from ...filesystem import write_file
from .text import LINES

TABLE = "ernie.embeddings.word_embeddings.weight"
BIAS = "cls.predictions.decoder_bias"


def most_frequent(texts: Iterable[str], tokenizer: Tokenizer, size: int, target: Path) -> Path:
    """Write the `size` most frequent entries of the texts, in the large vocabulary's order, with the special ones.

    Entries that never occur fill it up. ConfigError if the vocabulary is not larger than `size`.
    """
    if not 5 < size < tokenizer.vocab_size:
        raise ConfigError(f"--vocab-size {size}: the vocabulary has {tokenizer.vocab_size:,} entries; give fewer")
    counts, chunk = np.zeros(tokenizer.vocab_size, np.int64), list[str]()

    def count() -> None:
        for tokenized in tokenizer(chunk):
            np.add.at(counts, tokenized.ids, 1)
        chunk.clear()

    for text in texts:
        chunk.append(text)
        if len(chunk) == LINES:
            count()
    count()
    ids = kept_entries(counts, tokenizer, size, min_count=0)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_file(target, "".join(f"{tokenizer.token(int(id))}\n" for id in ids))
    return target


def with_vocabulary(start: Checkpoint, vocabulary: Path) -> Checkpoint:
    """The checkpoint with the rows of that vocabulary's entries, matched by text; CheckpointError if any is missing."""
    old, new = start.tokenizer, load_tokenizer(vocabulary)
    if old.fingerprint == new.fingerprint:
        return start
    tokens = [new.token(id) for id in range(new.vocab_size)]
    rows = [old.id(token) for token in tokens]
    missing = [token for token, row in zip(tokens, rows, strict=True) if row is None]
    if missing:
        raise CheckpointError(
            f"--init {start.where}: its vocabulary lacks {len(missing):,} of the {len(tokens):,} entries of "
            f"{vocabulary}, the first is {missing[0]!r}: take the checkpoint's own vocabulary, or start without --init"
        )
    index = np.array(rows, np.int64)
    weights = {name: value[index] if name in (TABLE, BIAS) else value for name, value in start.weights.items()}
    config = replace(start.config, vocab_size=len(tokens))
    return replace(start, config=config, weights=weights, tokenizer=new)
