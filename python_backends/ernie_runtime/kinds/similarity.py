"""How alike two texts are: the cosine of their embeddings, each text encoded apart (Reimers & Gurevych 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ManifestError
from ..manifest import Manifest
from ..names import ENCODER_EMBEDDING, SCORE, TEXT, TEXT_PAIR
from ..results import SimilarityResult
from ..text.pairs import good_pairs
from ..text.tokenization import ErnieTokenizer
from ..text.windows import Cut, Document, Window, make_windows
from . import Answer, TensorSpec, WindowOutput
from .embedding import check_options, text_vectors, unit

NAMES = ("the text", "the second text")  # what messages call the inputs
FIRST = "first"  # in Document.extra: how many of its windows are the first text's


class Similarity:
    """TEXT, TEXT_PAIR -> SCORE (cosine, -1 to 1), RESULT with `score`."""

    name = "similarity"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(TEXT, "BYTES", (1,)), TensorSpec(TEXT_PAIR, "BYTES", (1,)))
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """options: dimension; pooling and max_score have defaults."""
        check_options(manifest, ("dimension", "pooling", "max_score"))
        highest = manifest.options.get("max_score", 1)
        if type(highest) not in (int, float) or not 0 < highest < float("inf"):
            raise ManifestError(
                f"task {manifest.task}: options.max_score is {highest!r}; it must be the score that the data gives "
                "to texts of the same meaning, a number above 0"
            )

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """SCORE FP32 [1]."""
        return (TensorSpec(SCORE, "FP32", (1,)),)

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """embedding FP32 [dimension], of one window of one of the texts."""
        return (TensorSpec(ENCODER_EMBEDDING, "FP32", (manifest.options["dimension"],)),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: ErnieTokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """The windows of the first text, then those of the second; neither sees the other."""
        limits = manifest.limits
        cut = Cut(tokenizer)
        for text, *both in good_pairs(items, cut, limits, NAMES):
            first, second = (make_windows(cut.owner, one, tokenizer, limits) for one in both)
            lengths = [len(one.ids) for one in both]
            truncated = limits.overflow == "truncate" and max(lengths) > limits.max_length - 2
            cut.add(text, sum(lengths), [*first, *second], truncated, {FIRST: len(first)})
        return cut.documents, cut.windows

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The cosine of the two texts' vectors; 0 where one of them is a zero vector."""
        if not outputs:
            return []
        texts = []
        for document, windows in zip(documents, outputs, strict=True):
            first = document.extra[FIRST]
            texts += [windows[:first], windows[first:]]
        vectors = unit(text_vectors(texts))
        # Rounding can carry the product of two unit vectors past 1.
        scores = np.clip((vectors[::2] * vectors[1::2]).sum(axis=1), -1, 1).tolist()
        results: list[SimilarityResult] = [{"score": round(score, 6)} for score in scores]
        return [Answer(result, {SCORE: score}) for result, score in zip(results, scores, strict=True)]


KIND = Similarity()
