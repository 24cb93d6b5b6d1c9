"""One vector per token of a text, for comparing texts token by token (late interaction, BERTScore)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import Faults
from ..manifest import Manifest
from ..names import EMBEDDINGS, ENCODER_EMBEDDINGS
from ..numeric import check_finite
from ..results import TokenEmbeddingResult
from ..text.tokenizer import Tokenizer
from ..text.windows import Document, Window, single_text_documents
from . import Answer, OneText, TensorSpec, WindowOutput
from .embedding import PREFIX_OPTIONS, check_options, prefixes_of, unit


class TokenEmbedding(OneText):
    """TEXT -> EMBEDDINGS, a row per token (of length 1 unless option `normalize` is false), RESULT with their offsets.

    Special tokens and those of a prefix that was put before the text have no row.
    """

    name = "token_embedding"
    offsets = True

    def check(self, manifest: Manifest) -> None:
        """options: dimension, the encoder's hidden size; normalize has a default; prefixes and prefix. One window."""
        faults = Faults()
        with faults.collect():
            check_options(manifest, ("dimension", "normalize", *PREFIX_OPTIONS))
        if manifest.limits.overflow != "truncate":
            faults.lines.append(
                f'task {manifest.task}: {self.name} reads one window of a text: set limits.overflow = "truncate"'
            )
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """EMBEDDINGS FP32 [tokens, dimension]; a text with fewer tokens than others of its request has rows of 0."""
        return (TensorSpec(EMBEDDINGS, "FP32", (-1, manifest.options["dimension"])),)

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """embeddings FP32 [tokens, dimension], not scaled yet."""
        return (TensorSpec(ENCODER_EMBEDDINGS, "FP32", (-1, manifest.options["dimension"])),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """One document per item, read with its prefix."""
        return single_text_documents(items, tokenizer, manifest.limits, prefixes_of(manifest))

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The vectors of each text's tokens, float32 [tokens, dimension], and their offsets."""
        answers = []
        for (window,) in outputs:
            read = window.offsets[:, 1] > 0
            vectors = window.tensors[ENCODER_EMBEDDINGS][read]
            check_finite(vectors)
            if manifest.options.get("normalize", True):
                vectors = unit(vectors.astype(np.float64)).astype(np.float32)
            offsets = window.offsets[read].tolist()
            result: TokenEmbeddingResult = {"offsets": offsets, "dimension": vectors.shape[1]}
            answers.append(Answer(result, {EMBEDDINGS: vectors}))
        return answers


KIND = TokenEmbedding()
