"""`--output answers.csv` and `.tsv`, and `--keep`: the columns of the input beside the answer's, also when resumed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ernie_triton.items import Item
from ernie_triton.replies import Reply
from ernie_triton.results import TextError

from ..echo import RAW, TASK, Echo

Run = Callable[..., int]
ROWS = b'label,text,note\r\nold,"a,\nb",1\r\nnew,"say ""x""",2\r\n,   ,3\r\n'


class Answers(Echo):
    """Each text has the same RESULT."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__()
        self.result = result

    def stream(
        self, task: str, texts: Iterable[Item], *, variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        for reply in super().stream(task, texts, variant=variant, batch_size=batch_size, numeric=numeric):
            yield replace(reply, raw=self.result) if isinstance(reply, Reply) else reply


def table(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_the_columns_of_the_input_and_of_the_answer(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in.csv").write_bytes(ROWS)
    result = {"label": "好", "score": 0.5, "top": [{"label": "好", "score": 0.5}], "truncated": False}
    paths = {"input": str(tmp_path / "in.csv"), "output": str(tmp_path / "out.csv")}
    assert run(Answers(result), numeric=True, **paths) == 0
    top = json.dumps(result["top"], ensure_ascii=False)
    assert table(tmp_path / "out.csv") == [
        ["line", "input_label", "text", "note", "label", "score", "top", "truncated", "SCORE"],
        ["2", "old", "a,\nb", "1", "好", "0.5", top, "false", "0.5"],
        ["4", "new", 'say "x"', "2", "好", "0.5", top, "false", "0.5"],
    ]
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert json.loads((tmp_path / "out.csv.bad").read_text())["line"] == 5
    assert not (tmp_path / "out.csv.lines").exists()


@pytest.mark.parametrize(
    ("result", "columns"),
    [
        ({"paths": [["灾害", "地震"], ["政治"]]}, {"paths": "灾害 > 地震; 政治"}),
        ({"answers": [{"text": "早上", "score": 0.9, "start": 1, "end": 3}]}, {"answer": "早上", "score": "0.9"}),
        ({"answers": []}, {"answer": "", "score": "", "answers": "[]"}),
    ],
)
def test_lists_for_people(tmp_path: Path, run: Run, result: dict[str, Any], columns: dict[str, str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a\\tb"\n')
    assert run(Answers(result), output=str(tmp_path / "out.tsv")) == 0
    header, row = table(tmp_path / "out.tsv", "\t")
    cells = dict(zip(header, row, strict=True))
    assert cells["text"] == "a\tb"
    assert {name: cells[name] for name in columns} == columns


def test_a_table_is_resumed_as_answers_are(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    whole, cut = str(tmp_path / "whole.csv"), str(tmp_path / "cut.csv")
    assert run(output=whole) == 0
    assert run(Echo(20), output=cut) == 1
    assert not Path(cut).exists()
    assert run(output=cut) == 0
    assert Path(cut).read_bytes() == Path(whole).read_bytes()
    assert len(table(Path(cut))) == 27
    again = Echo()
    assert run(again, output=cut) == 0 and again.asked == 0
    assert "is finished already" in capsys.readouterr().err
    with (tmp_path / "in.jsonl").open("ab") as file:
        file.write(b'"one more"\n')
    assert run(output=cut) == 1
    assert "is finished, and the input has more lines now" in capsys.readouterr().err
    assert Path(cut).read_bytes() == Path(whole).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "carried"),
    [
        ("in.jsonl", '{"id": 1, "text": "a"}', {"id": 1, "text": "a"}),
        ("in.jsonl", '"a"', {"text": "a"}),
        ("in.txt", "a", {"text": "a"}),
        ("in.csv", "id,Text\n1,a", {"id": "1", "Text": "a"}),
        ("in.csv", "a", {"text": "a"}),
    ],
)
def test_the_texts_are_kept_under_their_own_names(
    tmp_path: Path, run: Run, name: str, content: str, carried: dict[str, Any]
) -> None:
    (tmp_path / name).write_text(content + "\n")
    assert run(input=str(tmp_path / name), keep=True) == 0
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert {key: row[key] for key in row if key not in ("line", "result")} == carried


def test_kept_parts_and_lists(tmp_path: Path, run: Run) -> None:
    task = replace(TASK, inputs=("QUERY", "CANDIDATES"))
    (tmp_path / "in.jsonl").write_text('["q", ["a", "b"]]\n{"candidates": ["c"], "query": "r"}\n')
    assert run(Echo(served_task=task), task=task, keep=True) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["query"], row["candidates"]) for row in rows] == [("q", ["a", "b"]), ("r", ["c"])]


def test_what_is_kept_belongs_to_the_run(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n')
    assert run() == 0 and run(keep=True) == 1
    assert "begun with keep None, this run has keep True" in capsys.readouterr().err
