"""Stages' keys: those of hours of training do not depend on code, the others only on the rooms that they use."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import Checkpoint
from ernie_builders.checkpoints.encoder_config import parse_config
from ernie_builders.config.tasks import load_tasks
from ernie_builders.config.variants import parse_variant
from ernie_builders.stages import code, data, evaluate, export, finetune, publish
from ernie_builders.stages.context import Context
from ernie_builders.stages.stage import Finished, Stage
from ernie_builders.stages.variants import convert, measure, prune, qat
from ernie_runtime.text.tokenizer import SpecialTokens, TokenizedText, Tokenizer

from ..tiny import CONFIG

STAGES = {
    module.__name__: module.STAGE
    for module in (data, finetune, export, evaluate, publish, convert, measure, prune, qat)
}
BY_CODE = [name for name, stage in STAGES.items() if stage.uses]


class NoTokenizer(Tokenizer):
    """A vocabulary that is the same everywhere."""

    def __init__(self) -> None:
        names = SpecialTokens()
        fingerprint = hashlib.sha256(b"[PAD]\n[UNK]\n").hexdigest()
        super().__init__(tokens=names.names, special=names, fingerprint=fingerprint)

    def save(self, path: str | Path) -> None:
        raise NotImplementedError

    def __call__(self, texts: Sequence[str]) -> list[TokenizedText]:
        raise NotImplementedError


@pytest.fixture
def context(tmp_path: Path, tasks_file: Path) -> Context:
    """Of files and weights that are the same everywhere."""
    (tmp_path / "topics").mkdir()
    for split in ("train", "dev"):
        (tmp_path / "topics" / f"{split}.json").write_text("{}\n")
    weights = {"a": np.arange(6, dtype=np.float32)}
    return Context(
        task=load_tasks(tasks_file)["topics"],
        profile="full",
        source=Checkpoint(where="tiny", config=parse_config(CONFIG, ""), weights=weights, tokenizer=NoTokenizer()),
        ready=False,
        data_folder=tmp_path / "topics",
        data_split="dev",
        output=tmp_path / "models",
        cache=tmp_path / "cache",
    )


def key(stage: Stage[Any], context: Context, finished: Finished) -> str:
    return stage.output(context, finished).key


def test_keys_of_training_never_change(context: Context) -> None:
    """They change only together with a FORMAT, when a stage gives another result."""
    with_data = Finished().having(data.STAGE.output(context, Finished()))
    assert with_data.data.key == "95ea2953a3ed"
    with_training = with_data.having(finetune.STAGE.output(context, with_data))
    assert with_training.fine_tuned.key == "d61ad0b09423"
    narrow = replace(context, recipe=parse_variant("w0.5"))
    assert key(prune.STAGE, narrow, with_training) == "a78bb3cba73b"
    assert key(qat.STAGE, narrow, with_training) == "c77e4500db0a"
    train = replace(context.task.train, dropout=0.2)
    changed = replace(context, devices="0,1", seed=3, task=replace(context.task, train=train))
    assert key(finetune.STAGE, changed, with_data) == "14ce4eb78725"


def test_keys_of_a_ready_checkpoint_never_change(context: Context) -> None:
    ready = replace(context, ready=True)
    with_data = Finished().having(data.STAGE.output(ready, Finished()))
    assert with_data.data.key == "eee8aef80e63"
    assert key(finetune.STAGE, ready, with_data) == "0607da209e42"


def file_of(module: str) -> Path | None:
    """The source of a module or package of this project."""
    package, *inside = module.split(".")
    if package not in code.ROOTS:
        return None
    path = code.ROOTS[package].joinpath(*inside)
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def imported(module: str) -> Iterator[str]:
    """The modules that a module imports, in functions too."""
    path = file_of(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}" if file_of(f"{base}.{alias.name}") else base


def rooms_used(module: str) -> set[str]:
    """The rooms that a module imports, directly or through others."""
    visited: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in visited and file_of(name):
            visited.add(name)
            waiting += imported(name)
    return {".".join(name.split(".")[:2]) for name in visited if "." in name}


@pytest.mark.parametrize("module", BY_CODE)
def test_the_rooms_that_a_stage_imports_are_in_its_key(module: str) -> None:
    missing = rooms_used(module) - set(STAGES[module].uses) - set(code.NOT_HASHED)
    assert not missing, f"add them to what {module} uses, or stop importing them"
    for room in STAGES[module].uses:
        assert code.files_of(room), room


def test_stages_that_take_hours_have_a_format_instead() -> None:
    assert {module.rpartition(".")[2] for module in STAGES} - {module.rpartition(".")[2] for module in BY_CODE} == {
        "data",
        "finetune",
        "prune",
        "qat",
    }


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a file in every room."""
    for room in {*code.REPOSITORY, "ernie_builders.dry_run", "ernie_builders.registry", "ernie_builders.training"}:
        package, _, name = room.partition(".")
        folder = tmp_path / package / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    monkeypatch.setattr(code, "ROOTS", {name: tmp_path / name for name in code.ROOTS})
    code.code_key.cache_clear()
    yield tmp_path
    code.code_key.cache_clear()


@pytest.mark.parametrize(
    ("room", "changed"),
    [
        ("ernie_builders/dry_run", set()),
        ("ernie_builders/registry", set()),
        ("ernie_builders/training", set()),
        ("ernie_builders/repository", {"publish"}),
        ("ernie_builders/compression", {"publish", "convert", "measure"}),
        ("ernie_builders/kinds", {"publish", "convert", "measure", "export", "evaluate"}),
        ("ernie_runtime/text", {"publish", "convert", "measure", "export", "evaluate"}),
    ],
)
def test_a_comment_redoes_only_the_stages_that_use_its_room(roots: Path, room: str, changed: set[str]) -> None:
    before = {name: code.code_key(stage.uses) for name, stage in STAGES.items() if stage.uses}
    (roots / room / "__init__.py").write_text("# A comment.\n")
    code.code_key.cache_clear()
    after = {name: code.code_key(stage.uses) for name, stage in STAGES.items() if stage.uses}
    assert {name.rpartition(".")[2] for name in before if before[name] != after[name]} == changed
