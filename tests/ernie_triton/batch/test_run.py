"""A file through a task, with a source that needs no server: order, bad lines, messages."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from ..echo import RAW, Echo, files

Run = Callable[..., int]


def test_answers_in_order_and_bad_lines_aside(tmp_path: Path, expected: tuple[bytes, bytes]) -> None:
    answers, bad_rows = ([json.loads(line) for line in part.splitlines()] for part in expected)
    numbers = [n + 1 for n in range(40) if n % 7 not in (3, 5) and n % 11 != 1]
    assert [row["line"] for row in answers] == numbers
    assert all(row["result"]["text"] == f"text {row['id']}" and row["id"] == row["line"] - 1 for row in answers)
    bad_numbers = [n + 1 for n in range(40) if n % 7 == 3 or (n % 11 == 1 and n % 7 != 5)]
    assert [row["line"] for row in bad_rows] == bad_numbers
    assert {row["reason"].split(":")[0] for row in bad_rows} == {"not UTF-8", "the text has only spaces"}


def test_bad_lines_are_counted_and_fail_a_strict_run(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run(strict=True) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    *lines, more, summary = captured.err.splitlines()
    assert (
        len(lines) == 5
        and lines[1] == "ernie-triton predict: line 4: not UTF-8: invalid start byte at byte 10 of the line"
    )
    assert more.endswith("out.jsonl.bad") and "26 answered, 9 bad" in summary and "5 empty" in summary
    assert run() == 0 and run(strict=True) == 1  # finished already; the bad lines stay


def test_an_empty_file_has_an_empty_output(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n\n")
    assert run() == 0
    assert files(tmp_path) == (b"", b"") and "0 answered, 0 bad, 2 empty" in capsys.readouterr().err


def test_numbers_are_written_where_asked_for(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n')
    run(numeric=True)
    assert files(tmp_path)[0] == b'{"line": 1, "result": {"text": "a"}, "SCORE": 0.5}\n'


def test_standard_input_and_output(
    tmp_path: Path,
    run: Run,
    expected: tuple[bytes, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for number in (1, 2):  # the second from a pipe that begins as the first, into a file that is there
        reader, writer = os.pipe()
        threading.Thread(target=lambda end=writer: (os.write(end, RAW), os.close(end))).start()
        with open(reader, encoding="utf-8") as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            output = "-" if number == 1 else str(tmp_path / "out.jsonl")
            if number == 2:
                run(Echo(20))
            assert run(input="-", output=output, given_format="jsonl") == 0
        if number == 1:
            captured = capfd.readouterr()
            assert captured.out.encode() == expected[0] and captured.err.count("ernie-triton predict: line ") == 9
            assert "standard input: 26 answered, 9 bad, 5 empty" in captured.err
    assert files(tmp_path) == expected


def test_the_memory_does_not_grow_with_the_file(tmp_path: Path, run: Run) -> None:
    peaks = []
    for lines in (200, 2_000):
        block = b'"' + b"x" * 400 + b'"\n{\n\n'
        (tmp_path / "in.jsonl").write_bytes(block * lines)
        tracemalloc.start()
        assert run(overwrite=True) == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


def test_a_prefix_is_put_before_texts_once(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n"q: b"\n')
    assert run(prefix="passage") == 0
    assert [json.loads(line)["result"]["text"] for line in files(tmp_path)[0].splitlines()] == ["p: a", "q: b"]
    assert run(prefix="query") == 1  # the same file cannot be resumed with another prefix
    assert "begun with prefix passage, this run has prefix query" in capsys.readouterr().err
