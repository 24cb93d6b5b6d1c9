"""The serving side of the task kinds: one module each, found by name.

To add a kind, add a module here with an object `KIND` that satisfies `Kind`, its shape of RESULT in
`ernie_runtime.results`, its twin in ernie_builders.kinds, and a task in a tasks file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import ManifestError
from ..json_types import Json
from ..manifest import Manifest
from ..names import TEXT
from ..text.tokenizer import Tokenizer
from ..text.windows import Document, Window, single_text_documents


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the contract; dims are without the batch dimension, -1 where the size varies."""

    name: str
    dtype: str  # Triton's name: BYTES, INT64, FP32
    dims: tuple[int, ...]

    @property
    def per_token(self) -> bool:
        """Whether the first dimension counts the tokens of a window."""
        return self.dims[:1] == (-1,)


@dataclass(frozen=True)
class WindowOutput:
    """The encoder's outputs for one window; per-token outputs are cut to `len(offsets)`."""

    offsets: np.ndarray  # int32 [L, 2]
    tensors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Answer:
    """The answer to one text: the RESULT object (ernie_runtime.results), and the kind's numeric outputs by name."""

    result: Json
    numeric: Mapping[str, Any]  # a scalar, or an array of the spec's dims


class Kind(Protocol):
    """What the object KIND of a kind's module must offer."""

    name: str
    inputs: tuple[TensorSpec, ...]
    """The inputs of the ensemble, BYTES [1] each."""
    offsets: bool
    """Whether decoding needs the text and the character offsets of the tokens."""

    def check(self, manifest: Manifest) -> None:
        """Raise ManifestError where the manifest's labels or options do not fit the kind."""

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """Outputs besides RESULT."""

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """The encoder's outputs, in the order of the graph's."""

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """Tokenize items, which hold one text per input, and cut them into windows."""

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The answers to documents without `error`; outputs: those of each document's windows, in order."""


class OneText:
    """Base of kinds of one text: the input TEXT, cut into windows."""

    inputs: tuple[TensorSpec, ...] = (TensorSpec(TEXT, "BYTES", (1,)),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """One document per item, of one text."""
        return single_text_documents(items, tokenizer, manifest.limits)


POOLING = "pooling"


def check_option_names(manifest: Manifest, names: Sequence[str] = ()) -> None:
    """ManifestError where the manifest has an option that is not in `names`: a misspelt one would have no effect."""
    fault = f"is none of {', '.join(names)}" if names else f"is unknown; {manifest.kind} has none"
    if unknown := [name for name in manifest.options if name not in names]:
        raise ManifestError(*(f"task {manifest.task}: options.{name} {fault}" for name in unknown))


def check_pooling(manifest: Manifest) -> None:
    """ManifestError where options.pooling is not what a classifier reads: `pooler` (the default) or `mean`."""
    pooling = manifest.options.get(POOLING, "pooler")
    if pooling not in ("pooler", "mean"):
        raise ManifestError(f"task {manifest.task}: options.{POOLING} {pooling!r} is neither pooler nor mean")


def kind_names() -> list[str]:
    """The names of all kinds, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def get_kind(name: str) -> Kind:
    """The kind called `name`; ManifestError where there is none."""
    if name not in kind_names():
        raise ManifestError(f"task kind {name!r} is none of {', '.join(kind_names())}")
    kind: Kind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind
