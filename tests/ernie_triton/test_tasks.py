"""Tasks from the ensembles' manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ernie_triton import ServerError, Task, UnknownTask
from ernie_triton.formatting import task_lines
from ernie_triton.tasks import Ensemble, by_title, group_tasks, names_for

from .echo import TASK

EVALUATIONS = [
    {"split": "sample", "rows": 99, "metrics": {"accuracy": 60.0}, "by": "this build"},
    {"split": "dev", "rows": 10000, "metrics": {"accuracy": 56.5}, "by": "the card"},
]


def ensemble(name: str, variant: str, **changes: Any) -> Ensemble:
    manifest = {
        "task": "tnews",
        "kind": "sequence_classification",
        "title": "News",
        "version": 3,
        "labels": [{"id": "100", "name": "news_story"}, {"id": "101", "name": "news_culture"}],
        "variants": [{"name": "fp32", "evaluations": []}, {"name": "int8", "evaluations": EVALUATIONS}],
        "main_metric": "accuracy",
        "a field of the future": 1,
        **changes,
    }
    return Ensemble(name=name, inputs=("TEXT",), max_batch_size=256, manifest=json.dumps(manifest), variant=variant)


def served() -> Task:
    (task,) = group_tasks([ensemble("tnews", "int8"), ensemble("tnews_fp32", "fp32"), ensemble("tnews_int8", "int8")])
    return task


def test_a_task_and_its_variants() -> None:
    task = served()
    assert (task.name, task.kind, task.version, task.inputs) == (
        "tnews",
        "sequence_classification",
        3,
        ("TEXT",),
    )
    assert task.labels == ("news_story", "news_culture")
    assert (task.variant, task.variants) == ("int8", ("fp32", "int8"))
    assert (task.metrics, task.evaluated_on) == ({"accuracy": 56.5}, "dev, 10,000 rows")


def test_the_model_of_a_variant() -> None:
    task = served()
    assert [task.model(), task.model("int8"), task.model("fp32")] == ["tnews", "tnews", "tnews_fp32"]
    with pytest.raises(UnknownTask, match="task tnews has no variant 'int9'; it has fp32, int8; did you mean int8"):
        task.model("int9")


def test_a_variant_that_is_not_served_is_not_offered() -> None:
    (task,) = group_tasks([ensemble("tnews", "int8")])
    assert task.variants == ("int8",)


def test_a_task_whose_own_ensemble_is_not_ready_is_not_offered() -> None:
    assert group_tasks([ensemble("tnews_fp32", "fp32")]) == []


def test_an_unreadable_manifest_names_its_model() -> None:
    for text in ("{", "[]", "{}"):
        with pytest.raises(ServerError, match="model tnews cannot be read"):
            group_tasks([Ensemble(name="tnews", inputs=("TEXT",), max_batch_size=1, manifest=text, variant="fp32")])


def test_the_list_of_tasks() -> None:
    (bare,) = group_tasks([ensemble("b", "fp32", task="b", title="标题", labels=[])])
    header, first, second = task_lines([served(), bare])
    assert header.split() == ["task", "kind", "version", "variants", "quality", "title"]
    assert "fp32,int8*" in first and "accuracy 56.50 (dev, 10,000 rows)" in first
    assert "not measured" in second and second.endswith("标题")
    assert first.index("News") == second.index("标题") == header.index("title")


def test_whoever_asks_for_a_title_is_shown_titles() -> None:
    tasks = group_tasks([ensemble("task_1a", "fp32", task="task_1a", title="工单", labels=[])])
    assert names_for(tasks, "工但") == ["task_1a (工单)"] and names_for(tasks, "tsk") == ["task_1a"]


def test_a_task_by_its_title() -> None:
    tasks = [
        replace(TASK, name="a", title="工单分类"),
        replace(TASK, name="b", title="News"),
        replace(TASK, title="news "),
    ]
    assert by_title(tasks, "工单分类") == tasks[0]
    assert by_title(tasks, "NEWS") == tasks[1]
    assert by_title([*tasks, tasks[1]], "news") is None
    assert by_title(tasks, "a") is None
