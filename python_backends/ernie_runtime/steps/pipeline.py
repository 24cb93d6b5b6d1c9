"""Text in, answers out, in one process: what the three Triton models do together, and what builders evaluate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..engines import Engine
from ..kinds import Answer, Kind, TensorSpec, WindowOutput, get_kind
from ..manifest import Manifest
from ..names import encoder_model, tokenizer_model
from ..results import Reading
from ..text.tokenizer import Tokenizer
from ..text.units import in_utf16
from ..text.windows import Document, Window
from .batching import ON_CPU, Batching, run_rows


def window_outputs(
    specs: Sequence[TensorSpec],
    windows: Sequence[Window],
    rows: Sequence[Mapping[str, np.ndarray]],
    documents: int,
    first: int = 0,
) -> list[list[WindowOutput]]:
    """The encoder's outputs by document, per-token outputs cut to the length of their window.

    rows: one for each window, outputs by name; documents: how many there are; first: the owner of the first one's.
    """
    folded: list[list[WindowOutput]] = [[] for _ in range(documents)]
    for window, row in zip(windows, rows, strict=True):
        length = len(window.offsets)
        tensors = {spec.name: row[spec.name][:length] if spec.per_token else row[spec.name] for spec in specs}
        folded[window.owner - first].append(WindowOutput(window.offsets, tensors))
    return folded


def answer_documents(
    kind: Kind, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
) -> list[Answer | str]:
    """The answer to each document, or the reason why there is none; RESULT gets the fields that all kinds share."""
    good = [i for i, document in enumerate(documents) if document.error is None]
    answers: list[Answer | str] = [document.error or "" for document in documents]
    decoded = kind.decode([documents[i] for i in good], [outputs[i] for i in good], manifest)
    for i, answer in zip(good, decoded, strict=True):
        document = documents[i]
        reading: Reading = {"tokens": document.tokens, "windows": document.windows, "truncated": document.truncated}
        result = in_utf16(answer.result, document.text) if document.utf16 else answer.result
        answers[i] = Answer({**result, **reading}, answer.numeric)
    return answers


class Pipeline:
    """A task in one process. engine: see `engines.Engine`."""

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: Tokenizer,
        engine: Engine,
        batching: Batching = ON_CPU,
    ) -> None:
        self.manifest, self.tokenizer, self.engine = manifest, tokenizer, engine
        self.kind = get_kind(manifest.kind)
        self.kind.check(manifest)
        self.batching = batching

    @classmethod
    def load(cls, repository: str | Path, task: str, variant: str | None = None, threads: int = 0) -> Pipeline:
        """The newest version of a task in a model repository, run by the engine of the variant.

        variant: its name; None for the recommended one. threads: of the engine, 0 for the cores this process may use.
        """
        from ..engines import load_engine
        from ..repository import newest_version, task_manifest, task_tokenizer
        from ..text import tokenizer_file  # noqa: F401 - a package that it lacks is told before a file that is missing

        version = newest_version(Path(repository, tokenizer_model(task)))
        manifest = task_manifest(Path(repository), task)
        served = manifest.variant(variant or manifest.recommended)
        encoder = newest_version(Path(repository, encoder_model(task, served.name)))
        engine = load_engine(served.engine, encoder / served.file, served.settings, threads)
        return cls(manifest, task_tokenizer(version, manifest), engine)

    def predict(
        self,
        items: Sequence[tuple[bytes | str, ...]],
        chunk: int = 256,
        progress: Callable[[int], object] | None = None,
    ) -> list[Answer | str]:
        """The answers in the order of the items; a string, the reason, for an item that cannot be answered.

        chunk: how many items are tokenized and run together. progress: called after each chunk with its size.
        """
        answers: list[Answer | str] = []
        for start in range(0, len(items), chunk):
            documents, windows = self.kind.documents(items[start : start + chunk], self.tokenizer, self.manifest)
            rows = run_rows(
                self.engine,
                [w.input_ids for w in windows],
                [w.token_type_ids for w in windows],
                self.batching,
            )
            folded = window_outputs(self.kind.encoder_outputs(self.manifest), windows, rows, len(documents))
            answers += answer_documents(self.kind, documents, folded, self.manifest)
            if progress is not None:
                progress(len(documents))
        return answers
