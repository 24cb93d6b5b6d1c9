"""Serves the version of a task that the repository has now, without a request that fails or mixes two versions.

1. The steps of the new version are loaded under names of their own (`tnews_encoder_fp32.v2`), beside the old ones.
2. They must answer right: through ensembles that clients do not know, what the builder recorded, or the examples.
3. Each ensemble is loaded again with the new steps: to Triton one exchange, in which running requests keep the old one.
4. When the old steps have nothing left to do, they are unloaded.

What fails before 3 changes nothing of what is served. A healthy step is never loaded again under the name that serves:
Triton can lock up when it unloads a model with requests in it.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import ANSWERS_FILE, MANIFEST_FILE, RESULT
from ernie_runtime.results import same_answer
from ernie_serve import problems, stubs
from ernie_serve.problems import ServeError
from ernie_serve.server import TritonServer
from ernie_serve.supervisor import Supervisor
from ernie_serve.view import TaskModels, View

LOAD_SECONDS = 120.0
QUIET_SECONDS = 1.0
"""So long old steps must have done nothing before they are unloaded."""
IDLE_SHARE = 0.05
"""Of that time their processes may have spent on a core: they look around from time to time."""
CANDIDATE = ".candidate"


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an update has done. before: 0 where the task is new; compared: answers that were as the builder's."""

    task: str
    before: int
    version: int
    compared: int
    seconds: float
    changed: bool = True

    def line(self) -> str:
        """For the operator."""
        if not self.changed:
            return f"task {self.task}: version {self.version} is what is served"
        answers = f"{self.compared} answers as recorded by the builder" if self.compared else "its examples answered"
        was = f", before version {self.before}" if self.before else ""
        return f"task {self.task}: version {self.version} is served after {self.seconds:.1f} s ({answers}){was}"


