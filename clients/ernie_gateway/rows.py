"""JSON values as items of a task, read as `ernie-triton predict` reads JSON lines; and what a task wants, in a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ernie_runtime.json_types import JsonObject
from ernie_triton.batch.records import BadLine, from_value
from ernie_triton.items import LISTS, Item
from ernie_triton.tasks import Task

from .problems import Problem, cut

SHOWN = 24  # characters of an example that a message shows


def items_of(values: Sequence[object], task: Task) -> tuple[list[Item], dict[int, str]]:
    """The items among values, in order; and by index, why the others are none (a Problem: it is no JSON)."""
    items: list[Item] = []
    reasons: dict[int, str] = {}
    for index, value in enumerate(values):
        if isinstance(value, Problem):
            reasons[index] = value.message.replace("the body", "the line")
            continue
        try:
            parts, rest = from_value(value, task.inputs)
        except BadLine as fault:
            reasons[index] = f"{cut(str(fault))}; {wants(task)}"
            continue
        if rest:
            reasons[index] = f"unknown key {cut(repr(next(iter(rest))))}; {wants(task)}"
            continue
        items.append(parts[0] if len(parts) == 1 else parts)
    return items, reasons


def values_of(inputs: object) -> list[Any]:
    """The items of a request's `inputs`: a list of them, or a single one (a string, an object)."""
    return list(inputs) if isinstance(inputs, list) else [inputs]


def example_value(task: Task, number: int = 0) -> str | JsonObject:
    """The task's own example as a request has it: a string, or an object for several inputs."""
    parts = task.examples[number] if len(task.examples) > number else ("...",) * len(task.inputs)
    if len(task.inputs) == 1:
        return parts[0]
    return {name.lower(): _part(part, name) for name, part in zip(task.inputs, parts, strict=True)}


def wants(task: Task) -> str:
    """`tnews takes a string or {"text": "..."}`"""
    body = ", ".join(f'"{name.lower()}": {_short(name)}' for name in task.inputs)
    single = "a string or " if len(task.inputs) == 1 else ""
    return f"{task.name} takes {single}{{{body}}}"


def wanted_body(task: Task) -> str:
    """A body for the task, in a line."""
    example = example_value(task)
    if isinstance(example, str):
        return json.dumps({"inputs": [_cut(example)]}, ensure_ascii=False)
    cut = {k: _cut(v) if isinstance(v, str) else [_cut(v[0]), "..."] for k, v in example.items()}
    return json.dumps({"inputs": [cut]}, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _short(name: str) -> str:
    return '["...", "..."]' if name in LISTS else '"..."'


def _part(part: str, name: str) -> str | list[str]:
    if name not in LISTS:
        return part
    try:
        return [str(element) for element in json.loads(part)]
    except ValueError:
        return ["...", "..."]
