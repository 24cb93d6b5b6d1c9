"""The tasks of a model repository answered in this process: no server, no tritonclient, the same runtime."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ernie_runtime.install import install_hint

from .errors import ErnieTritonError, LocalError, UnknownTask
from .items import Item, Row, cut, encode_item
from .replies import Reply
from .requests import Outcome, settle
from .results import TextError
from .tasks import Ensemble, Task, group_tasks

if TYPE_CHECKING:
    from ernie_runtime.steps.pipeline import Pipeline

BATCH = 256  # texts that are read together, so that rows of like length can share a micro-batch
BATCH_BYTES = 256_000  # of text in them
PACKAGES = ("ernie_runtime", "numpy", "onnxruntime", "openvino", "tokenizers")
"""What running a task needs."""


class LocalTasks:
    """Answers as a `Client` does, from a model repository's files; `task` and `stream` are those of `Client`."""

    def __init__(self, repository: str | Path) -> None:
        self.repository = Path(repository)
        self._tasks: dict[str, Task] = {}
        self._pipelines: dict[tuple[str, str | None], Pipeline] = {}

    def task(self, name: str) -> Task:
        """One task, its newest version; UnknownTask where the repository has none of this name."""
        if name not in self._tasks:
            self._tasks[name] = self._read(name)
        return self._tasks[name]

    def stream(
        self,
        task: str,
        texts: Iterable[Item],
        *,
        variant: str | None = None,
        batch_size: int = BATCH,
        numeric: bool = False,
    ) -> Generator[Reply | TextError, None, None]:
        """The replies to texts one by one, in their order; reads one batch ahead of them.

        A text that cannot be answered gives a TextError in its place. Raises UnknownTask and LocalError.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        found = self.task(task)
        found.model(variant)
        return self._stream(found, texts, variant, batch_size, numeric)

    def _read(self, name: str) -> Task:
        with _as_local_errors():
            from ernie_runtime.kinds import get_kind
            from ernie_runtime.repository import task_manifest, versions

            if not self.repository.is_dir():
                raise LocalError(f"no model repository at {self.repository}: build one, or give --repository")
            known = [
                model.name.removesuffix("_tokenizer")
                for model in sorted(self.repository.glob("*_tokenizer"))
                if versions(model)
            ]
            if name not in known:
                raise UnknownTask(f"the repository {self.repository} has no task", name, known)
            manifest = task_manifest(self.repository, name)
            inputs = tuple(spec.name for spec in get_kind(manifest.kind).inputs)
        text = manifest.to_json()
        served = [Ensemble(name, inputs, BATCH, text, manifest.recommended)]
        for variant in manifest.variants:
            if versions(self.repository / f"{name}_encoder_{variant.name}"):
                served.append(Ensemble(f"{name}_{variant.name}", inputs, BATCH, text, variant.name))
        if (task := next((task for task in group_tasks(served) if task.name == name), None)) is None:
            raise LocalError(f"{self.repository}: {name} holds a model of task {manifest.task}; publish both again")
        return task

    def _stream(
        self, task: Task, texts: Iterable[Item], variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        def ask(rows: Sequence[Row]) -> list[Outcome]:
            return _answer(self._pipeline(task.name, variant), rows, numeric)

        entries = (encode_item(item, task.inputs) for item in texts)
        example = encode_item(task.examples[0], task.inputs) if task.examples else None
        known_good = example if isinstance(example, tuple) else None
        number = 0
        for group in cut(entries, batch_size, BATCH_BYTES):
            for outcome in settle(group, ask, known_good=known_good):
                yield TextError(number, outcome) if isinstance(outcome, str) else outcome
                number += 1

    def _pipeline(self, task: str, variant: str | None) -> Pipeline:
        if (task, variant) not in self._pipelines:
            with _as_local_errors():
                from ernie_runtime.steps.pipeline import Pipeline

                self._pipelines[task, variant] = Pipeline.load(self.repository, task, variant)
        return self._pipelines[task, variant]


def _answer(pipeline: Pipeline, rows: Sequence[Row], numeric: bool) -> list[Outcome]:
    import numpy as np

    task = pipeline.manifest.task
    try:
        answers = pipeline.predict(rows, chunk=len(rows))
    except Exception as error:  # one text's fault or a broken model: `settle` finds out which
        raise LocalError(f"task {task} failed: {error} ({type(error).__name__})") from error
    replies: list[Outcome] = []
    for answer in answers:
        if isinstance(answer, str):
            replies.append(answer)
            continue
        values = {name: np.atleast_1d(np.asarray(value)) for name, value in answer.numeric.items()} if numeric else {}
        floats = {n: v.astype(np.float32) if v.dtype.kind == "f" else v for n, v in values.items()}
        replies.append(Reply(answer.result, floats))
    return replies


@contextmanager
def _as_local_errors() -> Iterator[None]:
    """Errors of the runtime, and a package that is missing, as LocalError; the message is one line for a person."""
    try:
        yield
    except ErnieTritonError:
        raise
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise LocalError(
            f"--local needs the Python package {missing.name!r}; the extra 'serve' brings it: {install_hint('serve')}"
        ) from None
    except Exception as error:
        from ernie_runtime.errors import ErnieError

        if isinstance(error, ErnieError):
            raise LocalError(str(error)) from None
        raise
