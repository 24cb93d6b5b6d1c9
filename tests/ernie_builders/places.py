"""Small separable data, two tasks over them, and builds in this process."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ernie_builders import build_all

TASKS = """
[tasks.topics]
kind = "sequence_classification"
title = "Topics"
labels = ["north", "south", "west"]
examples = ["的一不是", "有人了在用"]
[tasks.topics.limits]
max_length = 32
doc_stride = 24
[tasks.topics.data]
format = "clue_json"
folder = "topics"
train = "train.json"
dev = "dev.json"
fields = { text = "sentence", label = "label" }
[tasks.topics.train]
epochs = 2
batch_size = 16
learning_rate = 5e-3

[tasks.names]
kind = "token_classification"
title = "Names"
labels = ["O", "B-PER", "I-PER"]
examples = ["的一不是"]
[tasks.names.limits]
max_length = 32
doc_stride = 24
[tasks.names.data]
format = "bio_columns"
folder = "names"
train = "train.txt"
dev = "dev.txt"
[tasks.names.train]
epochs = 1
batch_size = 16
learning_rate = 5e-3
"""


def topic_rows(characters: list[str], count: int, seed: int) -> list[tuple[str, str]]:
    """(text, label): one character of twenty in the text tells the label; `north` is the majority."""
    generator = np.random.default_rng(seed)
    signs, filler = [characters[i : i + 4] for i in (0, 4, 8)], characters[12:]
    rows = []
    for _ in range(count):
        label = int(generator.choice(3, p=[0.5, 0.3, 0.2]))
        text = [*generator.choice(filler, int(generator.integers(3, 20))), *generator.choice(signs[label], 3)]
        rows.append(("".join(generator.permutation(text)), ("north", "south", "west")[label]))
    return rows


def write_topics(path: Path, rows: list[tuple[str, str]]) -> None:
    """CLUE's JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"sentence": text, "label": label}, ensure_ascii=False) for text, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_names(path: Path, characters: list[str], count: int, seed: int) -> None:
    """BIO columns: two certain characters make a name."""
    generator = np.random.default_rng(seed)
    names, filler = characters[:6], characters[12:]
    lines = []
    for _ in range(count):
        for _ in range(3):
            lines += [f"{c}\tO" for c in generator.choice(filler, 3)]
            first, second = generator.choice(names, 2)
            lines += [f"{first}\tB-PER", f"{second}\tI-PER"]
        lines.append("")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class Place:
    """Where builds of a test keep their stages and publish."""

    tasks_file: Path
    data_dir: Path
    base_model: Path
    root: Path

    @property
    def cache(self) -> Path:
        """Finished stages."""
        return self.root / "cache"

    @property
    def output(self) -> Path:
        """The model repository."""
        return self.root / "models"

    def arguments(self, *more: str, task: str = "topics") -> list[str]:
        """A command line; `more` wins over what is set here."""
        options = {
            "--tasks": task,
            "--tasks-file": str(self.tasks_file),
            "--profile": "full",
            "--data-dir": str(self.data_dir),
            "--base-model": str(self.base_model),
            "--cache": str(self.cache),
            "--output": str(self.output),
        }
        return [part for option in options.items() for part in option] + list(more)

    def build(self, *more: str, task: str = "topics") -> int:
        """Run a build in this process; its exit code."""
        return build_all.main(self.arguments(*more, task=task))

    def stage(self, name: str, task: str = "topics") -> Path:
        """The folder of the one finished stage of that name."""
        (done,) = (self.cache / task / name).glob("*/done.json")
        return done.parent

    def figures(self, stage: str, task: str = "topics") -> dict[str, Any]:
        """The figures of the one finished stage of that name."""
        done = json.loads((self.stage(stage, task) / "done.json").read_text(encoding="utf-8"))
        figures: dict[str, Any] = done["figures"]
        return figures


def copied(finished: Place, target: Path) -> Place:
    """A finished build that may be changed."""
    shutil.copytree(finished.cache, target / "cache")
    return replace(finished, root=target)


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change_times(folder: Path) -> dict[Path, int]:
    """The time of change of every file and folder below a folder, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file grows past `limit` bytes: writes fail in the kernel, as they do on a full disk.

    Python takes a short write of a compiled module for a whole one, so it writes none meanwhile.
    """
    limits, writes_none = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = writes_none
