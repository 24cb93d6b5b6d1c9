"""Run each stage once: its output is cached under a key, the hash of everything that the result depends on.

The key covers the stage's inputs, the keys of the stages that it reads, and the code. So a second build reuses finished
stages, and a changed label file or learning rate repeats only the stages that depend on it. A stage works in
`<key>.partial`, which becomes `<key>` when it is complete: a killed stage resumes there, and an incomplete one is never
taken for a finished one.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from ernie_runtime.json_types import Json

from ..config.variants import FULL
from ..console import say
from ..filesystem import disk_error, key_of, put_in_place
from .code import code_key
from .context import Context
from .results import DataRead, Evaluated, Exported, FineTuned, Measured, Published, Result

R = TypeVar("R", bound=Result)
DONE = "done.json"  # in the folder of a finished stage


@dataclass(frozen=True, kw_only=True)
class Output(Generic[R]):
    """What a stage leaves: a folder of files, and a result once the stage has run."""

    folder: Path
    key: str
    result_type: type[R]
    inputs: Json = field(default_factory=dict, repr=False)  # that the key is the hash of

    @cached_property
    def result(self) -> R:
        """From done.json."""
        return self.result_type.from_json(json.loads((self.folder / DONE).read_text(encoding="utf-8"))["figures"])

    @property
    def partial(self) -> Path:
        """Where the stage works until it is complete."""
        return self.folder.with_name(f"{self.key}.partial")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The outputs of the stages so far, of a task or of one of its variants; KeyError for a stage that has not run."""

    outputs: Mapping[type[Result], Output[Any]] = field(default_factory=dict)
    variants: Mapping[str, Finished] = field(default_factory=dict)  # by name; fp32 is the task itself

    def get(self, result_type: type[R]) -> Output[R] | None:
        """The output with a result of this type; None if no such stage has run."""
        return self.outputs.get(result_type)

    def having(self, output: Output[Any]) -> Finished:
        """With a further output, which replaces an earlier one with the same type of result."""
        return replace(self, outputs={**self.outputs, output.result_type: output})

    def variant(self, name: str) -> Finished:
        """What is finished of a variant."""
        return self if name == FULL.name else self.variants[name]

    def all_keys(self) -> list[str]:
        """The keys of all outputs in the order of the stages, then those of the variants."""
        variants = (key for finished in self.variants.values() for key in finished.all_keys())
        return list(dict.fromkeys([*(output.key for output in self.outputs.values()), *variants]))

    @property
    def data(self) -> Output[DataRead]:
        """The labelled text."""
        return self.outputs[DataRead]

    @property
    def fine_tuned(self) -> Output[FineTuned]:
        """The checkpoint."""
        return self.outputs[FineTuned]

    @property
    def exported(self) -> Output[Exported]:
        """The graph."""
        return self.outputs[Exported]

    @property
    def evaluated(self) -> Output[Evaluated]:
        """The figures on dev rows."""
        return self.outputs[Evaluated]

    @property
    def measured(self) -> Output[Measured]:
        """Speed and memory of the variants."""
        return self.outputs[Measured]

    @property
    def published(self) -> Output[Published]:
        """The version in the repository."""
        return self.outputs[Published]


def _always(context: Context, finished: Finished) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[R]):
    """A step of a build. Later stages find its output by the type of its result.

    So a stage with the result type of an earlier one takes its place: what prunes a model leaves a FineTuned.
    """

    name: str  # of its folder in the cache, and in messages
    result_type: type[R]
    inputs: Callable[[Context, Finished], Json]  # what the result depends on, as JSON data
    run: Callable[[Context, Finished, Path], R]  # works in a folder that may hold what a killed run left
    line: Callable[[R], str]  # the result, for a person
    uses: tuple[str, ...] = ()  # rooms whose code the result depends on; empty: `inputs` has a FORMAT instead
    holds: Callable[[Context, Finished], bool] = _always  # whether what it wrote outside its folder is still there

    def output(self, context: Context, finished: Finished) -> Output[R]:
        """Where the output lies, or will lie once the stage has run."""
        inputs = {**self.inputs(context, finished), **({"code": code_key(self.uses)} if self.uses else {})}
        key = key_of([self.name, inputs])
        folder = context.cache / context.task.name / self.name / key
        return Output(folder=folder, key=key, result_type=self.result_type, inputs=inputs)

    def is_done(self, context: Context, finished: Finished, output: Output[R]) -> bool:
        """Whether the stage has run and its output can be reused."""
        return (output.folder / DONE).is_file() and self.holds(context, finished)


def run_stage(stage: Stage[R], context: Context, finished: Finished) -> Output[R]:
    """Run the stage or take its output from the cache, and print its line. BuildError for a disk that fails."""
    output = stage.output(context, finished)
    home, started = output.folder.parent, time.monotonic()
    variant = "" if context.recipe == FULL else f" {context.recipe.name}"
    label = f"[{context.task.name}{variant}] {stage.name}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / f"{output.key}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"{label}: another build is doing the same stage; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            reused = stage.is_done(context, finished, output)
            if not reused:
                shutil.rmtree(output.folder, ignore_errors=True)
                say(f"{label}: {'going on' if output.partial.exists() else 'started'}")
                _run(stage, context, finished, output)
    except OSError as error:
        raise disk_error(error, home) from None
    spent = "reused" if reused else f"{time.monotonic() - started:.1f} s"
    say(f"{label}: {stage.line(output.result)} ({spent})")
    return output


def _run(stage: Stage[R], context: Context, finished: Finished, output: Output[R]) -> None:
    """Do the work and put the output in its place in one step."""
    output.partial.mkdir(exist_ok=True)
    result = stage.run(context, finished, output.partial)
    done = {"figures": result.to_json(), "inputs": output.inputs}
    (output.partial / DONE).write_text(json.dumps(done, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
    put_in_place(output.partial, output.folder)
