"""Text in, answers out, in one process: what the three Triton steps do together, and what builders evaluate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..engines import Engine
from ..kinds import Answer, Kind, TensorSpec, WindowOutput, get_kind
from ..manifest import Manifest
from ..names import encoder_model, tokenizer_model
from ..results import Reading
from ..text.tokenization import ErnieTokenizer
from ..text.windows import Document, Window
from .batching import ON_CPU, Batching, run_rows


def window_outputs(
    specs: Sequence[TensorSpec], windows: Sequence[Window], rows: Sequence[dict[str, Any]], documents: int
) -> list[list[WindowOutput]]:
    """Fold the encoder's rows back to documents, per-token outputs cut to their window's length."""
    folded: list[list[WindowOutput]] = [[] for _ in range(documents)]
    for window, row in zip(windows, rows, strict=True):
        length = len(window.offsets)
        tensors = {spec.name: row[spec.name][:length] if spec.per_token else row[spec.name] for spec in specs}
        folded[window.owner].append(WindowOutput(window.offsets, tensors))
    return folded


def answer_documents(
    kind: Kind, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
) -> list[Answer | str]:
    """An answer, or the reason there is none, for every document in order; RESULT gets its common fields."""
    good = [i for i, document in enumerate(documents) if document.error is None]
    answers: list[Answer | str] = [document.error or "" for document in documents]
    decoded = kind.decode([documents[i] for i in good], [outputs[i] for i in good], manifest)
    for i, answer in zip(good, decoded, strict=True):
        document = documents[i]
        reading: Reading = {"tokens": document.tokens, "windows": document.windows, "truncated": document.truncated}
        answers[i] = Answer({**answer.result, **reading}, answer.numeric)
    return answers


class Pipeline:
    """A task served from one process.

    engine: callable on int64 [B, L] arrays (see `batching.Engine`). `progress` is called with the number of
    finished texts.
    """

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: ErnieTokenizer,
        engine: Engine,
        batching: Batching = ON_CPU,
    ) -> None:
        self.manifest, self.tokenizer, self.engine = manifest, tokenizer, engine
        self.kind = get_kind(manifest.kind)
        self.kind.check(manifest)
        self.batching = batching

    @classmethod
    def load(cls, repository: str | Path, task: str, variant: str | None = None) -> Pipeline:
        """The newest version of a task in a model repository, run by the engine of the variant."""
        from ..engines import load_engine
        from ..repository import load_tokenizer, newest_version, task_manifest

        version = newest_version(Path(repository, tokenizer_model(task)))
        manifest = task_manifest(Path(repository), task)
        chosen = manifest.variant(variant or manifest.recommended)
        encoder = newest_version(Path(repository, encoder_model(task, chosen.name)))
        engine = load_engine(chosen.engine, encoder / chosen.file, chosen.settings)
        return cls(manifest, load_tokenizer(version, manifest), engine)

    def predict(
        self,
        items: Sequence[tuple[bytes | str, ...]],
        chunk: int = 256,
        progress: Callable[[int], object] | None = None,
    ) -> list[Answer | str]:
        """Answers in the order of the items; a string where an item cannot be answered, saying why."""
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
