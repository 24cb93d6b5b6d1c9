"""Answers the tasks of a model repository in this process: no server, no tritonclient, the same runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ernie_runtime.install import install_hint
from ernie_runtime.names import encoder_model, tokenizer_model, tokenizer_task, variant_ensemble

from .errors import ErnieTritonError, LocalError, UnknownTask
from .items import Item, Row, encode_item, group_rows
from .replies import Reply
from .requests import Outcome, resolve
from .results import TextError
from .tasks import Ensemble, Task, by_title, example_row, group_tasks, names_for

if TYPE_CHECKING:
    from ernie_runtime.steps.pipeline import Pipeline

BATCH = 256  # texts that are read together, so that rows of similar length can share a micro-batch
BATCH_BYTES = 256_000  # of text in such a batch
PACKAGES = ("ernie_runtime", "numpy", "onnxruntime", "openvino", "tokenizers")
"""Packages that running a task needs."""


class RepositoryTasks(ABC):
    """Answers from the files of a model repository; `task` and `stream` behave as those of `Client`."""

    @abstractmethod
    def task(self, name: str) -> Task:
        """One task by its name, or its title, in its newest version; UnknownTask where the repository has none."""

    def stream(
        self,
        task: str,
        texts: Iterable[Item],
        *,
        variant: str | None = None,
        batch_size: int = BATCH,
        numeric: bool = False,
    ) -> Generator[Reply | TextError, None, None]:
        """The replies to texts one by one, in their order; reads no more texts than are answered together.

        A text that cannot be answered gives a TextError in its place. Raises UnknownTask and LocalError.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        published = self.task(task)
        published.model(variant)
        return self._stream(published, texts, variant, batch_size, numeric)

    @abstractmethod
    def _stream(
        self, task: Task, texts: Iterable[Item], variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        """`stream`, once its arguments are checked."""


class LocalTasks(RepositoryTasks):
    """Answers in this process, one batch of texts after the other."""

    def __init__(self, repository: str | Path, threads: int = 0) -> None:
        self.repository = Path(repository)
        self.threads = threads  # of the engine; 0 for the cores that this process may use
        self._tasks: dict[str, Task] = {}
        self._pipelines: dict[tuple[str, str | None], Pipeline] = {}

    def task(self, name: str) -> Task:
        """One task by its name, or its title, in its newest version; UnknownTask where the repository has none."""
        if name not in self._tasks:
            self._tasks[name] = self._read(name)
        return self._tasks[name]

    def _read(self, name: str) -> Task:
        with _as_local_errors():
            from ernie_runtime.kinds import get_kind
            from ernie_runtime.repository import task_manifest, versions

            if not self.repository.is_dir():
                raise LocalError(f"no model repository at {self.repository}: build one, or give --repository")
            tasks = [
                task
                for model in sorted(self.repository.glob(tokenizer_model("*")))
                if versions(model) and (task := tokenizer_task(model.name))
            ]
            if name not in tasks:
                if titled := by_title(map(self.task, tasks), name):
                    return titled
                raise UnknownTask(
                    f"the repository {self.repository} has no task", name, names_for(map(self.task, tasks), name)
                )
            manifest = task_manifest(self.repository, name)
            inputs = tuple(spec.name for spec in get_kind(manifest.kind).inputs)
        text = manifest.to_json()
        models = {name: manifest.recommended}
        for variant in manifest.variants:
            if versions(self.repository / encoder_model(name, variant.name)):
                models[variant_ensemble(name, variant.name)] = variant.name
        ensembles = [
            Ensemble(name=model, inputs=inputs, max_batch_size=BATCH, manifest=text, variant=answering)
            for model, answering in models.items()
        ]
        for published in group_tasks(ensembles):
            if published.name == name:
                return published
        raise LocalError(f"{self.repository}: {name} holds a model of task {manifest.task}; publish both again")

    def _stream(
        self, task: Task, texts: Iterable[Item], variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        entries = (encode_item(item, task.inputs) for item in texts)
        number = 0
        for group in group_rows(entries, batch_size, BATCH_BYTES):
            for outcome in self.outcomes(task, group, variant, numeric):
                yield TextError(number, outcome) if isinstance(outcome, str) else outcome
                number += 1

    def outcomes(self, task: Task, entries: Sequence[Row | str], variant: str | None, numeric: bool) -> list[Outcome]:
        """The outcome of each entry, run together; a row that breaks the task costs no other row its answer."""

        def ask(rows: Sequence[Row]) -> list[Outcome]:
            return _answer(self._pipeline(task.name, variant), rows, numeric)

        return list(resolve(entries, ask, known_good=example_row(task)))

    def _pipeline(self, task: str, variant: str | None) -> Pipeline:
        if (task, variant) not in self._pipelines:
            with _as_local_errors():
                from ernie_runtime.steps.pipeline import Pipeline

                self._pipelines[task, variant] = Pipeline.load(self.repository, task, variant, self.threads)
        return self._pipelines[task, variant]


def _answer(pipeline: Pipeline, rows: Sequence[Row], numeric: bool) -> list[Outcome]:
    import numpy as np

    task = pipeline.manifest.task
    try:
        answers = pipeline.predict(rows, chunk=len(rows))
    except Exception as error:  # one text's fault or a broken model: `resolve` finds out which
        raise LocalError(f"task {task} failed: {error} ({type(error).__name__})") from error
    replies: list[Outcome] = []
    for answer in answers:
        if isinstance(answer, str):
            replies.append(answer)
            continue
        arrays = {name: np.atleast_1d(np.asarray(value)) for name, value in answer.numeric.items()} if numeric else {}
        outputs = {n: a.astype(np.float32) if a.dtype.kind == "f" else a for n, a in arrays.items()}
        replies.append(Reply(answer.result, outputs))
    return replies


@contextmanager
def _as_local_errors() -> Iterator[None]:
    """Turn errors of the runtime and a missing package into LocalError; the message is one line for a person."""
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
