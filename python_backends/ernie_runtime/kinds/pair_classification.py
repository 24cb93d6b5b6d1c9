"""One label for a pair of texts (same question, entailment, keywords of an abstract)."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Faults
from ..manifest import Manifest
from ..names import TEXT, TEXT_PAIR
from ..text.pairs import check_pair_limits, pair_documents
from ..text.tokenizer import Tokenizer
from ..text.windows import Document, Window
from . import TensorSpec
from .sequence_classification import SequenceClassification


class PairClassification(SequenceClassification):
    """TEXT, TEXT_PAIR -> LABEL_ID, SCORE, RESULT; outputs and decoding are those of sequence classification."""

    name = "pair_classification"
    inputs = (TensorSpec(TEXT, "BYTES", (1,)), TensorSpec(TEXT_PAIR, "BYTES", (1,)))

    def check(self, manifest: Manifest) -> None:
        """At least two labels, and room for both texts; options: pooling."""
        faults = Faults()
        with faults.collect():
            super().check(manifest)
        with faults.collect():
            check_pair_limits(manifest)
        faults.check()

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """Two texts an item: [CLS] TEXT [SEP] TEXT_PAIR [SEP], token types 0 and 1."""
        check_pair_limits(manifest, tokenizer.pair.special)
        return pair_documents(items, tokenizer, manifest.limits)


KIND = PairClassification()
