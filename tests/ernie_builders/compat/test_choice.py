"""The option --compat: the task that gets PaddleNLP's names; a fault is one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ernie_builders.compat.choice import choose
from ernie_builders.compat.paddlenlp import FORMS, MODELS
from ernie_builders.config.tasks import TaskConfig, load_tasks
from ernie_builders.errors import ConfigError

from ..command_line import OneLine
from ..places import Place

TASKS = load_tasks()
SEQCLS, TOKENCLS = FORMS["ernie_seqcls"], FORMS["ernie_tokencls"]


def tasks(*names: str) -> list[TaskConfig]:
    return [TASKS[name] for name in names]


def test_the_first_task_that_fits_gets_the_name() -> None:
    choice = choose("paddlenlp", tasks("event_hierarchy", "iflytek", "msra_ner", "tnews", "afqmc", "cmrc2018"))
    assert choice.lines() == [
        "ernie_seqcls is answered by iflytek",
        "ernie_tokencls is answered by msra_ner",
        "ernie_seqcls is also wanted by tnews, afqmc; to choose: --compat paddlenlp:ernie_seqcls=tnews",
        "PaddleNLP has no form for event_hierarchy (hierarchical_classification), cmrc2018 (question_answering)",
    ]
    assert choice.forms == {"iflytek": SEQCLS, "msra_ner": TOKENCLS}


def test_an_explicit_choice() -> None:
    choice = choose(
        "paddlenlp:ernie_seqcls=afqmc, ernie_tokencls=msra_ner", tasks("tnews", "afqmc", "msra_ner", "cmrc2018")
    )
    assert choice.forms == {"afqmc": SEQCLS, "msra_ner": TOKENCLS}
    assert choice.remarks == ()
    assert choose("paddlenlp:ernie_seqcls=tnews", tasks("tnews", "msra_ner")).forms == {"tnews": SEQCLS}
    assert choose("", tasks("tnews")).forms == {}


@pytest.mark.parametrize(
    ("option", "until", "expected"),
    [
        ("fastdeploy", "publish", "'fastdeploy' is unknown; give paddlenlp[:ENSEMBLE=TASK,...]"),
        ("paddlenlp:", "publish", "'' is not ENSEMBLE=TASK"),
        ("paddlenlp:tnews", "publish", "'tnews' is not ENSEMBLE=TASK"),
        ("paddlenlp:ernie_seqcls=", "publish", "'ernie_seqcls=' is not ENSEMBLE=TASK"),
        ("paddlenlp:seqcls=tnews", "publish", "'seqcls' is none of ernie_seqcls, ernie_tokencls"),
        ("paddlenlp:ernie_seqcls=poetry", "publish", "task 'poetry' is not among --tasks"),
        ("paddlenlp:ernie_seqcls=tnews,ernie_seqcls=afqmc", "publish", "ernie_seqcls is given twice"),
        (
            "paddlenlp:ernie_seqcls=msra_ner",
            "publish",
            "task msra_ner is token_classification, ernie_seqcls takes sequence_classification or pair_classification",
        ),
        ("paddlenlp", "export", "--until export stops before anything is published"),
    ],
)
def test_faults(option: str, until: str, expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        choose(option, tasks("tnews", "afqmc", "msra_ner"), until)
    message = str(raised.value)
    assert message.startswith(f"--compat {option}: ") and expected in message and "\n" not in message


def test_a_task_with_the_name_of_a_compat_model() -> None:
    for name in MODELS:
        with pytest.raises(ConfigError, match=f"task {name} has the name of a model that this makes; rename it"):
            choose("paddlenlp", [replace(TASKS["tnews"], name=name)])


def test_a_fault_is_one_line_before_anything_is_built(place: Place, one_line: OneLine) -> None:
    one_line(place.build("--compat", "paddlenlp:ernie_tokencls=topics"), "task topics is sequence_classification")
    assert not place.cache.exists()


def test_a_dry_run_tells_and_writes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.build("--dry-run", "--compat", "paddlenlp", task="topics,names") == 0
    text = capsys.readouterr().out
    assert text.endswith("\n\n[compat]\n  ernie_seqcls is answered by topics\n  ernie_tokencls is answered by names\n")
    assert not place.cache.exists() and not place.output.exists()
