"""The steps of a served task, as functions on arrays: tokenizer and postprocessor; the encoder is in encoder.py.

A step takes the inputs of many requests at once and gives each its outputs, or the InvalidItem that fails it.
`ernie_runtime.triton.backend` puts them behind Triton's Python backend; tests call them directly. Tensor names,
dtypes and dims are those of the table in ARCHITECTURE.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import InvalidItem
from ..kinds import Answer, Kind, TensorSpec, WindowOutput, get_kind
from ..manifest import Manifest
from ..repository import load_tokenizer
from ..text.tokenization import ErnieTokenizer
from ..text.windows import MAX_WINDOWS, Document, Window
from .batching import pad_rows
from .pipeline import answer_documents

Arrays = Mapping[str, np.ndarray]
NO_LABEL = -1
JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # json.dumps would make one each time
NO_OFFSETS = np.zeros((4096, 2), np.int32)  # of any window: Limits allows no longer one
NAMED_FAULTS = 20  # reasons in one message: gRPC carries a few kilobytes


class Step(Protocol):
    """One model of the pipeline."""

    inputs: tuple[str, ...]

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """Outputs a request, in order."""


def strings(values: Sequence[bytes]) -> np.ndarray:
    """BYTES [N, 1] for Triton: an object array (fixed-width numpy strings are hundreds of times slower there)."""
    out = np.empty((len(values), 1), dtype=object)
    out[:, 0] = values
    return out


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return JSON.encode(value).encode()


class TokenizerStep:
    """TEXT... BYTES [N, 1] -> input_ids, token_type_ids, WINDOW, ITEM (and OFFSETS) with W >= N rows.

    buckets: lengths to pad a request's rows to, ascending; empty to pad to the longest row of the request. A request
    with no item that can be answered fails with all the reasons; else a bad item travels on as its error.
    """

    def __init__(self, manifest: Manifest, tokenizer: ErnieTokenizer, buckets: Sequence[int] = ()) -> None:
        self.manifest, self.tokenizer, self.buckets = manifest, tokenizer, tuple(buckets)
        self.kind: Kind = get_kind(manifest.kind)
        self.kind.check(manifest)
        self.inputs = tuple(spec.name for spec in self.kind.inputs)

    @classmethod
    def load(cls, folder: Path, parameters: Mapping[str, str]) -> TokenizerStep:
        """From a version directory; parameter `buckets` is a comma-separated list of lengths."""
        buckets = [int(b) for b in parameters.get("buckets", "").split(",") if b]
        manifest = Manifest.load(folder / "manifest.json")
        return cls(manifest, load_tokenizer(folder, manifest), buckets)

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """One Rust call tokenizes the texts of all requests."""
        items: list[tuple[bytes | str, ...]] = []
        sizes = []
        for request in requests:
            columns = [request[name].reshape(-1) for name in self.inputs]
            sizes.append(len(columns[0]))
            items += zip(*columns, strict=True)
        documents, windows = self.kind.documents(items, self.tokenizer, self.manifest)
        results: list[dict[str, np.ndarray] | InvalidItem] = []
        first_item = first_window = 0
        for size in sizes:
            last_item, last_window = first_item + size, first_window
            while last_window < len(windows) and windows[last_window].owner < last_item:
                last_window += 1
            results.append(
                self._outputs(documents[first_item:last_item], windows[first_window:last_window], first_item)
            )
            first_item, first_window = last_item, last_window
        return results

    def _outputs(
        self, documents: list[Document], windows: list[Window], base: int
    ) -> dict[str, np.ndarray] | InvalidItem:
        faults = [f"item {i}: {d.error}" for i, d in enumerate(documents) if d.error is not None]
        if len(faults) == len(documents):
            more = len(faults) - NAMED_FAULTS
            return InvalidItem("; ".join(faults[:NAMED_FAULTS]) + (f"; and {more} more" if more > 0 else ""))
        if len(windows) > MAX_WINDOWS:
            return InvalidItem(
                f"the request needs {len(windows):,} windows, at most {MAX_WINDOWS:,}: send fewer texts at once"
            )
        lengths = [len(w.input_ids) for w in windows]
        longest = max(lengths)
        length = next((b for b in self.buckets if b >= longest), longest)
        outputs = {
            "input_ids": pad_rows([w.input_ids for w in windows], length),
            "token_type_ids": pad_rows([w.token_type_ids for w in windows], length),
            "WINDOW": np.array([[w.owner - base, n] for w, n in zip(windows, lengths, strict=True)], np.int32),
            "ITEM": strings(self._items(documents, windows, base)),
        }
        if self.kind.offsets:
            outputs["OFFSETS"] = pad_rows([w.offsets for w in windows], length)
        return outputs

    def _items(self, documents: Sequence[Document], windows: Sequence[Window], base: int) -> list[bytes]:
        """The document's JSON on its first window, nothing on the others."""
        rows, seen = [], -1
        for window in windows:
            owner = window.owner - base
            if owner == seen:
                rows.append(b"")
                continue
            seen, document = owner, documents[owner]
            if document.error is not None:
                rows.append(dumps({"error": document.error}))
                continue
            if not self.kind.offsets and not document.extra:
                told = document.tokens, document.windows, b"true" if document.truncated else b"false"
                rows.append(b'{"tokens":%d,"windows":%d,"truncated":%b}' % told)  # what dumps would write
                continue
            item: dict[str, Any] = {
                "tokens": document.tokens,
                "windows": document.windows,
                "truncated": document.truncated,
            }
            if self.kind.offsets:
                item["text"] = document.text
            if document.extra:
                item["extra"] = document.extra
            rows.append(dumps(item))
        return rows


