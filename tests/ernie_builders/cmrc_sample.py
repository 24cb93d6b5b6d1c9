"""The questions that ship, and the task they belong to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ernie_builders.config.tasks import ASSETS, TaskConfig, load_tasks
from ernie_builders.readers import Example
from ernie_builders.readers.squad_json import read
from ernie_runtime.manifest import Limits

SAMPLE = ASSETS / "samples" / "cmrc2018"
TASK = load_tasks()["cmrc2018"]
ROOMY = {"max_answer_tokens": 40, "max_question_tokens": 32}


def sample(split: str) -> list[Example]:
    """The questions of `train` or `dev`."""
    return list(read(SAMPLE / f"{split}.json", {}))


def with_limits(max_length: int, doc_stride: int, **options: Any) -> TaskConfig:
    """The task with windows of another length."""
    return replace(TASK, limits=Limits(max_length=max_length, doc_stride=doc_stride), options={**ROOMY, **options})
