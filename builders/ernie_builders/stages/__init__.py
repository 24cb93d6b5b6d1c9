"""The stages of a build, in order; each is a module with NAME, inputs(), run() and line().

A stage's work is kept under a key, the hash of all that goes into it (its own inputs and the keys of the stages
before it), so a second build reuses what is done, and a changed label file or learning rate redoes just what it
must. Work goes on in `<key>.partial`, which becomes `<key>` when it is complete: a killed stage goes on where its
module left off, and a half-done one is never taken for a whole.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import ernie_runtime

from ..checkpoints.checkpoint import Checkpoint
from ..config.tasks import TaskConfig
from ..config.variants import FULL, Recipe
from ..console import say
from ..filesystem import disk_error, key_of, put_in_place, sha256_of


@dataclass(frozen=True)
class Context:
    """What a build of one task was asked to do."""

    task: TaskConfig
    profile: str
    source: Checkpoint  # the base model to fine-tune, or the fine-tuned checkpoint to publish
    ready: bool  # the source is fine-tuned: publish it without training
    data_folder: Path | None  # the task's folder with its train and dev files; None where there is none
    data_split: str  # "dev", or "sample" for the small set that ships
    output: Path
    cache: Path
    device: str = "cpu"
    devices: str = ""  # several devices for fine-tuning: "0,1"
    seed: int = 0
    card: Mapping[str, Any] = field(default_factory=dict)  # of a checkpoint that ships
    transfer_folders: Mapping[str, Path] = field(default_factory=dict)  # further sets to evaluate on, those at hand
    force: bool = False  # publish what the gate refuses too
    pick: str = FULL.name  # the variant behind the task's plain name
    recipe: Recipe = FULL  # the variant that the stages after the export are about


@dataclass(frozen=True)
class Done:
    """A finished stage: its folder, key and figures."""

    folder: Path
    key: str
    figures: dict[str, Any]


class Stage(Protocol):
    """A module of this package."""

    NAME: str

    def inputs(self, context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
        """All that decides the stage's result, as JSON data; keys of earlier stages that it reads."""

    def run(self, context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
        """Do the work inside `folder` (it may hold the remains of a killed run); the figures."""

    def line(self, figures: Mapping[str, Any]) -> str:
        """One clear line about the figures."""

    # A stage that takes the place of an earlier one for those after it also has STANDS_FOR, that one's NAME.
    # A stage whose result lies outside its folder (publish) also has
    # holds(context, before) -> bool: whether that result is still there.


@cache
def code_key() -> str:
    """Stands for this project's code and the packages that a served answer hangs on.

    Exporting, evaluating and publishing are done again when it changes. Reading data and fine-tuning are not: they
    have a FORMAT, raised by hand, so that a new release does not throw hours of training away.
    """
    roots = (Path(__file__).resolve().parents[1], Path(ernie_runtime.__file__).resolve().parent)
    files = {f"{root.name}/{p.relative_to(root)}": sha256_of(p) for root in roots for p in sorted(root.rglob("*.py"))}
    packages = ("paddlepaddle", "paddlenlp", "paddle2onnx", "onnxruntime", "openvino", "nncf", "tokenizers")
    return key_of([files, {name: _version(name) for name in packages}])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def run_stage(stage: Stage, context: Context, before: dict[str, Done]) -> Done:
    """Run the stage, or take its result from the cache; prints its line, adds itself to `before`."""
    inputs = stage.inputs(context, before)
    key = key_of([stage.NAME, inputs])
    home = context.cache / context.task.name / stage.NAME
    folder, partial = home / key, home / f"{key}.partial"
    label = f"[{context.task.name}{of_variant(context)}] {stage.NAME}"
    started = time.monotonic()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / f"{key}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"{label}: another build is doing the same stage; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            reused = (folder / "done.json").is_file() and getattr(stage, "holds", _always)(context, before)
            if not reused:
                shutil.rmtree(folder, ignore_errors=True)
                say(f"{label}: {'going on' if partial.exists() else 'started'}")
                partial.mkdir(exist_ok=True)
                figures = stage.run(context, before, partial)
                (partial / "done.json").write_text(
                    json.dumps({"figures": figures, "inputs": inputs}, ensure_ascii=False, indent=1, default=str),
                    encoding="utf-8",
                )
                put_in_place(partial, folder)
    except OSError as error:
        raise disk_error(error, home) from None
    figures = json.loads((folder / "done.json").read_text(encoding="utf-8"))["figures"]
    spent = "reused" if reused else f"{time.monotonic() - started:.1f} s"
    say(f"{label}: {stage.line(figures)} ({spent})")
    done = Done(folder, key, figures)
    before[stands_for(stage)] = done
    return done


def stands_for(stage: Stage) -> str:
    """Under which name the stages after it find what it leaves."""
    return str(getattr(stage, "STANDS_FOR", stage.NAME))


def of_variant(context: Context) -> str:
    """The variant that a stage is about, for a person; nothing for the task itself."""
    return "" if context.recipe == FULL else f" {context.recipe.name}"


def _always(context: Context, before: Mapping[str, Done]) -> bool:
    return True
