"""--compat: the models published under PaddleNLP's names, and lint's findings where they are broken."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.compat.paddlenlp import FORMS
from ernie_builders.compat.publish import publish
from ernie_builders.config.tasks import TaskConfig, load_tasks
from ernie_builders.errors import PublishError
from ernie_builders.lint.repository import lint
from ernie_builders.repository import model_config
from ernie_runtime.names import MANIFEST_PARAMETER
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_serve.problems import check_repository

from ..lint import toy_repository
from ..lint.breaks import Break, edit
from ..places import Place, change_times, contents

TASKS = load_tasks()
SEQCLS, TOKENCLS = FORMS["ernie_seqcls"], FORMS["ernie_tokencls"]
MODELS = ["ernie_seqcls", "ernie_seqcls_postprocess", "ernie_tokencls", "ernie_tokencls_postprocess"]


def test_a_build(finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished.cache, tmp_path / "cache")
    place = replace(finished, root=tmp_path)
    assert place.build("--compat", "paddlenlp") == 0
    assert "[topics] compat: version 1 of ernie_seqcls (INPUT -> label, confidence), answered by topics, in " in (
        capsys.readouterr().out
    )
    assert sorted(p.name for p in place.output.iterdir() if p.name.startswith("ernie_")) == MODELS[:2]
    assert lint(place.output) == ([], [])
    assert set(MODELS[:2]) <= set(check_repository(place.output))
    config = model_config.from_text((place.output / "ernie_seqcls/config.pbtxt").read_text(encoding="utf-8"))
    assert [(t.name, t.data_type, list(t.dims)) for t in (*config.input, *config.output)] == [
        ("INPUT", model_config.pb.TYPE_STRING, [1]),
        ("label", model_config.pb.TYPE_INT64, [1]),
        ("confidence", model_config.pb.TYPE_FP32, [1]),
    ]
    assert config.max_batch_size == 64
    assert MANIFEST_PARAMETER not in config.parameters, "a client would take it for a task"
    step = config.ensemble_scheduling.step[0]
    assert (step.model_name, step.model_version, dict(step.input_map)) == ("topics", -1, {"TEXT": "INPUT"})
    before, times = contents(place.output), change_times(place.output)
    assert place.build("--compat", "paddlenlp") == 0
    assert capsys.readouterr().out.count("(reused)") == 6, "five stages, and the ensemble"
    assert contents(place.output) == before
    assert change_times(place.output) == times


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, embedded_tokenizer: ErnieTokenizer) -> Path:
    """A repository of the tasks news, ner and same (pairs), with compat ensembles for the first two."""
    root = tmp_path_factory.mktemp("published") / "repository"
    for task, kind in (("news", ""), ("ner", ""), ("same", "pair_classification")):
        graph = toy_repository.onnx_bytes(3, task == "ner")
        manifest = toy_repository.make_manifest(task if not kind else "news", embedded_tokenizer, graph)
        manifest = replace(manifest, task=task, kind=kind or manifest.kind)
        toy_repository.publish(root, manifest, embedded_tokenizer, graph)
    publish(SEQCLS, task_named("news"), root)
    publish(TOKENCLS, task_named("ner"), root)
    return root


def task_named(task: str) -> TaskConfig:
    """A declared task of that name and of the kind it has in `published`."""
    return replace(TASKS[{"news": "tnews", "ner": "msra_ner", "same": "afqmc"}[task]], name=task)


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(published, tmp_path / "repository"))


def findings(root: Path) -> list[str]:
    """What lint says of the compat models."""
    return [str(finding) for finding in lint(root)[0] if finding.file.startswith("ernie_")]


def test_pairs_have_two_inputs_in_order(root: Path) -> None:
    line = publish(SEQCLS, task_named("same"), root)
    assert line.startswith("version 1 of ernie_seqcls (INPUT_0, INPUT_1 -> label, confidence), answered by same,")
    assert ", before by news, in " in line
    config = model_config.from_text((root / "ernie_seqcls/config.pbtxt").read_text(encoding="utf-8"))
    assert [tensor.name for tensor in config.input] == ["INPUT_0", "INPUT_1"]
    assert dict(config.ensemble_scheduling.step[0].input_map) == {"TEXT": "INPUT_0", "TEXT_PAIR": "INPUT_1"}
    assert json.loads((root / "ernie_seqcls/1/compat.json").read_bytes())["task"] == "same"
    assert [p.name for p in (root / "ernie_seqcls").iterdir() if p.name.isdigit()] == ["1"], "no history"
    assert findings(root) == []
    assert [p.name for p in root.parent.iterdir() if p.name.startswith(".")] == []


def test_a_model_that_compat_did_not_make_is_not_replaced(root: Path) -> None:
    shutil.rmtree(root / "ernie_seqcls")
    (root / "ernie_seqcls/1").mkdir(parents=True)
    (root / "ernie_seqcls/config.pbtxt").write_text("mine", encoding="utf-8")
    with pytest.raises(PublishError, match="ernie_seqcls: not made by --compat, so it is not replaced"):
        publish(SEQCLS, task_named("news"), root)
    assert (root / "ernie_seqcls/config.pbtxt").read_text(encoding="utf-8") == "mine"


def test_a_reader_never_sees_half_a_model(root: Path) -> None:
    files = [root / name / file for name in MODELS[:2] for file in ("config.pbtxt", "1/compat.json")]
    stop, faults, looks = threading.Event(), list[str](), [0]

    def look() -> None:
        while not stop.is_set():
            for file in files:
                if not file.is_file() and not file.is_file():  # the first may see a directory just replaced
                    faults.append(str(file))
            looks[0] += 1

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for i in range(40):
            publish(SEQCLS, task_named("same" if i % 2 else "news"), root)
    finally:
        stop.set()
        reader.join(20)
    assert faults == []
    assert looks[0] > 20


def lose_a_task(root: Path) -> None:
    for model in root.glob("news*"):
        shutil.rmtree(model)


def swap_inputs(root: Path) -> None:
    """Of a task with two."""
    publish(SEQCLS, task_named("same"), root)
    file = root / "ernie_seqcls/config.pbtxt"
    config = model_config.from_text(file.read_text(encoding="utf-8"))
    first, second = list(config.input)
    del config.input[:]
    config.input.extend([second, first])
    file.write_text(model_config.to_text(config), encoding="utf-8")


def change_the_kind(root: Path) -> None:
    """Of the task behind ernie_tokencls."""
    for file in root.glob("ner*/1/manifest.json"):
        edit(str(file.relative_to(root)), '"token_classification"', '"sequence_classification"')(root)


AGAIN = "publish news with --compat paddlenlp again"
BROKEN: dict[str, tuple[Break, str]] = {
    "version": (
        lambda root: (root / "ernie_seqcls/2").mkdir(),
        "ernie_seqcls: has versions [1, 2], its clients ask for 1: delete the others",
    ),
    "task": (
        lose_a_task,
        "ernie_seqcls/1/compat.json: task news is not in this repository: delete the folder, or publish the task",
    ),
    "input": (
        edit("ernie_seqcls/config.pbtxt", 'name: "INPUT"', 'name: "TEXT"'),
        f"ernie_seqcls/config.pbtxt: input INPUT is missing, PaddleNLP's client of ernie_seqcls asks for it: {AGAIN}",
    ),
    "dtype": (
        edit("ernie_seqcls/config.pbtxt", "TYPE_INT64", "TYPE_INT32"),
        f"ernie_seqcls/config.pbtxt: output label is INT32, PaddleNLP's client of ernie_seqcls asks for INT64: {AGAIN}",
    ),
    "batch": (
        edit("ernie_seqcls/config.pbtxt", "max_batch_size: 64", "max_batch_size: 8"),
        f"ernie_seqcls/config.pbtxt: max_batch_size is 8, --compat paddlenlp writes 64: {AGAIN}",
    ),
    "backend": (
        edit("ernie_seqcls_postprocess/config.pbtxt", "ernie_compat", "ernie_postprocess"),
        "ernie_seqcls_postprocess/config.pbtxt: backend is 'ernie_postprocess', --compat paddlenlp writes "
        f"'ernie_compat': {AGAIN}",
    ),
    "form": (
        edit("ernie_seqcls_postprocess/config.pbtxt", 'string_value: "ernie_seqcls"', 'string_value: "x"'),
        f"ernie_seqcls_postprocess/config.pbtxt: parameter form is 'x', not 'ernie_seqcls': {AGAIN}",
    ),
    "step": (
        edit("ernie_seqcls/config.pbtxt", 'model_name: "news"', 'model_name: "news_fp32"'),
        "ernie_seqcls/config.pbtxt: its steps are news_fp32, ernie_seqcls_postprocess, not news, "
        f"ernie_seqcls_postprocess as compat.json says: {AGAIN}",
    ),
    "unreadable": (
        edit("ernie_seqcls/config.pbtxt", "platform", "plateform"),
        "ernie_seqcls/config.pbtxt: line 3: no ModelConfig",
    ),
    "origin": (
        edit("ernie_seqcls/1/compat.json", '"ernie_seqcls"', '"ernie_tokencls"'),
        "ernie_seqcls/1/compat.json: no form of paddlenlp has the model ernie_seqcls: delete the folder",
    ),
    "order": (
        swap_inputs,
        "ernie_seqcls/config.pbtxt: inputs are not in the order INPUT_0, INPUT_1, by which clients fill them: "
        "publish same with --compat paddlenlp again",
    ),
    "kind": (
        change_the_kind,
        "ernie_tokencls/1/compat.json: task ner is sequence_classification, it takes token_classification: "
        "delete the folder, or build another task with --compat paddlenlp",
    ),
    "no origin": (
        lambda root: (root / "ernie_seqcls/1/compat.json").unlink(),
        "ernie_seqcls: belongs to no task here: delete the folder, or publish its task",
    ),
}


def test_what_is_published_has_no_findings(root: Path) -> None:
    assert findings(root) == []


@pytest.mark.parametrize("name", BROKEN)
def test_lint_reports_what_is_broken(root: Path, name: str) -> None:
    change, expected = BROKEN[name]
    change(root)
    assert any(line.startswith(expected) for line in findings(root)), findings(root)
