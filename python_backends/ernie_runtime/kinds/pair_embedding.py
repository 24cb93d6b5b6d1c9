"""One vector for two texts read together: where the relation of both counts, not each by itself."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Faults
from ..manifest import Manifest
from ..names import TEXT, TEXT_PAIR
from ..text.pairs import check_pair_limits, pair_documents
from ..text.tokenizer import Tokenizer
from ..text.windows import Document, Window
from . import TensorSpec
from .embedding import Embedding, check_options


class PairEmbedding(Embedding):
    """TEXT, TEXT_PAIR -> EMBEDDING, RESULT with its `dimension`; outputs and decoding are those of embedding."""

    name = "pair_embedding"
    inputs = (TensorSpec(TEXT, "BYTES", (1,)), TensorSpec(TEXT_PAIR, "BYTES", (1,)))

    def check(self, manifest: Manifest) -> None:
        """options: dimension; pooling and normalize have defaults. There must be room for both texts."""
        faults = Faults()
        with faults.collect():
            check_options(manifest, ("dimension", "pooling", "normalize"))
        with faults.collect():
            check_pair_limits(manifest)
        faults.check()

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """Two texts an item, in one row: [CLS] TEXT [SEP] TEXT_PAIR [SEP], token types 0 and 1."""
        check_pair_limits(manifest, tokenizer.pair.special)
        return pair_documents(items, tokenizer, manifest.limits)


KIND = PairEmbedding()
