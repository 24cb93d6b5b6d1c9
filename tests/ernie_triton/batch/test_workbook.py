"""`--input texts.xlsx` and `--output answers.xlsx`: a row for each row, whatever is in the cells."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from ernie_triton.batch import workbook_file


def test_a_bad_row_costs_that_row(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("工单")
    day = datetime.datetime(2024, 1, 5)
    cells = [
        ["编号", "内容", "日期"],
        [1, "a\nb", day],
        [],
        [2, None, day],
        [3, 1234567890123, None],
        [4, "x_y", "=1+1"],
    ]
    for row in cells:
        sheet.append(row)
    sheet["C6"].data_type = "s"  # a text that looks like a formula
    book.create_sheet("其他").append(["note"])
    book.save(tmp_path / "in.xlsx")
    paths = {"input": str(tmp_path / "in.xlsx"), "output": str(tmp_path / "out.xlsx")}
    monkeypatch.setattr(workbook_file, "CELL", 12)
    assert run(**paths) == 0
    said = capsys.readouterr().err
    assert "in.xlsx: sheet '工单' is read, '其他' not" in said and "3 answered, 1 bad" in said
    assert json.loads((tmp_path / "out.xlsx.bad").read_text(encoding="utf-8"))["line"] == 4
    header, *rows = openpyxl.load_workbook(tmp_path / "out.xlsx").active.values
    assert header[:4] == ("line", "编号", "内容", "日期")
    assert [row[:4] for row in rows] == [
        (2, "1", "a\nb", "2024-01-05"),
        (5, "3", "123456789012", None),
        (6, "4", "x_y", "=1+1"),
    ]
    assert openpyxl.load_workbook(tmp_path / "out.xlsx").active["D4"].data_type == "s"
    assert " cells cut to the 12 characters" in said
    assert run(**paths) == 0 and "is finished already" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbook_file, "ROWS", 2)
        assert run(**paths, overwrite=True) == 1
    assert "a sheet has 2 rows at most: give --output a .csv file" in capsys.readouterr().err
