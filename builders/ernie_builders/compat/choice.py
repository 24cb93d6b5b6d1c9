"""The option `--compat`: which task answers under which of the other project's names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..config.tasks import TaskConfig
from ..errors import ConfigError
from .paddlenlp import FORMS, MODELS, NAME, Form, form_of

USAGE = f"{NAME}[:ENSEMBLE=TASK,...]"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The ensembles to publish."""

    forms: Mapping[str, Form] = field(default_factory=dict)  # by task
    remarks: tuple[str, ...] = ()  # about tasks that get no ensemble

    def lines(self) -> list[str]:
        """The choice in words, one line each."""
        return [*(f"{form.ensemble} is answered by {task}" for task, form in self.forms.items()), *self.remarks]


def choose(option: str, tasks: Sequence[TaskConfig], until: str = "publish") -> Choice:
    """The ensembles that `--compat` asks for, each answered by one of the tasks.

    option: `paddlenlp` gives each ensemble to the first task that fits, `paddlenlp:ENSEMBLE=TASK,...` as it says.
    until: the last stage of the build. ConfigError if a name is unknown, given twice, or does not fit the task.
    """
    if not option:
        return Choice()
    name, colon, given = option.partition(":")
    if name != NAME:
        raise ConfigError(f"--compat {option}: {name!r} is unknown; give {USAGE}")
    if until != "publish":
        raise ConfigError(f"--compat {option}: --until {until} stops before anything is published; drop one of the two")
    for task in tasks:
        if task.name in MODELS:
            raise ConfigError(f"--compat {option}: task {task.name} has the name of a model that this makes; rename it")
    return _named(option, given, tasks) if colon else _first(tasks)


def _named(option: str, given: str, tasks: Sequence[TaskConfig]) -> Choice:
    by_name = {task.name: task for task in tasks}
    chosen: dict[str, TaskConfig] = {}
    for item in given.split(","):
        ensemble, sign, name = (part.strip() for part in item.partition("="))
        where = f"--compat {option}"
        if not sign or not name:
            raise ConfigError(f"{where}: {item!r} is not ENSEMBLE=TASK; give {USAGE}")
        if ensemble not in FORMS:
            raise ConfigError(f"{where}: {ensemble!r} is none of {', '.join(FORMS)}")
        if name not in by_name:
            raise ConfigError(f"{where}: task {name!r} is not among --tasks")
        if ensemble in chosen:
            raise ConfigError(f"{where}: {ensemble} is given twice; one task can have the name")
        if (kind := by_name[name].kind) not in FORMS[ensemble].kinds:
            raise ConfigError(f"{where}: task {name} is {kind}, {ensemble} takes {' or '.join(FORMS[ensemble].kinds)}")
        chosen[ensemble] = by_name[name]
    return Choice(forms={task.name: FORMS[ensemble] for ensemble, task in chosen.items()})


def _first(tasks: Sequence[TaskConfig]) -> Choice:
    wanted: dict[str, list[str]] = {}
    without_form = []
    for task in tasks:
        form = form_of(task.kind)
        if form is None:
            without_form.append(f"{task.name} ({task.kind})")
        else:
            wanted.setdefault(form.ensemble, []).append(task.name)
    remarks = [
        f"{ensemble} is also wanted by {', '.join(others)}; to choose: --compat {NAME}:{ensemble}={others[0]}"
        for ensemble, (_, *others) in wanted.items()
        if others
    ]
    remarks += [f"PaddleNLP has no form for {', '.join(without_form)}"] if without_form else []
    forms = {names[0]: FORMS[ensemble] for ensemble, names in wanted.items()}
    return Choice(forms=forms, remarks=tuple(remarks))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--compat` to a command line."""
    parser.add_argument(
        "--compat",
        default="",
        metavar=USAGE,
        help="also publish ensembles that PaddleNLP's Triton clients can call as they are: ernie_seqcls (a "
        "classification task, INPUT, or INPUT_0 and INPUT_1 for pairs) and ernie_tokencls (an entity task), version 1; "
        "the first task that fits gets the name",
    )
