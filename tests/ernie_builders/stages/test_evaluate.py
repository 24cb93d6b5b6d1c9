"""The evaluate stage: a test set of the task's own, and rows that were trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.config.tasks import DataConfig, load_tasks
from ernie_builders.errors import ConfigError

from ..command_line import OneLine
from ..places import Place, copied


def with_test(finished: Place, tmp_path: Path) -> Place:
    """The finished build, of a task that names test.json."""
    place = copied(finished, tmp_path / "place")
    tasks = tmp_path / "tasks.toml"
    text = finished.tasks_file.read_text(encoding="utf-8")
    tasks.write_text(text.replace('dev = "dev.json"', 'dev = "dev.json"\ntest = "test.json"'), encoding="utf-8")
    data = tmp_path / "data"
    (data / "topics").mkdir(parents=True)
    for split in ("train", "dev"):
        rows = (finished.data_dir / "topics" / f"{split}.json").read_bytes()
        (data / "topics" / f"{split}.json").write_bytes(rows)
    return replace(place, tasks_file=tasks, data_dir=data)


def test_a_test_set_is_evaluated_and_rows_of_training_are_counted(
    finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_line: OneLine
) -> None:
    place = with_test(finished, tmp_path)
    one_line(place.build("--until", "evaluate"), "test.json: no such file; [tasks.topics.data] test names it")
    train, dev = (
        [json.loads(line) for line in (place.data_dir / "topics" / f"{split}.json").read_text("utf-8").splitlines()]
        for split in ("train", "dev")
    )
    trained = {row["sentence"] for row in train}
    new = [row for row in dev if row["sentence"] not in trained]
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*train[:5], *new[:15]])
    (place.data_dir / "topics" / "test.json").write_text(rows, encoding="utf-8")
    assert place.build("--until", "evaluate") == 0
    printed = capsys.readouterr().out
    assert "fine-tune" in printed and "test accuracy" in printed and "20 rows, 5 of them training rows" in printed
    figures = max(
        (json.loads(path.read_text("utf-8"))["figures"] for path in place.cache.glob("topics/evaluate/*/done.json")),
        key=lambda figures: "test" in figures.get("transfer", {}),
    )
    assert figures["transfer"]["test"]["rows"] == 20
    assert figures["transfer"]["test"]["in_train"] == 5
    assert figures.get("in_train", 0) == sum(row["sentence"] in trained for row in dev)


def test_every_row_of_a_test_file_is_scored() -> None:
    data = DataConfig(
        format="nlpcc_slu", folder="slu", train="corpus.txt", test="test.txt", fields={"dev_percent": "9"}
    )
    test = data.test_set
    assert test is not None and (test.dev, test.train, test.fields) == ("test.txt", "", {})
    assert replace(data, test="").test_set is None


def test_no_transfer_set_is_called_test(finished: Place, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.toml"
    text = finished.tasks_file.read_text(encoding="utf-8")
    tasks.write_text(text + '\n[tasks.names.transfer.test]\nformat = "bio_columns"\nfolder = "x"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"transfer\.test: is what the task's own rows are called"):
        load_tasks(tasks)
