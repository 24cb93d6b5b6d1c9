"""What to ask a server about its tasks, as steps without input or output; both clients do them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from ernie_runtime.names import variant_ensemble

from .errors import ErnieTritonError, ServerUnavailable, UnknownTask
from .replies import NotFound, Refused
from .tasks import Ensemble, Task, by_title, group_tasks, names_for


@dataclass(frozen=True)
class ReadyModels:
    """Get the names of the models that are ready: list[str].

    Read from the statistics, which list the models that are loaded. So does the repository's index, but
    `ernie-triton serve` keeps that to itself: who may read it may unload models.
    """


@dataclass(frozen=True)
class Configuration:
    """Get the ensemble of a model's configuration; None where there is no such model, or it answers no task."""

    model: str


@dataclass(frozen=True)
class IsReady:
    """Get whether a model is ready; model None: the server with all of its models."""

    model: str | None


@dataclass(frozen=True)
class IsLive:
    """Get whether the server answers."""


Query = ReadyModels | Configuration | IsReady | IsLive


def answer_without_model(query: Query, error: ErnieTritonError) -> bool | None:
    """What the query asks for where an error says that its model is not there; any other error is raised."""
    if isinstance(query, IsReady) and isinstance(error, NotFound | Refused):  # over HTTP a model's readiness is 400
        return False
    if isinstance(query, Configuration) and isinstance(error, NotFound):
        return None
    raise error from None


class Catalog:
    """The tasks of one server that a client has seen so far."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._tasks: dict[str, Task] = {}

    def all_tasks(self) -> Generator[Query, Any, list[Task]]:
        """The tasks that the server has ready, sorted by name: asks for the configuration of each ready model."""
        ensembles: list[Ensemble] = []
        for model in sorted((yield ReadyModels())):
            if (ensemble := (yield Configuration(model))) is not None:
                ensembles.append(ensemble)
        tasks = group_tasks(ensembles)
        self._tasks = {task.name: task for task in tasks}
        return tasks

    def one_task(self, name: str) -> Generator[Query, Any, Task]:
        """One task by its name, or its title; UnknownTask or ServerUnavailable where there is none.

        Asks for the configuration of this task alone; for those of all models only where there is none of that name.
        """
        if (task := self._tasks.get(name)) is not None:
            return task
        ensemble: Ensemble | None = (yield Configuration(name)) if name.isascii() and name else None
        found = group_tasks([ensemble] if ensemble is not None else [], all_variants=True)
        if found:
            (task,) = found
            variants = [task.variant]
            for variant in task.variants:
                if variant != task.variant and (yield IsReady(variant_ensemble(name, variant))):
                    variants.append(variant)
            task = replace(task, variants=tuple(v for v in task.variants if v in variants))
            self._tasks[name] = task
            return task
        tasks = yield from self.all_tasks()
        if (task := by_title(tasks, name)) is None:
            raise (yield from self._missing(name))
        return task

    def lost(self, model: str) -> Generator[Query, Any, ErnieTritonError]:
        """The error for a model that the server has no longer."""
        yield from self.all_tasks()
        return (yield from self._missing(model))

    def _missing(self, name: str) -> Generator[Query, Any, ErnieTritonError]:
        """The error for a name that is no task's: a server that starts has it not yet, one that stops no longer."""
        unknown = UnknownTask(f"the server at {self._url} has no task", name, names_for(self._tasks.values(), name))
        if (yield IsReady(None)):
            return unknown
        return ServerUnavailable(f"{unknown}; nor is the server ready: if that is a task of it, try again later")