class PostprocessStep:
    """Encoder outputs, WINDOW, ITEM (and OFFSETS), W rows -> RESULT and the kind's numeric outputs, N rows.

    A bad item among good ones gets RESULT {"error": {"code", "message"}}, label -1 and score 0.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.kind: Kind = get_kind(manifest.kind)
        self.kind.check(manifest)
        self.specs = self.kind.encoder_outputs(manifest)
        self.numeric = self.kind.numeric_outputs(manifest)
        self.inputs = (
            "WINDOW",
            "ITEM",
            *(("OFFSETS",) if self.kind.offsets else ()),
            *(spec.name for spec in self.specs),
        )

    @classmethod
    def load(cls, folder: Path, parameters: Mapping[str, str]) -> PostprocessStep:
        """From a version directory."""
        del parameters
        return cls(Manifest.load(folder / "manifest.json"))

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """One decode call for all requests."""
        documents: list[Document] = []
        outputs: list[list[WindowOutput]] = []
        sizes = []
        for request in requests:
            before = len(documents)
            items, owners = request["ITEM"][:, 0].tolist(), request["WINDOW"].tolist()
            for row, (item, (owner, length)) in enumerate(zip(items, owners, strict=True)):
                if item and owner == len(documents) - before:
                    documents.append(_document(json.loads(item.decode())))  # of bytes it would guess the encoding
                    outputs.append([])
                elif owner != len(documents) - before - 1 or owner < 0:  # else it would go to another's text
                    raise ValueError(f"row {row} belongs to text {owner}, out of order")
                offsets = request["OFFSETS"][row, :length] if self.kind.offsets else NO_OFFSETS[:length]
                tensors = {
                    spec.name: request[spec.name][row, :length] if spec.per_token else request[spec.name][row]
                    for spec in self.specs
                }
                outputs[-1].append(WindowOutput(offsets, tensors))
            sizes.append(len(documents) - before)
        answers = answer_documents(self.kind, documents, outputs, self.manifest)
        results: list[dict[str, np.ndarray] | InvalidItem] = []
        first = 0
        for size in sizes:
            mine = answers[first : first + size]
            first += size
            out = {spec.name: _numeric(spec, mine) for spec in self.numeric}
            out["RESULT"] = strings(
                [
                    dumps(
                        {"error": {"code": "INVALID_ARG", "message": f"item {i}: {a}"}}
                        if isinstance(a, str)
                        else a.result
                    )
                    for i, a in enumerate(mine)
                ]
            )
            results.append(out)
        return results


def _numeric(spec: TensorSpec, answers: Sequence[Answer | str]) -> np.ndarray:
    """One numeric output, [N, *dims]; -1 (INT64) or 0 (FP32) for an item without an answer."""
    dtype, none = (np.int64, NO_LABEL) if spec.dtype == "INT64" else (np.float32, 0)
    values = [none if isinstance(a, str) else a.numeric[spec.name] for a in answers]
    if spec.dims == (1,) and all(isinstance(value, int | float) for value in values):
        return np.array(values, dtype)[:, None]
    return np.array(
        [
            np.full(spec.dims, none) if isinstance(a, str) else np.reshape(v, spec.dims)
            for a, v in zip(answers, values, strict=True)
        ],
        dtype,
    )


def _document(item: Mapping[str, Any]) -> Document:
    if "error" in item:
        return Document("", 0, 0, False, item["error"])
    return Document(
        item.get("text", ""), item["tokens"], item["windows"], item["truncated"], None, item.get("extra", {})
    )
