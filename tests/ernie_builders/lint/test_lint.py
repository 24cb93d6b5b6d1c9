"""A repository as the builder writes it has no findings; the report, and what is no repository."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.lint.repository import lint, main
from ernie_runtime.install import install_hint
from ernie_runtime.text.tokenization import ErnieTokenizer

from .breaks import AGAIN, ONNX, POST, graph, remove, tensor
from .toy_repository import make_manifest, onnx_bytes, publish


def test_a_published_repository_has_no_findings(lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(lint_root) == ([], [])
    assert main([str(lint_root)]) == 0
    assert capsys.readouterr().out == "findings: 0\n"


def test_several_versions_have_no_findings(lint_root: Path, embedded_tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    graph_bytes = onnx_bytes(3, False)
    second_version = replace(make_manifest("news", embedded_tokenizer, graph_bytes, version=2), title="again")
    publish(tmp_path / "second", second_version, embedded_tokenizer, graph_bytes)
    shutil.copytree(tmp_path / "second", lint_root, dirs_exist_ok=True)
    assert lint(lint_root) == ([], [])


def test_one_fault_is_one_finding(lint_root: Path) -> None:
    """Even where both ensembles have it."""
    tensor(POST, "input", "logits", dims=[2])(lint_root)
    tensors = [str(finding) for finding in lint(lint_root)[0] if "model_warmup" not in finding.problem]
    assert tensors == [f"{POST}: input logits has dims [2], news_encoder_fp32 gives [3]: {AGAIN}"]


def test_without_onnx_the_graphs_are_skipped(
    lint_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    graph(output="x0")(lint_root)
    assert main([str(lint_root)]) == 0
    skipped, count = capsys.readouterr().out.splitlines()
    assert skipped.startswith("skipped: ONNX graphs") and install_hint("build") in skipped
    assert count == "findings: 0"


def test_json(lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remove(ONNX)(lint_root)
    assert main([str(lint_root), "--json"]) == 1
    finding = {"file": ONNX, "problem": "missing, config.pbtxt names it", "fix": AGAIN}
    report = json.loads(capsys.readouterr().out)
    assert finding in report["findings"]
    assert report["skipped"] == []


def test_a_folder_that_is_no_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("nothing yet\n")
    for folder, reason in (
        (tmp_path, "no folder in it holds a config.pbtxt"),
        (tmp_path / "x", "no such folder"),
    ):
        assert main([str(folder)]) == 2
        assert reason in capsys.readouterr().err


def test_the_folder_has_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("ernie-triton lint: model_repository is no model repository: no such")
