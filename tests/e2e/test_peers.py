"""The comparison with other servers, on real ones: the classic ensemble, ours, and the bare engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perf.peers.__main__ import main

from .conftest import topic_rows

pytestmark = pytest.mark.e2e
PEERS = ("classic", "ensemble", "fused", "engine")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.json"
    rows = [*topic_rows(80, seed=4), {"text": "球队" * 100, "label": "sport"}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_all_answer_alike_and_are_measured(
    fused: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--repository", str(fused), "--task", "topic", "--texts", str(texts), "--field", "text"]
    arguments += ["--concurrency", "8", "--rounds", "2", "--peers", ",".join(PEERS), "--output", str(tmp_path)]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "80 texts; 1 too long or empty, left out" in shown.err
    assert (tmp_path / "peers.md").read_text(encoding="utf-8") == shown.out
    found = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    assert {peer["name"]: len(peer["rounds"]) for peer in found["peers"]} == dict.fromkeys(PEERS, 2)
    assert all(f"| {name} | " in shown.out for name in PEERS)
    assert found["tokens"]["max"] <= 32 and found["texts"] == 80


def test_what_is_not_published_is_skipped(repository: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--repository", str(repository), "--task", "topic", "--texts", str(texts), "--field", "text"]
    assert main([*arguments, "--concurrency", "1", "--rounds", "1", "--peers", "fused,engine"]) == 0
    assert "- fused: skipped, topic_fused is not published: build the task with --fused" in capsys.readouterr().out


def test_tasks_that_no_peer_serves(repository: Path, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repository", str(repository), "--task", "ner", "--texts", str(texts)]) == 1
    assert "task ner is token_classification; the peers here serve" in capsys.readouterr().err
