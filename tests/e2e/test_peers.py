"""The comparison with other servers, on real ones: the classic ensemble, ours, and the bare engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ernie_builders import build_all
from ernie_perf.peers.__main__ import main
from ernie_perf.peers.base import ServerPeer, why_unfit
from ernie_perf.peers.servers import INFINITY, SENTENCE_TRANSFORMERS

from .conftest import topic_rows, write_base_model

pytestmark = pytest.mark.e2e
PEERS = ("classic", "served", "engine")
PYTORCH = (INFINITY, SENTENCE_TRANSFORMERS)
VECTOR = """
[tasks.vector]
kind = "embedding"
title = "Vectors of random weights"
options = { dimension = 32 }
examples = ["今天天气很好"]
limits = { max_length = 32, doc_stride = 20, max_chars = 2000 }
data = { format = "labelled_tsv", folder = "none" }
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.json"
    rows = [*topic_rows(80, seed=4), {"text": "球队" * 100, "label": "sport"}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_all_answer_alike_and_are_measured(
    repository: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--repository", str(repository), "--task", "topic", "--texts", str(texts), "--field", "text"]
    arguments += ["--concurrency", "8", "--rounds", "2", "--peers", ",".join(PEERS), "--output", str(tmp_path)]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "80 texts; 1 too long or empty, left out" in printed.err
    assert (tmp_path / "peers.md").read_text(encoding="utf-8") == printed.out
    report = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    assert {peer["name"]: len(peer["rounds"]) for peer in report["peers"]} == dict.fromkeys(PEERS, 2)
    assert all(f"| {name} | " in printed.out for name in PEERS)
    assert report["tokens"]["max"] <= 32 and report["texts"] == 80


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A repository with an embedding task, and the weights behind it."""
    root = tmp_path_factory.mktemp("vectors")
    write_base_model(root / "weights")
    (root / "tasks.toml").write_text(VECTOR, encoding="utf-8")
    arguments = ["--tasks-file", str(root / "tasks.toml"), "--cache", str(root / "build")]
    arguments += ["--checkpoint", f"vector={root / 'weights'}", "--output", str(root / "repository")]
    assert build_all.main(arguments) == 0
    return root / "repository", root / "weights"


@pytest.mark.slow
def test_vectors_are_compared_like_labels(
    vectors: tuple[Path, Path], texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With PyTorch's servers where they are installed; without, the report says what to install."""
    repository, weights = vectors
    arguments = ["--repository", str(repository), "--task", "vector", "--texts", str(texts), "--field", "text"]
    arguments += ["--concurrency", "8", "--rounds", "1", "--checkpoint", str(weights), "--output", str(tmp_path)]
    lacking = {spec.name: why_unfit(ServerPeer(spec), "embedding") for spec in PYTORCH}
    names = (*PEERS, "fastapi", *lacking)
    assert main([*arguments, "--peers", ",".join(names)]) == 0, capsys.readouterr()
    report = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))
    assert {peer["name"]: len(peer["rounds"]) for peer in report["peers"]} == {n: not lacking.get(n) for n in names}
    skipped = [peer["skipped"] for peer in report["peers"] if peer["skipped"]]
    assert all(reason.endswith("pip install '.[peers-embedding]'") for reason in skipped)
    assert report["case"]["width"] == 32 and report["case"]["normalize"] and report["case"]["pooling"] == "mean"


def test_other_weights_get_no_figures(
    vectors: tuple[Path, Path], texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check is real: other weights, the same shape."""
    if lack := why_unfit(ServerPeer(SENTENCE_TRANSFORMERS), "embedding"):
        pytest.skip(lack)
    write_base_model(tmp_path / "other", seed=1)
    arguments = ["--repository", str(vectors[0]), "--task", "vector", "--texts", str(texts), "--field", "text"]
    arguments += ["--rounds", "1", "--checkpoint", str(tmp_path / "other"), "--peers", "sentence-transformers"]
    assert main(arguments) == 1
    assert "sentence-transformers: refused, 80 of 80 answers differ: a vector that is off by" in capsys.readouterr().out
