"""The tasks of a running server as the supervisor needs them: their steps, and an example that must be answered."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field

from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import MANIFEST_PARAMETER
from ernie_serve.health import Health

BUSY = "busy"
"""Nothing is known: the server is overloaded, or works on other requests."""


@dataclass(kw_only=True)
class ServedTask:
    """A model that clients ask: a task, or a variant of one with an encoder of its own."""

    name: str
    steps: frozenset[str]
    """Models whose processes answer it; itself where it is no ensemble."""
    inputs: tuple[str, ...]
    example: tuple[str, ...]
    """One text per input; empty where the manifest has no example."""
    _answered: int = field(default=-1, init=False)

    def fault(self, health: Health) -> str:
        """Why the example is not answered; empty where it is (or there is none), BUSY where that says nothing."""
        if not self.example:
            return ""
        tensors = [
            {"name": name, "datatype": "BYTES", "shape": [1, 1], "data": [text]}
            for name, text in zip(self.inputs, self.example, strict=True)
        ]
        before, self._answered = self._answered, -1
        try:
            self._answered = health.answered(self.name)
            status, body = health.infer(self.name, {"inputs": tensors})
        except TimeoutError:
            return BUSY if self._answered > before >= 0 else f"no answer in {health.timeout:g} s"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        if status in (429, 503):  # refused: the queue is full
            return BUSY
        return "" if status == 200 else _message(body)


def served_tasks(health: Health) -> list[ServedTask]:
    """The ready tasks, sorted by name; of ensembles with the same steps (a task and its best variant) the first."""
    tasks: dict[frozenset[str], ServedTask] = {}
    for name in health.ready_models():
        if (task := _task(name, health.config(name))) is not None:
            tasks.setdefault(task.steps, task)
    return list(tasks.values())


def _task(name: str, config: JsonObject) -> ServedTask | None:
    """None for a model that is no task: a step, or an ensemble of something else."""
    try:
        manifest = json.loads(config["parameters"][MANIFEST_PARAMETER]["string_value"])
        inputs = tuple(tensor["name"] for tensor in config["input"])
        example = tuple(next(iter(manifest.get("examples", ())), ()))
    except (KeyError, TypeError, ValueError):
        return None
    steps = config.get("ensemble_scheduling", {}).get("step", [])
    return ServedTask(
        name=name,
        steps=frozenset(step["model_name"] for step in steps) or frozenset({name}),
        inputs=inputs,
        example=example if len(example) == len(inputs) else (),
    )


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
