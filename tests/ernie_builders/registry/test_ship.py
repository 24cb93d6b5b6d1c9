"""A saved checkpoint is as small as its dev metric allows, and its card describes the weights as stored."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import BASES, read_checkpoint
from ernie_builders.checkpoints.delta_files import PACKED
from ernie_builders.modeling.model import find_base_model
from ernie_builders.registry import ship
from ernie_builders.registry.ship import STEPS, TOLERANCE, WORD_TABLE, first_kept, untrained_rows

from ..places import Place


@pytest.fixture
def trained(place: Place, finished: Place) -> Place:
    """A build of which only the checkpoint is still to be saved."""
    shutil.copytree(finished.cache, place.cache)
    shutil.copytree(finished.output, place.output)
    return place


def card_of(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return card


def test_saved_and_published_again(
    trained: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From training's weights to a checkpoint of a few kB, and from that to a repository."""
    monkeypatch.setitem(BASES, str(trained.base_model), trained.base_model)
    before, saved = trained.figures("evaluate"), tmp_path / "saved"
    assert trained.build("--save-checkpoint", str(saved)) == 0
    output = capsys.readouterr().out
    line = re.search(
        r"checkpoint in .*, (0\.0\d) MB in steps of (\S+): dev accuracy (\S+) as stored, (\S+) before", output
    )
    assert line is not None
    assert sorted(p.name for p in (saved / "topics").iterdir()) == ["card.json", "config.json", "delta.json", PACKED]

    card = card_of(saved / "topics")
    weights, (evaluation,) = card["weights"], card["evaluations"]
    size = (saved / "topics" / PACKED).stat().st_size
    assert weights["base"]["name"] == str(trained.base_model)
    assert len(weights["base"]["sha256"]) == 64
    assert weights["bytes"] == size
    assert weights["bits_per_weight"] == round(8 * size / weights["values"], 2)
    assert card["before_storing"] == before["metrics"]
    assert (evaluation["split"], evaluation["rows"]) == ("dev", before["rows"])
    assert f"{weights['step']:g}" == line[2]
    assert f"{evaluation['metrics']['accuracy']:.2f}" == line[3]
    metric_kept = evaluation["metrics"]["accuracy"] >= before["metrics"]["accuracy"] - TOLERANCE
    assert metric_kept or weights["step"] == STEPS[-1]

    republished = Place(trained.tasks_file, trained.data_dir, trained.base_model, tmp_path / "again")
    assert republished.build("--checkpoint", f"topics={saved / 'topics'}") == 0
    assert republished.figures("evaluate")["metrics"] == evaluation["metrics"]


def test_rows_of_unused_words_of_a_random_encoder(place: Place, vocabulary: Path, tmp_path: Path) -> None:
    """No base ships for it, and rows that no text trained need no bits."""
    base = f"random:1x32x2:{vocabulary}"
    assert place.build("--base-model", base, "--set", "epochs=1", "--save-checkpoint", str(tmp_path / "saved")) == 0
    folder = tmp_path / "saved" / "topics"
    card = card_of(folder)
    assert card["weights"]["base"] is None
    float_table = read_checkpoint(best_of(place)).weights[WORD_TABLE]
    table = read_checkpoint(folder).weights[WORD_TABLE]
    entries = vocabulary.read_text(encoding="utf-8").splitlines()
    rows = (place.data_dir / "topics" / "train.json").read_text(encoding="utf-8").splitlines()
    texts = {"[CLS]", "[SEP]"}.union(*(json.loads(row)["sentence"] for row in rows))
    in_texts = np.array([entry in texts for entry in entries])
    trained_rows = ~untrained_rows(float_table, find_base_model(base).weights[WORD_TABLE])
    assert trained_rows.sum() > 100
    assert not trained_rows[~in_texts].any(), "rows changed by weight decay only do not count as trained"
    step = card["weights"]["step"]
    assert np.abs(table[trained_rows] - float_table[trained_rows]).max() <= step / 2 + 1e-6
    assert np.abs(table[~trained_rows]).max() <= step / 2
    assert np.abs(float_table[~trained_rows]).max() > step / 2, "or the line before says nothing"
    assert (folder / "vocab.txt").read_bytes() == vocabulary.read_bytes()


def best_of(place: Place) -> Path:
    """The float weights of the fine-tuning that trained, among those that stored weights went through."""
    for path in (place.cache / "topics" / "fine-tune").glob("*/done.json"):
        if json.loads(path.read_text(encoding="utf-8"))["figures"]["trained"]:
            return path.parent / "best"
    raise AssertionError("nothing was trained")


def test_untrained_rows() -> None:
    generator = np.random.default_rng(0)
    start = (0.02 * generator.standard_normal((6, 32))).astype(np.float32)
    start[5] = 0
    table = start.copy()
    for _ in range(500):
        table *= np.float32(1 - 1e-3 * 0.01)  # weight decay
    table[1] += 1e-4 * generator.standard_normal(32)
    table[2, 7] += 1e-3
    assert untrained_rows(table, start).tolist() == [True, False, False, True, True, True]


@pytest.mark.parametrize(
    ("trial", "full", "chosen"),
    [
        ("yyyy", "yyyy", 0),
        ("nyyy", "yyyy", 1),
        ("nyyy", "nnyy", 2),  # the rows of the trial were lucky
        ("ynyy", "nyyy", 2),
        ("nnnn", "yyyy", 3),
        ("yyyy", "nnnn", 3),
    ],
)
def test_the_largest_step_that_passes(trial: str, full: str, chosen: int) -> None:
    fully_measured = []

    def passes_on_all_rows(step: float) -> bool:
        fully_measured.append(step)
        return full[int(step)] == "y"

    assert first_kept((0, 1, 2, 3), lambda step: trial[int(step)] == "y", passes_on_all_rows) == chosen
    assert all(trial[int(step)] == "y" for step in fully_measured), "what fails the trial is not measured on all rows"


def test_the_smallest_step_where_none_keeps_the_metric(
    trained: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card says what storing cost."""
    monkeypatch.setattr(ship, "STEPS", (20.0, 10.0))
    assert trained.build("--save-checkpoint", str(tmp_path)) == 0
    card = card_of(tmp_path / "topics")
    assert card["weights"]["step"] == 10
    assert card["evaluations"][0]["metrics"]["accuracy"] < card["before_storing"]["accuracy"] - TOLERANCE


def test_a_folder_that_cannot_be_written_is_reported_before_the_work(
    trained: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert trained.build("--save-checkpoint", str(tmp_path / "file")) == 1
    captured = capsys.readouterr()
    assert f"{tmp_path / 'file' / 'topics'}: Not a directory" in captured.err
    assert "float32" not in captured.out, "tried before the work"