class Updates:
    """The updates of one server, one at a time."""

    def __init__(self, server: TritonServer, supervisor: Supervisor) -> None:
        self._server, self._supervisor = server, supervisor
        self._lock = threading.Lock()
        self._seen = dict[tuple[str, int], str]()

    def update(self, task: str, say: Callable[[str], None]) -> Update:
        """Serve the newest version of a task. say: takes a line for each step. ServeError where it is not served."""
        with self._lock:
            try:
                return self._update(task, say)
            except (OSError, http.client.HTTPException) as error:
                raise ServeError(f"task {task}: the server did not answer during the update ({error})") from None

    def _update(self, task: str, say: Callable[[str], None]) -> Update:
        began, served = time.monotonic(), self._view
        available = served.available()
        if task not in available:
            others = ", ".join(sorted(available)) or "none"
            raise ServeError(f"no task {task} in {self._server.options.repository}; there are: {others}")
        new, old = available[task], served.served.get(task)
        before = old.version if old else 0
        if old and old.digest == new.digest:
            return Update(task=task, before=before, version=before, compared=0, seconds=0, changed=False)
        self._check_cache(new)
        mark = self._free_mark(new)
        names = {model: model + mark for model in new.steps}
        candidates = {model: model + mark + CANDIDATE for model in new.ensembles}
        staged = [*names.values(), *candidates.values()]
        try:
            for model, name in {**names, **candidates}.items():
                say(f"loading {name}")
                served.add(model, name=name, names=names, hidden=True)
                self._server.load(name, LOAD_SECONDS)
            if served.available().get(task) != new:
                raise ServeError(f"task {task} was published again meanwhile: once more")
            compared = sum(self._check(new, model, name) for model, name in candidates.items())
            say(f"version {new.version} answers right")
            for name in candidates.values():
                self._drop(name)
            obsolete = self._switch(new, old, names)
        except BaseException as error:
            for name in reversed(staged):
                self._drop(name)
            if isinstance(error, ServeError):
                goes_on = f", version {before} goes on" if before else ""
                raise ServeError(f"task {task}: version {new.version} is not served{goes_on}: {error}") from None
            raise
        say(f"version {new.version} is served")
        self._retire(obsolete, say)
        seconds = time.monotonic() - began
        return Update(task=task, before=before, version=new.version, compared=compared, seconds=seconds)

    @property
    def _view(self) -> View:
        assert self._server.view is not None
        return self._server.view

    def _free_mark(self, new: TaskModels) -> str:
        """What is appended to the names of this version's steps; a number where a version of that number was taken back
        and published again."""
        mark, number = f".v{new.version}", 1
        taken = {path.name for path in self._view.folder.iterdir()}
        while any(model + mark in taken for model in new.steps):
            number += 1
            mark = f".v{new.version}-{number}"
        return mark

    def _check_cache(self, new: TaskModels) -> None:
        """Triton knows the answers that it has kept by the names of models and their versions alone."""
        options = self._server.options
        if not options.cache and not any("cache" in word for word in options.extra):
            return
        for task in (*self._view.served.values(), new):
            if self._seen.setdefault((task.task, task.version), task.digest) != task.digest:
                raise ServeError(
                    f"task {task.task}: another version {task.version} was served before, and the response cache may "
                    "have its answers: restart the server, or publish once more"
                )

    def _check(self, new: TaskModels, model: str, name: str) -> int:
        """The model `name` of the server must answer as `model` of the repository did when it was published.

        Returns how many answers were compared; 0 where none were recorded: then its examples must be answered.
        """
        folder = self._server.options.repository / model / str(new.version)
        recorded = _recorded(folder)
        items = [item["texts"] for item in recorded["items"]] if recorded else _examples(folder)
        if not items:
            return 0
        health = self._server.patient(LOAD_SECONDS)
        inputs = [tensor["name"] for tensor in health.config(name)["input"]]
        tensors = [
            {"name": tensor, "datatype": "BYTES", "shape": [len(items), 1], "data": [item[i] for item in items]}
            for i, tensor in enumerate(inputs)
        ]
        status, body = health.infer(name, {"inputs": tensors, "outputs": [{"name": RESULT}]})
        reply = json.loads(body)
        if status != 200:
            raise ServeError(f"{model} does not answer its examples: {problems.one_line(str(reply.get('error')))}")
        results = [json.loads(text) for text in reply["outputs"][0]["data"]]
        if not recorded:
            return 0
        wrong = [
            i
            for i, (item, result) in enumerate(zip(recorded["items"], results, strict=True))
            if not same_answer(item["result"], result, recorded["tolerance"])
        ]
        if len(wrong) > recorded["may_differ"]:
            first = json.dumps(items[wrong[0]], ensure_ascii=False)[:100]
            raise ServeError(
                f"{model} answers {len(wrong)} of {len(items)} recorded texts otherwise than when it was published, "
                f"the first is {first}"
            )
        return len(items)

    def _switch(self, new: TaskModels, old: TaskModels | None, names: dict[str, str]) -> set[str]:
        """Let the task's names answer with the new steps; returns the models that have nothing to do any more."""
        served, changed = self._view, list[str]()
        obsolete = served.processes.get(new.task, set())
        self._supervisor.expect(names.values())
        served.names |= {*names.values(), *new.ensembles}
        try:
            for model in new.ensembles:
                changed.append(model)
                served.add(model, names=names)
                self._server.load(model, LOAD_SECONDS)
        except BaseException:
            self._supervisor.forget(names.values())
            for model in changed:
                with suppress(ServeError):
                    served.restore(model)
                    self._server.load(model, LOAD_SECONDS)
            raise
        served.processes[new.task], served.served[new.task] = set(names.values()), new
        gone = set(old.ensembles) - set(new.ensembles) if old else set()
        for model in gone:
            self._drop(model)
        self._supervisor.renew()
        return obsolete - gone

    def _retire(self, models: set[str], say: Callable[[str], None]) -> None:
        """Unload models when they have finished what they had to do."""
        limit = time.monotonic() + self._server.options.drain_seconds
        while not self._are_quiet(models) and time.monotonic() < limit:
            pass
        self._supervisor.forget(models)
        for model in sorted(models):
            self._drop(model)
        if models:
            say(f"unloaded: {' '.join(sorted(models))}")

    def _are_quiet(self, models: Iterable[str]) -> bool:
        """Whether the models do nothing for QUIET_SECONDS."""
        processes = [s.pid for s in stubs.stubs_of(self._server.shared_memory_prefix) if s.model in models]
        before = {model: self._server.health.executions(model) for model in models}, stubs.cpu_seconds(processes)
        time.sleep(QUIET_SECONDS)
        counts = {model: self._server.health.executions(model) for model in models}
        return counts == before[0] and stubs.cpu_seconds(processes) - before[1] < IDLE_SHARE * QUIET_SECONDS

    def _drop(self, name: str) -> None:
        """Unload a model and take it out of the view; one that the server does not have is fine."""
        with suppress(ServeError, OSError, http.client.HTTPException):
            self._server.unload(name)
        self._view.discard(name)


def _recorded(folder: Path) -> JsonObject:
    """What the builder recorded of a version's answers; empty where it did not."""
    try:
        return dict(json.loads((folder / ANSWERS_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _examples(folder: Path) -> list[list[str]]:
    return list(json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8")).get("examples", ()))
