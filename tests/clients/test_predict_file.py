"""A file through a task, with a source that needs no server: order, bad lines, and going on after any interruption."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_triton import output_file
from ernie_triton.errors import FileError, ServerUnavailable
from ernie_triton.flight import Reply
from ernie_triton.items import Item, encode_item
from ernie_triton.predict_file import FileRun
from ernie_triton.predict_plan import Plan
from ernie_triton.results import TextError
from ernie_triton.tasks import Task

TASK = Task("echo", "echo", "Echo", (), ("TEXT",), "fp32", ("fp32", "int8"), 1, build="b1")
AHEAD = 5  # texts that the source reads before it answers


class Echo:
    """Answers each text with itself, refuses the empty ones; fails or is interrupted at text number `stop`."""

    def __init__(self, stop: int | None = None, error: type[BaseException] = ServerUnavailable) -> None:
        self.stop, self.error, self.asked = stop, error, 0

    def task(self, name: str) -> Task:
        return TASK

    def stream(
        self, task: str, texts: Iterable[Item], *, variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        waiting: list[Item] = []
        source = iter(texts)
        while waiting or (text := next(source, None)) is not None:
            if not waiting:
                waiting = [text, *(more for _, more in zip(range(AHEAD - 1), source, strict=False))]
            for item in waiting:
                self.asked += 1
                if self.asked == self.stop:
                    raise self.error("the server is gone")
                row = encode_item(item, TASK.inputs)
                if isinstance(row, str) or not row[0].decode().strip():
                    yield TextError(0, row if isinstance(row, str) else "the text has only spaces")
                else:
                    yield Reply({"text": row[0].decode()}, {"SCORE": np.array([0.5], np.float32)} if numeric else {})
            waiting = []


Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `in.jsonl` -> `out.jsonl` of the test's folder."""

    def start(source: Echo | None = None, task: Task = TASK, **options: Any) -> int:
        given = {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "out.jsonl"), "batch_size": 4, **options}
        return FileRun(source or Echo(), task, Plan(**given)).run()

    return start


RAW = b"".join(
    b'{"text": "\xff"}\n' if n % 7 == 3 else b"\n" if n % 7 == 5 else b'"\\u3000"\r\n' if n % 11 == 1 else
    json.dumps({"id": n, "text": f"text {n}"}).encode() + b"\n"
    for n in range(40)
)  # fmt: skip


def files(folder: Path) -> tuple[bytes, bytes]:
    bad = folder / "out.jsonl.bad"
    return (folder / "out.jsonl").read_bytes(), bad.read_bytes() if bad.exists() else b""


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def whole(tmp_path: Path, run: Run) -> tuple[bytes, bytes]:
    """What an undisturbed run over RAW writes; the output is removed again."""
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run() == 0
    made = files(tmp_path)
    for path in tmp_path.glob("out*"):
        path.unlink()
    return made


def test_answers_in_order_and_bad_lines_aside(tmp_path: Path, whole: tuple[bytes, bytes]) -> None:
    answers, bad = ([json.loads(line) for line in part.splitlines()] for part in whole)
    numbers = [n + 1 for n in range(40) if n % 7 not in (3, 5) and n % 11 != 1]
    assert [one["line"] for one in answers] == numbers
    assert all(one["result"]["text"] == f"text {one['id']}" and one["id"] == one["line"] - 1 for one in answers)
    wrong = [n + 1 for n in range(40) if n % 7 == 3 or (n % 11 == 1 and n % 7 != 5)]
    assert [one["line"] for one in bad] == wrong
    assert {one["reason"].split(":")[0] for one in bad} == {"not UTF-8", "the text has only spaces"}


