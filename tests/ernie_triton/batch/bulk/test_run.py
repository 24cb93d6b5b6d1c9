"""Many files into a folder: every line once, bad ones aside, resumed part by part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset
import pytest

from ernie_triton.errors import ServerUnavailable

from ...echo import Echo
from .conftest import contents

Run = Callable[..., int]


def test_every_line_of_every_file_is_answered_once(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    written = contents(tmp_path / "out")
    assert sorted(written) == [
        "a-00000.jsonl",
        *("a-00001.jsonl", "a-00001.jsonl.bad", "a-00002.jsonl", "a-00003.jsonl", "c-00000.jsonl"),
        *("d-00000.jsonl", "d-00000.jsonl.bad", "d-00001.jsonl", "more/b-00000.jsonl"),
    ]
    rows = {name: [json.loads(line) for line in content.splitlines()] for name, content in written.items()}
    answered = [row for name in sorted(rows) if name.startswith("a") and not name.endswith("bad") for row in rows[name]]
    assert [(row["line"], row["id"]) for row in answered] == [(i + 1 + 2 * (i > 4), i) for i in range(12)]
    assert all(row["result"] == {"text": f"a {row['id']}"} for row in answered)
    assert [row["line"] for row in rows["a-00001.jsonl.bad"]] == [6]
    assert [row["result"]["text"] for row in rows["c-00000.jsonl"]] == ["c\n0", "c 1"]
    assert [row["line"] for row in rows["d-00000.jsonl"]] == [1, 2, 4] and rows["d-00001.jsonl"][0]["line"] == 5
    assert rows["d-00000.jsonl.bad"][0]["reason"] == '"text" must be a string, not null'
    assert "4 files in 8 parts; 22 answered, 2 bad (PART.bad)" in capsys.readouterr().err


@pytest.mark.parametrize("stop", range(1, 25, 4))
@pytest.mark.parametrize("error", [ServerUnavailable, KeyboardInterrupt])
def test_a_run_resumes_after_any_text(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], stop: int, error: type[BaseException]
) -> None:
    assert run(output=str(tmp_path / "whole")) == 0
    assert run(Echo(stop, error)) == (1 if error is ServerUnavailable else 130)
    parts = {name: content for name, content in contents(tmp_path / "out").items() if not name.endswith(".bad")}
    whole = contents(tmp_path / "whole")
    assert parts.items() <= whole.items()  # what is there is there as a whole
    capsys.readouterr()
    second = Echo()
    assert run(second) == 0 and contents(tmp_path / "out") == whole
    assert second.asked == 24 - sum(len(content.splitlines()) for name, content in whole.items()
                                    if name.removesuffix(".bad") in parts)  # fmt: skip
    assert not parts or f"going on: {len(parts)} of 8 parts are there" in capsys.readouterr().err
    third = Echo()
    assert run(third) == 0 and third.asked == 0
    assert "is finished already: 4 files in 8 parts" in capsys.readouterr().err


def test_strict_sees_bad_lines_of_earlier_runs(run: Run) -> None:
    assert run() == 0 and run(strict=True) == 1


def test_other_settings_and_other_input_are_refused(
    tmp_path: Path, folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    before = contents(tmp_path / "out")
    assert run(numeric=True) == 1
    assert "was begun with numeric False, this run has numeric True" in capsys.readouterr().err
    assert run(lines=5) == 1
    assert "begun with part_lines 4" in capsys.readouterr().err
    with (folder / "c.csv").open("a") as file:
        file.write("2,c 2\n")
    assert run() == 1
    assert "c.csv has changed since the output was begun: give another --output" in capsys.readouterr().err
    (folder / "c.csv").unlink()
    assert run() == 1
    assert "c.csv is no longer among the input" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before
    assert run(overwrite=True) == 0 and "c-00000.jsonl" not in contents(tmp_path / "out")
    (tmp_path / "out" / "_run.json").unlink()
    assert run() == 1 and "has answers, but not _run.json" in capsys.readouterr().err


def test_a_new_file_is_answered_too(folder: Path, run: Run) -> None:
    run()
    (folder / "e.txt").write_text("e 0\n", encoding="utf-8")
    second = Echo()
    assert run(second) == 0 and second.asked == 1


def test_parts_of_parquet_are_one_data_set(tmp_path: Path, folder: Path, run: Run) -> None:
    assert run(input=f"file://{folder}/*.parquet", output=f"file://{tmp_path}/out", output_format=None, keep=True) == 0
    table = pyarrow.dataset.dataset(tmp_path / "out", exclude_invalid_files=True).to_table()
    assert table.column("id").to_pylist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_parts_may_be_tables(tmp_path: Path, run: Run, form: str) -> None:
    assert run(output_format=form) == 0
    rows = (tmp_path / "out" / f"a-00003.{form}").read_text("utf-8-sig").splitlines()
    mark = "," if form == "csv" else "\t"
    cells = [["line", "id", "input_text", "text"], ["13", "10", "a 10", "a 10"], ["14", "11", "a 11", "a 11"]]
    assert [row.split(mark) for row in rows] == cells


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input": "nowhere/*.jsonl"}, "nowhere/*.jsonl matches no file"),
        ({"input": "s4://bucket/a.jsonl"}, "s4://bucket/a.jsonl cannot be used"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], given: dict[str, str], message: str
) -> None:
    assert run(**given) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_names_must_tell_parts_apart(folder: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.txt").write_text("x\n", encoding="utf-8")
    assert run() == 1 and "two files of the input would be answered in a-00000" in capsys.readouterr().err
    (folder / "a.txt").rename(folder / "a.bin")
    assert run() == 1 and "a.bin: --format says what it holds" in capsys.readouterr().err
