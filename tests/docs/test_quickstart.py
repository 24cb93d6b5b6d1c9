"""The commands of docs/quickstart.md run, on small files and with a tiny encoder."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.config.tasks import ASSETS
from ernie_triton import cli

from ..ernie_builders.tiny import CONFIG, ENTRIES, random_hugging_face, write_hugging_face
from .test_pages import ROOT

CLASSES = ("退款", "物流", "发票")
LABELS = {str(index): label for index, label in enumerate(CLASSES)}


def write_inputs(folder: Path) -> Path:
    """The files that the page speaks of, and a base model; returns the base model."""
    with (folder / "tickets.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["内容", "类别"])
        writer.writerows([f"第{i}次要求{CLASSES[i % 3]}", CLASSES[i % 3]] for i in range(60))
    spans = [{"id": i, "text": f"王小明{i}在北京", "label": [[0, 3, "PER"], [6, 8, "LOC"]]} for i in range(10, 40)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in spans)
    (folder / "entities.jsonl").write_text(lines, encoding="utf-8")
    vocabulary = folder / "vocab.txt"
    entries = (ASSETS / "encoder" / "vocab.txt").read_text(encoding="utf-8").splitlines()[:ENTRIES]
    vocabulary.write_text("\n".join(entries) + "\n", encoding="utf-8")
    encoder = random_hugging_face(seed=1, std=0.05)
    base = write_hugging_face(folder / "base", encoder, CONFIG, vocabulary)
    config = {**CONFIG, "architectures": ["ErnieForSequenceClassification"], "id2label": LABELS}
    head = {"classifier.weight": np.eye(3, CONFIG["hidden_size"], dtype=np.float32)}
    tuned = {f"ernie.{name}": value for name, value in encoder.items()}
    tuned |= {**head, "classifier.bias": np.zeros(3, np.float32)}
    write_hugging_face(folder / "my_run" / "checkpoint-500", tuned, config, vocabulary)
    return base


def commands() -> list[str]:
    """The commands of the page that make something, in order."""
    text = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    return re.findall(r"^    (ernie-triton (?:init|build|publish) .*)$", text, re.MULTILINE)


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    base = write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert len(commands()) == 5
    for command in commands():
        words = shlex.split(command)[1:]
        if words[0] == "build":  # a tiny encoder in place of the one that ships
            words += ["--base-model", str(base), "--set", "epochs=1"]
        assert cli.main(words) == 0, f"{command}: {capfd.readouterr().err}"
    published = {path.name for path in (tmp_path / "model_repository").iterdir()}
    assert {"tickets", "entities", "my_run"} <= published
