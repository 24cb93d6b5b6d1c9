"""Task kinds, the serving side: one module each, found by its name.

To add a kind, add one module here with a `KIND` object that has what `Kind` asks for, its twin in builders/kinds,
and an entry in builders/ernie_builders/tasks.toml.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import ManifestError
from ..manifest import Manifest
from ..names import TEXT
from ..text.tokenization import ErnieTokenizer
from ..text.windows import Document, Window, single_text_documents


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the contract; dims without the batch dimension, -1 where it varies."""

    name: str
    dtype: str  # Triton's name: BYTES, INT64, FP32
    dims: tuple[int, ...]

    @property
    def per_token(self) -> bool:
        """Whether its first dimension is the tokens of a window."""
        return self.dims[:1] == (-1,)


@dataclass(frozen=True)
class WindowOutput:
    """What the encoder said of one window; each per-token output is cut to `len(offsets)`."""

    offsets: np.ndarray  # int32 [L, 2]
    tensors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Answer:
    """The answer to one text: the RESULT object (ernie_runtime.results), and the kind's numeric outputs by name."""

    result: Mapping[str, Any]
    numeric: Mapping[str, Any]  # a scalar, or an array of the spec's dims


class Kind(Protocol):
    """What a kind module's KIND offers."""

    name: str
    inputs: tuple[TensorSpec, ...]
    """What a client sends, BYTES [1] each."""
    offsets: bool
    """Whether decoding needs the text and the tokens' character offsets."""

    def check(self, manifest: Manifest) -> None:
        """Raise ManifestError where the manifest's labels or options do not fit the kind."""

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """Outputs besides RESULT."""

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """The encoder's outputs, in the order of the graph's."""

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: ErnieTokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """Tokenize and cut; items hold one element an input."""

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """Answers for good documents (no `error`), each with its windows' outputs in order."""


class OneText:
    """What kinds of one text have in common: the input TEXT, cut into windows."""

    inputs: tuple[TensorSpec, ...] = (TensorSpec(TEXT, "BYTES", (1,)),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: ErnieTokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """One text an item."""
        return single_text_documents(items, tokenizer, manifest.limits)


def check_option_names(manifest: Manifest, known: Sequence[str] = ()) -> None:
    """ManifestError where the manifest has an option that its kind has not: a misspelt one would do nothing."""
    for name in manifest.options:
        if name not in known:
            fault = f"is none of {', '.join(known)}" if known else f"is unknown; {manifest.kind} has none"
            raise ManifestError(f"task {manifest.task}: options.{name} {fault}")


def kind_names() -> list[str]:
    """The kinds there are."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def get_kind(name: str) -> Kind:
    """The kind called `name`; ManifestError where there is none."""
    if name not in kind_names():
        raise ManifestError(f"task kind {name!r} is none of {', '.join(kind_names())}")
    kind: Kind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind
