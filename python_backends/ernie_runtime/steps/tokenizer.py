"""The first step of a served task: texts in, token ids of their windows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InvalidItem
from ..json_types import JsonObject
from ..kinds import Kind, get_kind
from ..manifest import Manifest
from ..names import (
    CHARACTERS,
    INPUT_IDS,
    ITEM,
    MANIFEST_FILE,
    OFFSETS,
    OFFSETS_PARAMETER,
    TOKEN_TYPE_IDS,
    UTF16,
    WINDOW,
)
from ..repository import task_tokenizer
from ..text.tokenizer import Tokenizer
from ..text.units import UNITS
from ..text.windows import MAX_WINDOWS, Document, Window
from .batching import pad_rows
from .step import Arrays, dumps, strings

MAX_WINDOWS_PARAMETER = "max_windows"
NAMED_FAULTS = 20  # the maximum of reasons in one message: gRPC carries a few kilobytes


@dataclass(frozen=True, kw_only=True)
class CutRequest:
    """The texts of one request, and their windows. first: the owner of the first text's windows."""

    documents: Sequence[Document]
    windows: Sequence[Window]
    first: int
    utf16: bool


class TokenizerStep:
    """TEXT... BYTES [N, 1] -> input_ids, token_type_ids, WINDOW, ITEM (and OFFSETS) with W >= N rows.

    buckets: lengths to pad the rows of a request to, ascending; empty to pad to the longest row of the request.
    max_windows: of a request, as the encoder takes no larger batch. A request without an item that can be answered
    fails with all the reasons; else a bad item travels on as its error.
    The unit of the answers' positions, where a request has that parameter, travels on in ITEM.
    """

    parameters = (OFFSETS_PARAMETER,)

    def __init__(
        self, manifest: Manifest, tokenizer: Tokenizer, buckets: Sequence[int] = (), max_windows: int = MAX_WINDOWS
    ) -> None:
        self.manifest, self.tokenizer, self.buckets, self.max_windows = manifest, tokenizer, tuple(buckets), max_windows
        self.kind: Kind = get_kind(manifest.kind)
        self.kind.check(manifest)
        self.inputs = tuple(spec.name for spec in self.kind.inputs)

    @classmethod
    def load(cls, folder: Path, parameters: Mapping[str, str]) -> TokenizerStep:
        """From a version directory; parameter `buckets` lists lengths, joined by commas; `max_windows` is a number."""
        buckets = [int(b) for b in parameters.get("buckets", "").split(",") if b]
        manifest = Manifest.load(folder / MANIFEST_FILE)
        max_windows = int(parameters.get(MAX_WINDOWS_PARAMETER, MAX_WINDOWS))
        return cls(manifest, task_tokenizer(folder, manifest), buckets, max_windows)

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """The outputs of each request."""
        return [cut if isinstance(cut, InvalidItem) else self._outputs(cut) for cut in self.cut(requests)]

    def cut(self, requests: Sequence[Arrays]) -> list[CutRequest | InvalidItem]:
        """The windows of each request; one Rust call tokenizes the texts of all of them."""
        items: list[tuple[bytes | str, ...]] = []
        sizes = []
        for request in requests:
            columns = [request[name].reshape(-1) for name in self.inputs]
            sizes.append(len(columns[0]))
            items += zip(*columns, strict=True)
        documents, windows = self.kind.documents(items, self.tokenizer, self.manifest)
        results: list[CutRequest | InvalidItem] = []
        first_item = first_window = 0
        for size, request in zip(sizes, requests, strict=True):
            last_item, last_window = first_item + size, first_window
            while last_window < len(windows) and windows[last_window].owner < last_item:
                last_window += 1
            unit = str(request[OFFSETS_PARAMETER]) if OFFSETS_PARAMETER in request else CHARACTERS
            cut = CutRequest(
                documents=documents[first_item:last_item],
                windows=windows[first_window:last_window],
                first=first_item,
                utf16=unit == UTF16,
            )
            fault = self._fault(cut, unit)
            results.append(InvalidItem(fault) if fault else cut)
            first_item, first_window = last_item, last_window
        return results

    def _fault(self, cut: CutRequest, unit: str) -> str:
        """Why the request fails; empty where it does not."""
        if unit not in UNITS:
            return f"parameter {OFFSETS_PARAMETER} is {unit!r}; it must be {' or '.join(UNITS)}"
        faults = [f"item {i}: {d.error}" for i, d in enumerate(cut.documents) if d.error is not None]
        if len(faults) == len(cut.documents):
            rest = len(faults) - NAMED_FAULTS
            return "; ".join(faults[:NAMED_FAULTS]) + (f"; and {rest} more" if rest > 0 else "")
        if len(cut.windows) > self.max_windows:
            advice = "send fewer texts at once" if len(cut.documents) > 1 else "send a shorter text"
            return f"the request needs {len(cut.windows):,} windows, at most {self.max_windows:,}: {advice}"
        return ""

    def _outputs(self, cut: CutRequest) -> dict[str, np.ndarray]:
        windows = cut.windows
        lengths = [len(w.input_ids) for w in windows]
        longest = max(lengths)
        length = next((b for b in self.buckets if b >= longest), longest)
        outputs = {
            INPUT_IDS: pad_rows([w.input_ids for w in windows], length),
            TOKEN_TYPE_IDS: pad_rows([w.token_type_ids for w in windows], length),
            WINDOW: np.array([[w.owner - cut.first, n] for w, n in zip(windows, lengths, strict=True)], np.int32),
            ITEM: strings(self._items(cut)),
        }
        if self.kind.offsets:
            outputs[OFFSETS] = pad_rows([w.offsets for w in windows], length)
        return outputs

    def _items(self, cut: CutRequest) -> list[bytes]:
        """ITEM of each window: the JSON of its document on the first window of a document, empty on the others."""
        rows, seen, utf16 = [], -1, cut.utf16
        for window in cut.windows:
            owner = window.owner - cut.first
            if owner == seen:
                rows.append(b"")
                continue
            seen, document = owner, cut.documents[owner]
            if document.error is not None:
                rows.append(dumps({"error": document.error}))
                continue
            if not self.kind.offsets and not document.extra and not utf16:
                values = document.tokens, document.windows, b"true" if document.truncated else b"false"
                rows.append(b'{"tokens":%d,"windows":%d,"truncated":%b}' % values)  # the same bytes as dumps, faster
                continue
            item: JsonObject = {
                "tokens": document.tokens,
                "windows": document.windows,
                "truncated": document.truncated,
            }
            if self.kind.offsets or utf16:
                item["text"] = document.text
            if utf16:
                item["utf16"] = True
            if document.extra:
                item["extra"] = document.extra
            rows.append(dumps(item))
        return rows
