"""Cut a SentencePiece vocabulary to the pieces of a text: a smaller tokenizer, and a smaller table of embeddings.

A multilingual vocabulary has 250,000 pieces, of which text in one or two languages uses a tenth. A piece is kept if the
text has it often enough, or if it is a single character of a kind that any text may hold. Unlike `vocabulary`, which
prunes the graph of a variant and keeps the tokenizer, this makes a new model: a text with a dropped piece is read in
smaller ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ernie_runtime.text.sentencepiece_text import BLANK
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.unigram import UnigramTokenizer

from ..checkpoints.architectures import WORDS
from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.tokenizer_files import BY_TOKEN_ID, renumbered
from ..console import bar
from ..errors import CheckpointError, ConfigError, DataError
from .vocabulary import row_of_id

CHUNK = 1000  # texts tokenized at once
# ASCII, with and without a blank before it; ideographs, their punctuation, full-width forms, general punctuation.
SINGLE = re.compile(
    rf"{BLANK}|{BLANK}?[\x21-\x7e]|[\u2010-\u2027\u2030-\u205e\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\uff00-\uffef]"
)


@dataclass(frozen=True, kw_only=True)
class CutReport:
    """What a cut did to the text that it was made for."""

    pieces_before: int
    pieces_after: int
    frequent: int  # kept because the text has them often enough; the others are single characters and special tokens
    tokens_before: int
    tokens_after: int
    lost: int  # tokens whose piece was dropped
    unknown_before: int
    unknown_after: int
    texts: int
    same: int  # texts of kept pieces alone, which are read as before

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.pieces_before:,} pieces, {self.pieces_after:,} kept: {self.frequent:,} of the text, "
            f"{self.pieces_after - self.frequent:,} single characters and special tokens",
            f"{self.tokens_before:,} tokens of text: {100 * self.lost / self.tokens_before:.2f}% were of dropped "
            f"pieces; {self.tokens_after:,} after the cut",
            f"unknown: {100 * self.unknown_before / self.tokens_before:.3f}% before, "
            f"{100 * self.unknown_after / self.tokens_after:.3f}% after",
            f"checked: all rows and ids; {self.same:,} of {self.texts:,} texts have kept pieces alone, and the same "
            "tokens as before",
        ]


def cut_vocabulary(source: Checkpoint, texts: Sequence[str], min_count: int) -> tuple[Checkpoint, CutReport]:
    """The checkpoint with the pieces that `texts` have at least `min_count` times, and single characters.

    Special tokens come first, padding as id 0. CheckpointError for a vocabulary that is no SentencePiece's, and for a
    cut that does not pass its checks; DataError where the texts hold no token.
    """
    before = source.tokenizer
    if not isinstance(before, UnigramTokenizer):
        raise CheckpointError(f"{source.where}: its vocabulary is WordPiece; only SentencePiece's can be cut")
    if before.settings.reading is not None and before.settings.reading.split:
        # Pieces that no token shows decide how a text is cut: without them kept tokens would be found elsewhere.
        raise CheckpointError(f"{source.where}: ERNIE-M's tokenizer splits pieces again; its vocabulary cannot be cut")
    if min_count < 1:
        raise ConfigError(f"--min-count {min_count}: must be at least 1")
    token_ids = list(_ids(before, texts, "count pieces"))
    counts = np.zeros(before.vocab_size, np.int64)
    for ids in token_ids:
        np.add.at(counts, ids, 1)
    if not counts.sum():
        raise DataError("--cut-vocabulary: the text holds no token")
    kept = kept_pieces(counts, before, min_count)
    after = renumbered(before, kept.tolist())
    changed = {name: source.weights[name][kept] for name in BY_TOKEN_ID if name in source.weights}
    result = replace(
        source,
        config=replace(source.config, vocab_size=len(kept)),
        weights=source.weights | changed,
        tokenizer=after,
    )
    frequent = int((counts[kept] >= min_count).sum())
    return result, _checked(source, result, kept, counts, frequent, token_ids, texts)


def kept_pieces(counts: np.ndarray, tokenizer: Tokenizer, min_count: int) -> np.ndarray:
    """The ids to keep, int64 [N]: special tokens in the order of `special_ids`, then pieces in their order.

    counts: int64 [vocabulary], how often the text has each.
    """
    special = list(tokenizer.special_ids)
    pieces = [
        id
        for id in range(tokenizer.vocab_size)
        if id not in special and (counts[id] >= min_count or SINGLE.fullmatch(tokenizer.token(id)))
    ]
    return np.array([*special, *pieces], np.int64)


def _ids(tokenizer: Tokenizer, texts: Sequence[str], label: str) -> Iterator[np.ndarray]:
    """The ids of each text, int32."""
    with bar(len(texts), label) as shown:
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            for tokenized in tokenizer(chunk):
                yield tokenized.ids.astype(np.int32)
            shown.update(len(chunk))


def _checked(
    source: Checkpoint,
    result: Checkpoint,
    kept: np.ndarray,
    counts: np.ndarray,
    frequent: int,
    token_ids: Iterable[np.ndarray],
    texts: Sequence[str],
) -> CutReport:
    """The figures of a cut; CheckpointError unless every kept piece has its row and id, and texts of them their tokens.

    counts: of the old ids; token_ids: of each text, before the cut.
    """
    before, after = source.tokenizer, result.tokenizer
    if len(result.weights[WORDS]) != after.vocab_size or after.pad_id != 0:
        raise CheckpointError(f"{source.where}: after the cut rows and pieces differ in number, or padding is not id 0")
    for new, old in enumerate(kept.tolist()):
        piece = before.token(old)
        is_same_row = result.weights[WORDS][new].tobytes() == source.weights[WORDS][old].tobytes()
        if after.token(new) != piece or after.id(piece) != new or not is_same_row:
            raise CheckpointError(f"{source.where}: after the cut piece {piece!r} has another id or row")
    rows = row_of_id(kept, before.vocab_size, before.unk_id)
    is_kept = np.zeros(before.vocab_size, bool)
    is_kept[kept] = True
    same = tokens_after = unknown_after = 0
    for text, old_ids, new_ids in zip(texts, token_ids, _ids(after, texts, "check the cut"), strict=True):
        tokens_after += len(new_ids)
        unknown_after += int((new_ids == after.unk_id).sum())
        if is_kept[old_ids].all():
            same += 1
            if not np.array_equal(rows[old_ids], new_ids):
                raise CheckpointError(
                    f"{source.where}: after the cut {text[:40]!r} has other tokens, though all are kept"
                )
    return CutReport(
        pieces_before=before.vocab_size,
        pieces_after=after.vocab_size,
        frequent=frequent,
        tokens_before=int(counts.sum()),
        tokens_after=tokens_after,
        lost=int(counts[~is_kept].sum()),
        unknown_before=int(counts[before.unk_id]),
        unknown_after=unknown_after,
        texts=len(texts),
        same=same,
    )
