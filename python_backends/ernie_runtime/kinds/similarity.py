"""Similarity of two texts: the cosine of their embeddings, each text encoded alone (Reimers & Gurevych 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import Faults
from ..manifest import Manifest
from ..names import ENCODER_EMBEDDING, SCORE, TEXT, TEXT_PAIR
from ..results import SimilarityResult
from ..text.pairs import good_pairs
from ..text.tokenizer import Tokenizer
from ..text.windows import Document, DocumentBuilder, Window, make_windows
from . import Answer, TensorSpec, WindowOutput
from .embedding import PREFIX_OPTIONS, check_options, prefixes_of, text_vectors, unit

NAMES = ("the text", "the second text")  # of the inputs, in messages
FIRST = "first"  # key of Document.extra: the number of windows that are the first text's


class Similarity:
    """TEXT, TEXT_PAIR -> SCORE (cosine, -1 to 1), RESULT with `score`."""

    name = "similarity"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(TEXT, "BYTES", (1,)), TensorSpec(TEXT_PAIR, "BYTES", (1,)))
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """options: dimension; pooling and max_score have defaults; prefixes and prefix, the default one."""
        faults = Faults()
        with faults.collect():
            check_options(manifest, ("dimension", "pooling", "max_score", *PREFIX_OPTIONS))
        max_score = manifest.options.get("max_score", 1)
        if type(max_score) not in (int, float) or not 0 < max_score < float("inf"):
            faults.lines.append(
                f"task {manifest.task}: options.max_score is {max_score!r}; it must be the score that the data gives "
                "to texts of the same meaning, a number above 0"
            )
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """SCORE FP32 [1]."""
        return (TensorSpec(SCORE, "FP32", (1,)),)

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """embedding FP32 [dimension], of one window of one text."""
        return (TensorSpec(ENCODER_EMBEDDING, "FP32", (manifest.options["dimension"],)),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """The windows of the first text, then those of the second; neither sees the other."""
        limits = manifest.limits
        builder = DocumentBuilder(tokenizer, prefixes_of(manifest))
        for text, *pair in good_pairs(items, builder, limits, NAMES):
            first, second = (make_windows(builder.owner, tokens, tokenizer, limits) for tokens in pair)
            lengths = [len(tokens.ids) for tokens in pair]
            truncated = limits.overflow == "truncate" and max(lengths) > limits.max_length - 2
            builder.add(text, sum(lengths), [*first, *second], truncated, {FIRST: len(first)})
        return builder.documents, builder.windows

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The cosine of the two embeddings; 0 where one of them is a zero vector."""
        if not outputs:
            return []
        texts: list[Sequence[WindowOutput]] = []
        for document, windows in zip(documents, outputs, strict=True):
            first = document.extra[FIRST]
            texts += [windows[:first], windows[first:]]
        vectors = unit(text_vectors(texts))
        # Rounding can carry the product of two unit vectors past 1.
        scores = np.clip((vectors[::2] * vectors[1::2]).sum(axis=1), -1, 1).tolist()
        results: list[SimilarityResult] = [{"score": round(score, 6)} for score in scores]
        return [Answer(result, {SCORE: score}) for result, score in zip(results, scores, strict=True)]


KIND = Similarity()
