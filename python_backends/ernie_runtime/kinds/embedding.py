"""Sentence embeddings: one vector per text, the mean over the windows of a long one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import Faults
from ..manifest import Manifest
from ..names import EMBEDDING, ENCODER_EMBEDDING
from ..numeric import check_finite
from ..results import EmbeddingResult
from ..text.prefixes import Prefixes
from ..text.tokenizer import Tokenizer
from ..text.windows import Document, Window, single_text_documents
from . import Answer, OneText, TensorSpec, WindowOutput, check_option_names

POOLINGS = ("cls", "mean", "first_last_mean", "pooler")
PCA = "pca"
PREFIX_OPTIONS = ("prefixes", "prefix")


def prefixes_of(manifest: Manifest) -> Prefixes:
    """The prefixes of the manifest's options, which are checked."""
    by_name = manifest.options.get("prefixes", {})
    name = manifest.options.get("prefix")
    return Prefixes(known=tuple(by_name.values()), default=by_name[name] if name is not None else "")


def check_prefixes(manifest: Manifest) -> None:
    """ManifestError where the options `prefixes` and `prefix` are wrong."""
    options, where, faults = manifest.options, f"task {manifest.task}: options", Faults()
    by_name = options.get("prefixes", {})
    if not isinstance(by_name, dict) or not all(isinstance(text, str) and text for text in by_name.values()):
        faults.lines.append(
            f"{where}.prefixes is {by_name!r}; it must name texts, such as "
            '{ query = "query: ", passage = "passage: " }'
        )
    elif "prefix" in options and (not isinstance(options["prefix"], str) or options["prefix"] not in by_name):
        faults.lines.append(
            f"{where}.prefix is {options['prefix']!r}; options.prefixes has {', '.join(by_name) or 'none'}"
        )
    faults.check()


def check_options(manifest: Manifest, names: Sequence[str]) -> None:
    """ManifestError where the options on embeddings are wrong, or an option is not in `names`."""
    faults = Faults()
    with faults.collect():
        check_option_names(manifest, names)
    options, where = manifest.options, f"task {manifest.task}: options"
    dimension = options.get("dimension")
    if type(dimension) is not int or dimension < 1:
        faults.lines.append(
            f"{where}.dimension is {dimension!r}; it must be the length of an embedding, a whole number above 0 "
            "(312 is the hidden size of the embedded encoder)"
        )
    if options.get("pooling", "mean") not in POOLINGS:
        faults.lines.append(f"{where}.pooling {options['pooling']!r} is none of {', '.join(POOLINGS)}")
    if type(options.get("normalize", True)) is not bool:
        faults.lines.append(f"{where}.normalize is {options['normalize']!r}; it must be true or false")
    with faults.collect():
        check_prefixes(manifest)
    faults.check()


def text_vectors(texts: Sequence[Sequence[WindowOutput]]) -> np.ndarray:
    """float64 [N, D]: the mean of each text's window embeddings, weighted by the windows' tokens.

    texts: the windows of each text, at least one. EngineError where a value is not finite.
    """
    stacked = np.stack([window.tensors[ENCODER_EMBEDDING] for windows in texts for window in windows]).astype(
        np.float64
    )
    check_finite(stacked)
    counts = [len(windows) for windows in texts]
    weights = np.array([max(len(w.offsets) - 2, 1) for windows in texts for w in windows], np.float64)
    starts = np.cumsum([0, *counts[:-1]])
    total = np.add.reduceat(stacked * weights[:, None], starts)
    result: np.ndarray = total / np.add.reduceat(weights, starts)[:, None]
    return result


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [N, D] scaled to length 1; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: np.ndarray = vectors / np.where(lengths > 0, lengths, 1)
    return result


class Embedding(OneText):
    """TEXT -> EMBEDDING (of length 1 unless option `normalize` is false), RESULT with its `dimension`."""

    name = "embedding"
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """options: dimension; pooling and normalize have defaults; reduce; prefixes and prefix, the default one."""
        faults, reduce = Faults(), manifest.options.get("reduce", PCA)
        with faults.collect():
            check_options(manifest, ("dimension", "pooling", "normalize", "reduce", *PREFIX_OPTIONS))
        if reduce != PCA:
            faults.lines.append(f"task {manifest.task}: options.reduce is {reduce!r}; it may be {PCA!r}")
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """EMBEDDING FP32 [dimension]."""
        return (TensorSpec(EMBEDDING, "FP32", (manifest.options["dimension"],)),)

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """embedding FP32 [dimension], not scaled yet."""
        return (TensorSpec(ENCODER_EMBEDDING, "FP32", (manifest.options["dimension"],)),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """One document per item, read with its prefix."""
        return single_text_documents(items, tokenizer, manifest.limits, prefixes_of(manifest))

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """One vector per text."""
        if not outputs:
            return []
        vectors = text_vectors(outputs)
        if manifest.options.get("normalize", True):
            vectors = unit(vectors)
        result: EmbeddingResult = {"dimension": vectors.shape[1]}
        return [Answer(result, {EMBEDDING: vector}) for vector in vectors.astype(np.float32)]


KIND = Embedding()
