"""A task made of a preset alone, and its entry for a tasks file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import kind_names
from ernie_runtime.manifest import Label, Limits

from ..config.tasks import TASKS_FILE, DataConfig, TaskConfig, load_tasks
from ..config.train import TrainConfig
from .loading import load_presets
from .presets import Choice, Entry

STRIDE_RATIO = 0.75  # doc_stride / max_length, as in the tasks that ship


def draft_task(name: str, choice: Choice, base_model: str) -> TaskConfig:
    """The task that the preset is for: the one that ships, or one made of the preset alone."""
    shipped, preset, entry = load_tasks(TASKS_FILE), choice.preset, entry_of(name)
    if name in shipped:
        return choice.apply(shipped[name])
    data, options = DataConfig(format="", folder=name), {}
    labels: tuple[Label, ...] = ()
    if entry is not None:
        data = DataConfig(format=entry.format, folder=name, train=entry.train, dev=entry.dev, fields=entry.fields)
        labels = tuple(Label(label, label) for label in entry.labels)
        hidden = choice.model.encoder.hidden
        options = {key: hidden if value == "hidden" else value for key, value in entry.options.items()}
    limits = Limits(max_length=choice.max_length, doc_stride=max(1, int(choice.max_length * STRIDE_RATIO)))
    bare = TaskConfig(
        name=name,
        kind=preset.kind,
        title=preset.title,
        labels=labels,
        limits=limits,
        data=data,
        base_model=base_model,
    )
    return choice.apply(replace(bare, options=options))


def entry_of(name: str) -> Entry | None:
    """A task's labels and data, if presets.toml describes them."""
    return next((preset.entry for preset in load_presets().all_of_task(name) if preset.entry), None)


def how_to_add(task: TaskConfig) -> Iterator[str]:
    """How to add the task to a tasks file, with its entry if it can have one."""
    entry = entry_of(task.name)
    if task.name in load_tasks(TASKS_FILE):
        yield f"The {TASKS_FILE.name} that ships has this task: copy its entry."
    elif task.kind not in kind_names():
        yield f"No tasks file can have this task yet: this version has no kind {task.kind}."
    elif entry is None:
        yield "Add an entry for it to a tasks file; what its data looks like is not published with the preset."
    else:
        yield "Add this entry to a tasks file (--tasks-file):"
        if entry.remark:
            yield f"(its files: {entry.remark})"
        yield ""
        yield from entry_toml(task)


def entry_toml(task: TaskConfig) -> Iterator[str]:
    """The lines of the task's entry; `load_tasks` reads them back to the same task."""
    yield f"[tasks.{task.name}]"
    yield f"kind = {_value(task.kind)}"
    yield f"title = {_value(task.title)}"
    yield f"base_model = {_value(task.base_model)}"
    if task.labels:
        yield f"labels = {_value([label.id for label in task.labels])}"
    tables: Mapping[str, Json] = {
        "limits": {"max_length": task.limits.max_length, "doc_stride": task.limits.doc_stride},
        "data": {name: getattr(task.data, name) for name in ("format", "folder", "train", "dev", "fields")},
        "options": task.options,
        "train": _changed(task.train),
    }
    for name, table in ((name, table) for name, table in tables.items() if table):
        yield f"[tasks.{task.name}.{name}]"
        yield from (f"{key} = {_value(value)}" for key, value in table.items())


def _changed(train: TrainConfig) -> JsonObject:
    """Fields that are not at their defaults, and those that every entry has."""
    always, defaults = ("epochs", "batch_size", "learning_rate"), vars(TrainConfig())
    return {name: value for name, value in vars(train).items() if name in always or value != defaults[name]}


def _value(value: object) -> str:
    """A TOML value: JSON's strings, numbers and lists are TOML's too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