def test_the_count_of_bad_lines_is_told_and_strict_minds_it(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run(strict=True) == 1
    told = capsys.readouterr()
    assert told.out == ""
    *lines, more, summary = told.err.splitlines()
    assert (
        len(lines) == 5
        and lines[1] == "ernie-triton predict: line 4: not UTF-8: invalid start byte at byte 10 of the line"
    )
    assert more.endswith("out.jsonl.bad") and "26 answered, 9 bad" in summary and "5 empty" in summary
    assert run() == 0 and run(strict=True) == 1  # finished already; the bad lines stay


@pytest.mark.parametrize("stop", range(1, 36))
@pytest.mark.parametrize("error", [ServerUnavailable, KeyboardInterrupt])
def test_going_on_after_any_text(
    tmp_path: Path,
    run: Run,
    whole: tuple[bytes, bytes],
    capsys: pytest.CaptureFixture[str],
    stop: int,
    error: type[BaseException],
) -> None:
    assert run(Echo(stop, error)) == (1 if error is ServerUnavailable else 130)
    told = capsys.readouterr().err.splitlines()[-1]
    assert ("the server is gone" if error is ServerUnavailable else "interrupted") in told
    assert stop == 1 or "the same command goes on from there" in told
    before = files(tmp_path)
    assert whole[0].startswith(before[0]) and whole[1].startswith(before[1])
    second = Echo()
    assert run(second) == 0
    assert files(tmp_path) == whole
    assert second.asked == 35 - (stop - 1)  # none is asked twice


def test_a_kill_at_any_byte(
    tmp_path: Path, run: Run, whole: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torn lines, and a state that is older than they are."""
    states = []
    with monkeypatch.context() as patched:
        patched.setattr(output_file, "SAVE_EVERY", 0)
        for stop in range(2, 36, 3):
            run(Echo(stop), overwrite=True)
            states.append((*files(tmp_path), (tmp_path / "out.jsonl.state").read_bytes()))
    for number, (answers, bad, state) in enumerate(states):
        for torn in (0, 1, 30):
            for before in (state, states[number // 2][2]):
                (tmp_path / "out.jsonl").write_bytes(whole[0][: len(answers) + torn])
                (tmp_path / "out.jsonl.bad").write_bytes(whole[1][: len(bad) + (5 if torn == 0 else 0)])
                (tmp_path / "out.jsonl.state").write_bytes(before)
                assert run() == 0
                assert files(tmp_path) == whole


def test_a_bad_line_that_is_ahead_of_the_answers_is_not_reported_twice(
    tmp_path: Path, run: Run, whole: tuple[bytes, bytes]
) -> None:
    """After a power failure the end of one file may be lost, and not that of the other."""
    assert run() == 0
    (tmp_path / "out.jsonl").write_bytes(whole[0][: whole[0].index(b'{"line": 21,')])
    assert run() == 0
    assert files(tmp_path) == whole


def test_a_finished_run_asks_nothing(tmp_path: Path, run: Run, whole: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    capsys.readouterr()  # what the first run told
    again = Echo()
    assert run(again) == 0
    assert again.asked == 0 and files(tmp_path) == whole
    told = capsys.readouterr().err
    assert "is finished already: 26 answered, 9 bad" in told and "5 empty" in told and told.count("\n") == 1


def test_a_file_of_bad_lines_alone_is_finished_too(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"{\n" * 9)
    again = Echo()
    assert run() == 0 and run(again) == 0
    assert again.asked == 0 and files(tmp_path)[1].count(b"\n") == 9


def test_lines_that_were_added_are_answered(tmp_path: Path, run: Run, whole: Any) -> None:
    run()
    with (tmp_path / "in.jsonl").open("ab") as file:
        file.write(b'"one more"\n')
    again = Echo()
    assert run(again) == 0
    assert again.asked == 1
    assert files(tmp_path)[0] == whole[0] + b'{"line": 41, "result": {"text": "one more"}}\n'


@pytest.mark.parametrize("cut", [False, True])
def test_another_input_is_refused_before_anything_is_written(
    tmp_path: Path, run: Run, whole: tuple[bytes, bytes], capsys: pytest.CaptureFixture[str], cut: bool
) -> None:
    run(Echo(20))
    if cut:  # the output's end is lost, so the proof lies behind the line to go on from
        path = tmp_path / "out.jsonl"
        path.write_bytes(path.read_bytes()[:200])
    before = files(tmp_path)
    (tmp_path / "in.jsonl").write_bytes(RAW.replace(b"text 2", b"TEXT 2", 1))
    assert run() == 1
    assert "is not the input that the output was begun with" in capsys.readouterr().err
    assert files(tmp_path) == before
    (tmp_path / "in.jsonl").write_bytes(RAW[:100])
    assert run() == 1
    assert files(tmp_path) == before
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run() == 0 and files(tmp_path) == whole


@pytest.mark.parametrize(
    ("task", "options", "why"),
    [
        (replace(TASK, name="other"), {}, "begun with task echo, this run has task other"),
        (replace(TASK, version=2), {}, "version 1, this run has version 2"),
        (replace(TASK, build="b2"), {}, "build b1, this run has build b2"),
        (TASK, {"variant": "int8"}, "variant fp32, this run has variant int8"),
        (TASK, {"form": "txt"}, "format jsonl, this run has format txt"),
        (TASK, {"fields": {"TEXT": "id"}}, "fields"),
        (TASK, {"numeric": True}, "numeric"),
    ],
)
def test_an_output_of_another_run_is_refused(
    tmp_path: Path,
    run: Run,
    whole: tuple[bytes, bytes],
    capsys: pytest.CaptureFixture[str],
    task: Task,
    options: dict[str, Any],
    why: str,
) -> None:
    run(Echo(20))
    before = files(tmp_path)
    capsys.readouterr()
    assert run(task=task, **options) == 1
    told = capsys.readouterr().err
    assert why in told and "--overwrite" in told and told.count("\n") == 1
    assert files(tmp_path) == before
    assert run(task=task, variant="fp32") == (0 if task == TASK else 1)  # the recommended one by its name


def test_overwrite_starts_again(tmp_path: Path, run: Run, whole: tuple[bytes, bytes]) -> None:
    run(task=replace(TASK, version=7))
    (tmp_path / "out.jsonl.bad").write_text("old\n")
    assert run(Echo(3), overwrite=True) == 1
    assert run() == 0  # goes on with the new run, not the old one
    assert files(tmp_path) == whole


def test_a_file_that_is_not_ours_is_kept(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    (tmp_path / "out.jsonl").write_text("precious\n")
    assert run() == 1
    assert "out.jsonl is there, but not out.jsonl.state" in capsys.readouterr().err
    (tmp_path / "out.jsonl.state").write_text("[]")
    assert run() == 1
    assert "out.jsonl.state cannot be read" in capsys.readouterr().err
    assert (tmp_path / "out.jsonl").read_text() == "precious\n"


def test_two_runs_do_not_share_an_output(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    other = output_file.OutputFile(tmp_path / "out.jsonl", {})
    assert run() == 1
    assert "another run is writing" in capsys.readouterr().err
    other.close()
    assert run() == 0


@pytest.mark.parametrize("name", ["in.jsonl", "out.jsonl.bad", "out.jsonl.state"])
def test_the_input_is_never_written_to(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).write_bytes(RAW)
    output = "in.jsonl" if name == "in.jsonl" else "out.jsonl"
    assert run(input=str(tmp_path / name), output=str(tmp_path / output), form="jsonl") == 1
    assert "is the input and would be written to" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_bytes() == RAW


def test_files_that_cannot_be_used(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n')
    (tmp_path / "in.tsv").write_bytes(b"id\ttitle\n")
    for options, why in (
        ({"input": str(tmp_path / "none.txt")}, "none.txt cannot be read: No such file"),
        ({"input": str(tmp_path), "form": "txt"}, "cannot be read: Is a directory"),
        ({"output": str(tmp_path / "no" / "out.jsonl")}, "out.jsonl cannot be written: No such file"),
        ({"output": str(tmp_path)}, "cannot be written: Is a directory"),
        ({"input": str(tmp_path / "in.tsv")}, "is no header"),
    ):
        assert run(**options) == 1
        told = capsys.readouterr().err
        assert why in told and told.count("\n") == 1
    assert not list(tmp_path.glob("out*"))
    with pytest.raises(FileError, match=r"in\.csv: --format says what it holds"):
        run(input="in.csv")


def test_a_full_disk_is_told_in_a_line(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run(output="/dev/full") == 1
    assert "No space left on device" in capsys.readouterr().err


def test_standard_input_and_output(
    tmp_path: Path,
    run: Run,
    whole: tuple[bytes, bytes],
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
            assert run(input="-", output=output, form="jsonl") == 0
        if number == 1:
            told = capfd.readouterr()
            assert told.out.encode() == whole[0] and told.err.count("ernie-triton predict: line ") == 9
            assert "standard input: 26 answered, 9 bad, 5 empty" in told.err
    assert files(tmp_path) == whole


def test_an_empty_file_has_an_empty_output(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n\n")
    assert run() == 0
    assert files(tmp_path) == (b"", b"") and "0 answered, 0 bad, 2 empty" in capsys.readouterr().err


def test_numbers_are_written_where_asked_for(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n')
    run(numeric=True)
    assert files(tmp_path)[0] == b'{"line": 1, "result": {"text": "a"}, "SCORE": 0.5}\n'


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
