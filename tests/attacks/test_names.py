"""Hostile tasks files, names and manifests: one line of refusal, nothing read or written elsewhere, no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders import build_all
from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import ConfigError
from ernie_runtime.errors import ManifestError
from ernie_runtime.manifest import Manifest

TASK = 'kind = "sequence_classification"\nlabels = ["a", "b"]\n[tasks.{0}.data]\nformat = "table"\nfolder = "x"\n'


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../evil",
            "a/b",
            "a.b",
            "/etc/cron.d/evil",
            "..",
            ".",
            "",
            " ",
            "a b",
            "a\\nb",
            "a\\u0000b",
            "\\u001b[2J",
            "-rf",
            "$(id)",
        ),
        *("%s", "{0}", "`id`", "a;b", "\\u202eksat", "\\uFF0E\\uFF0E\\uFF0Fevil"),
    ],
)
def test_names_that_are_more_than_names(tmp_path: Path, name: str) -> None:
    quoted = f'"{name}"'
    (tmp_path / "tasks.toml").write_text(f"[tasks.{quoted}]\n" + TASK.format(quoted), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_tasks(tmp_path / "tasks.toml")
    assert "\n" not in str(refused.value)


FILES = {
    "nested arrays": "a = " + "[" * 50_000,
    "nested tables": "a = " + "{a=" * 50_000,
    "a dotted key": ".".join(["a"] * 5_000) + " = 1",
    "a number of digits": "a = " + "9" * 10_000,
    "no utf-8": b"a = '\xff'",
    "zeros": b"\0" * 1000,
    "a table twice": "[tasks.a]\n[tasks.a]\n",
    "tasks that are none": "tasks = 5",
    "tasks in a list": "[[tasks]]\n",
    "a task that is none": "[tasks]\na = [1]\n",
    "labels of another file": '[tasks.a]\nkind = "sequence_classification"\nlabels = "/etc/passwd"\n',
    "labels above": '[tasks.a]\nkind = "sequence_classification"\nlabels = "../../etc/passwd"\n',
    "a reader of another module": "[tasks.a]\n" + TASK.format("a").replace('"table"', '"..errors"'),
    "a kind of another module": "[tasks.a]\n" + TASK.format("a").replace("sequence_classification", "../_layers"),
    "negative lengths": "[tasks.a]\n" + TASK.format("a") + "[tasks.a.limits]\nmax_length = -1\n",
    "a name of a model": "[tasks.a]\n" + TASK.format("a") + "[tasks.a_tokenizer]\n" + TASK.format("a_tokenizer"),
}


@pytest.mark.parametrize("name", FILES)
def test_tasks_files(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = FILES[name]
    path = tmp_path / "tasks.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    words = ["--tasks-file", str(path), "--dry-run", "--cache", str(tmp_path / "c"), "--output", str(tmp_path / "o")]
    assert build_all.main(words) in (1, 2)
    output = capsys.readouterr()
    assert "Traceback" not in output.err and "root:" not in output.err + output.out
    assert not (tmp_path / "o").exists()


def manifest(**changes: Any) -> str:
    good: dict[str, Any] = {
        "task": "a",
        "kind": "sequence_classification",
        "title": "A",
        "version": 1,
        "labels": [{"id": "a", "name": "a"}, {"id": "b", "name": "b"}],
        "limits": {"max_length": 16, "doc_stride": 8},
        "vocabulary_size": 10,
        "vocabulary_sha256": "0",
        "variants": [],
        "recommended": "fp32",
        "main_metric": "accuracy",
        "schema": 1,
    }
    return json.dumps({**good, **changes})


MANIFESTS = {
    "nested": "[" * 100_000,
    "objects": '{"a":' * 100_000,
    "no object": "[]",
    "digits": '{"schema": ' + "9" * 10_000 + "}",
    "another schema": manifest(schema=[1]),
    "labels of numbers": manifest(labels=[1, 2]),
    "labels that are none": manifest(labels=5),
    "labels with more": manifest(labels=[{"id": "a", "name": "b", "run": "c"}]),
    "labels that cannot be compared": manifest(labels=[{"id": [], "name": {}}]),
    "limits": manifest(limits={"max_length": "16; rm", "doc_stride": 1e999}),
    "variants of texts": manifest(variants=["fp32"]),
    "a field more": manifest(__class__="x"),
    "no variants": manifest(),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests(name: str) -> None:
    with pytest.raises(ManifestError) as refused:
        Manifest.from_json(MANIFESTS[name])
    assert len(str(refused.value)) < 2_000
