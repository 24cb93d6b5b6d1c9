"""docs/answers.md: a request for each kind that ships, and answers that fit it and parse as that kind's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ernie_builders.config.tasks import TASKS_FILE, read_tasks
from ernie_triton.results import numeric_outputs, parse_result

from .test_pages import ROOT


def load(path: Path) -> ModuleType:
    """A module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ANSWERS = load(ROOT / "docs" / "site" / "answers.py")
SHOWN = [
    (match["command"], ANSWERS.objects(match["answer"]))
    for match in ANSWERS.PAIR.finditer((ROOT / "docs" / "answers.md").read_text(encoding="utf-8"))
]
KINDS = {name: task.kind for name, task in read_tasks(TASKS_FILE).tasks.items()}


def task_of(command: str) -> str:
    return str(ANSWERS.words_of(command)[2])


def test_each_kind_that_ships_is_shown() -> None:
    assert {KINDS[task_of(command)] for command, _ in SHOWN} == set(KINDS.values())


@pytest.mark.parametrize(("command", "answers"), SHOWN, ids=[task_of(command) for command, _ in SHOWN])
def test_answers_fit_their_request(command: str, answers: list[dict]) -> None:
    texts = [word for word in ANSWERS.words_of(command)[3:] if not word.startswith("--")]
    for text, answer in zip([texts[-1]] if len(answers) == 1 else texts, answers, strict=True):
        assert ("error" in answer) == (not text.strip())
        if "error" in answer:
            continue
        numeric = {name: np.array(answer[name]) for name in numeric_outputs(KINDS[task_of(command)]) if name in answer}
        assert parse_result(KINDS[task_of(command)], answer, numeric).tokens == answer["tokens"]
        for span in [*answer.get("entities", []), *answer.get("answers", []), *answer.get("slots", [])]:
            assert text[span["start"] : span["end"]] == span["text"]


def test_another_answer_is_noticed() -> None:
    (first, *_) = SHOWN[0][1]
    assert ANSWERS.close(first, json.loads(json.dumps(first)))
    assert not ANSWERS.close(first, {**first, "label": "another"})
    assert not ANSWERS.close(first, {**first, "score": first["score"] - 0.01})
    assert ANSWERS.objects(ANSWERS.pretty(first) * 2) == [first, first]
