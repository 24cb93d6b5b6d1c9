"""The last step of a served task: the encoder's outputs in, finished answers out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import InvalidItem
from ..json_types import Json
from ..kinds import Answer, Kind, TensorSpec, WindowOutput, get_kind
from ..manifest import Manifest
from ..names import ITEM, MANIFEST_FILE, OFFSETS, RESULT, WINDOW
from ..results import INVALID_ARG, ErrorResult
from ..text.windows import Document
from .batching import pad_rows
from .pipeline import answer_documents
from .step import Arrays, dumps, strings

NO_LABEL = -1
NO_OFFSETS = np.zeros((4096, 2), np.int32)  # for a window of any length that Limits allows


class PostprocessStep:
    """Encoder outputs, WINDOW, ITEM (and OFFSETS), W rows -> RESULT and the kind's numeric outputs, N rows.

    A bad item in a request with good ones gets RESULT {"error": {"code", "message"}}, label -1 and score 0.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.kind: Kind = get_kind(manifest.kind)
        self.kind.check(manifest)
        self.specs = self.kind.encoder_outputs(manifest)
        self.numeric = self.kind.numeric_outputs(manifest)
        self.inputs = (
            WINDOW,
            ITEM,
            *((OFFSETS,) if self.kind.offsets else ()),
            *(spec.name for spec in self.specs),
        )

    @classmethod
    def load(cls, folder: Path, parameters: Mapping[str, str]) -> PostprocessStep:
        """From a version directory."""
        del parameters
        return cls(Manifest.load(folder / MANIFEST_FILE))

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """The outputs of each request; one call decodes all of them."""
        documents: list[Document] = []
        outputs: list[list[WindowOutput]] = []
        sizes = []
        for request in requests:
            first_document = len(documents)
            items, windows = request[ITEM][:, 0].tolist(), request[WINDOW].tolist()
            for row, (item, (owner, length)) in enumerate(zip(items, windows, strict=True)):
                if item and owner == len(documents) - first_document:
                    documents.append(_document(json.loads(item.decode())))  # from bytes it would guess the encoding
                    outputs.append([])
                elif owner != len(documents) - first_document - 1 or owner < 0:  # it would go to another text
                    raise ValueError(f"row {row} belongs to text {owner}, out of order")
                offsets = request[OFFSETS][row, :length] if self.kind.offsets else NO_OFFSETS[:length]
                tensors = {
                    spec.name: request[spec.name][row, :length] if spec.per_token else request[spec.name][row]
                    for spec in self.specs
                }
                outputs[-1].append(WindowOutput(offsets, tensors))
            sizes.append(len(documents) - first_document)
        return [*self.answers(documents, outputs, sizes)]

    def answers(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], sizes: Sequence[int]
    ) -> list[dict[str, np.ndarray]]:
        """The outputs of each request. outputs: by document; sizes: how many documents each request has."""
        answers = answer_documents(self.kind, documents, outputs, self.manifest)
        results: list[dict[str, np.ndarray]] = []
        first = 0
        for size in sizes:
            request_answers = answers[first : first + size]
            first += size
            out = {spec.name: _numeric(spec, request_answers) for spec in self.numeric}
            out[RESULT] = strings([_result(i, answer) for i, answer in enumerate(request_answers)])
            results.append(out)
        return results


def _result(index: int, answer: Answer | str) -> bytes:
    """RESULT as JSON: of an answer, or of the reason why the text at `index` of its request has none."""
    if not isinstance(answer, str):
        return dumps(answer.result)
    error: ErrorResult = {"error": {"code": INVALID_ARG, "message": f"item {index}: {answer}"}}
    return dumps(error)


def _numeric(spec: TensorSpec, answers: Sequence[Answer | str]) -> np.ndarray:
    """One numeric output, [N, *dims]; -1 (INT64) or 0 (FP32) for an item without an answer, and after its tokens."""
    dtype, missing = (np.int64, NO_LABEL) if spec.dtype == "INT64" else (np.float32, 0)
    values = [missing if isinstance(a, str) else a.numeric[spec.name] for a in answers]
    if spec.dims == (1,) and all(isinstance(value, int | float) for value in values):
        return np.array(values, dtype)[:, None]
    if spec.per_token:
        rows = [np.zeros((0, *spec.dims[1:]), dtype) if isinstance(a, str) else a.numeric[spec.name] for a in answers]
        return pad_rows(rows)
    return np.array(
        [
            np.full(spec.dims, missing) if isinstance(a, str) else np.reshape(v, spec.dims)
            for a, v in zip(answers, values, strict=True)
        ],
        dtype,
    )


def _document(item: Json) -> Document:
    if "error" in item:
        return Document(text="", tokens=0, windows=0, truncated=False, error=item["error"])
    return Document(
        text=item.get("text", ""),
        tokens=item["tokens"],
        windows=item["windows"],
        truncated=item["truncated"],
        error=None,
        extra=item.get("extra", {}),
        utf16=item.get("utf16", False),
    )
