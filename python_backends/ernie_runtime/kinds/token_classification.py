"""Entities in a text: BIO tags of tokens, stitched over windows, as exact character spans."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..errors import Faults
from ..manifest import Limits, Manifest
from ..names import LOGITS
from ..numeric import softmax
from ..results import EntitiesResult, EntitySpan
from ..text.bio import TagSet, joined_tokens, log_probabilities, tagged_spans, token_gaps
from ..text.windows import Document, window_starts
from . import Answer, OneText, TensorSpec, WindowOutput, check_option_names


@lru_cache(maxsize=64)
def tag_set(tags: tuple[str, ...]) -> TagSet:
    """The tag set of a manifest's labels, made once."""
    return TagSet(tags)


def stitch(
    document: Document, windows: Sequence[WindowOutput], name: str, limits: Limits
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs [n, C] and offsets [n, 2] of all tokens of a text, from its overlapping windows.

    A token in several windows is taken from the one where it lies farthest from an edge (the maximum context rule of
    the BERT SQuAD recipe). name: of the tensor.
    """
    if len(windows) == 1:
        inner = slice(1, len(windows[0].offsets) - 1)
        return windows[0].tensors[name][inner], windows[0].offsets[inner]
    if document.tokens > len(windows) * limits.max_length:
        raise ValueError(f"{len(windows)} windows cannot hold {document.tokens} tokens")
    values = np.zeros((document.tokens, windows[0].tensors[name].shape[-1]), np.float32)
    offsets = np.zeros((document.tokens, 2), np.int32)
    best_context = np.full(document.tokens, -1)
    starts = window_starts(document.tokens, limits.max_length - 2, limits.doc_stride, limits.overflow)
    for start, window in zip(starts, windows, strict=True):
        position = np.arange(len(window.offsets) - 2)
        context = np.minimum(position, position[::-1])
        better = position[context > best_context[start + position]]
        values[start + better] = window.tensors[name][1 + better]
        offsets[start + better] = window.offsets[1 + better]
        best_context[start + better] = context[better]
    return values, offsets


class TokenClassification(OneText):
    """TEXT -> RESULT with `entities`, each with its characters `start`..`end` of the text as sent."""

    name = "token_classification"
    offsets = True

    def check(self, manifest: Manifest) -> None:
        """The labels are a BIO tag set; there are no options."""
        faults = Faults()
        with faults.collect():
            check_option_names(manifest)
        with faults.collect():
            tag_set(tuple(label.id for label in manifest.labels))
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """None."""
        return ()

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """logits FP32 [tokens, tags]."""
        return (TensorSpec(LOGITS, "FP32", (-1, len(manifest.labels))),)

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """Entities of the best legal tag sequence; their score is the mean probability of their tokens' tags."""
        tags = tag_set(tuple(label.id for label in manifest.labels))
        answers = []
        for document, windows in zip(documents, outputs, strict=True):
            logits, offsets = stitch(document, windows, LOGITS, manifest.limits)
            probabilities = softmax(logits)
            joined, gaps = joined_tokens(document.text, offsets), token_gaps(document.text, offsets)
            path = tags.best_path(log_probabilities(probabilities), joined, gaps)
            entities: list[EntitySpan] = [
                {"label": kind, "text": document.text[start:end], "start": start, "end": end, "score": score}
                for start, end, kind, score in tagged_spans(tags, path, probabilities, offsets)
            ]
            result: EntitiesResult = {"entities": entities}
            answers.append(Answer(result, {}))
        return answers


KIND = TokenClassification()
