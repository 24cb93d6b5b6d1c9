"""Resuming after any interruption: no text is sent twice, no line is lost or written twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ernie_triton.batch import output_file
from ernie_triton.errors import ServerUnavailable

from ..echo import TASK, Echo, files

Run = Callable[..., int]


@pytest.mark.parametrize("stop", range(1, 36))
@pytest.mark.parametrize("error", [ServerUnavailable, KeyboardInterrupt])
def test_a_run_resumes_after_any_text(
    tmp_path: Path,
    run: Run,
    expected: tuple[bytes, bytes],
    capsys: pytest.CaptureFixture[str],
    stop: int,
    error: type[BaseException],
) -> None:
    assert run(Echo(stop, error)) == (1 if error is ServerUnavailable else 130)
    stderr = capsys.readouterr().err.splitlines()[-1]
    assert ("the server is gone" if error is ServerUnavailable else "interrupted") in stderr
    assert stop == 1 or "the same command goes on from there" in stderr
    before = files(tmp_path)
    assert expected[0].startswith(before[0]) and expected[1].startswith(before[1])
    second = Echo()
    assert run(second) == 0
    assert files(tmp_path) == expected
    assert second.asked == 35 - (stop - 1)  # none is asked twice


def test_a_run_resumes_after_a_kill_at_any_byte(
    tmp_path: Path, run: Run, expected: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
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
                (tmp_path / "out.jsonl").write_bytes(expected[0][: len(answers) + torn])
                (tmp_path / "out.jsonl.bad").write_bytes(expected[1][: len(bad) + (5 if torn == 0 else 0)])
                (tmp_path / "out.jsonl.state").write_bytes(before)
                assert run() == 0
                assert files(tmp_path) == expected


def test_a_bad_line_that_is_ahead_of_the_answers_is_not_reported_twice(
    tmp_path: Path, run: Run, expected: tuple[bytes, bytes]
) -> None:
    """After a power failure the end of one file may be lost, and not that of the other."""
    assert run() == 0
    (tmp_path / "out.jsonl").write_bytes(expected[0][: expected[0].index(b'{"line": 21,')])
    assert run() == 0
    assert files(tmp_path) == expected


def test_a_finished_run_asks_nothing(
    tmp_path: Path, run: Run, expected: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    capsys.readouterr()  # what the first run told
    second_source = Echo()
    assert run(second_source) == 0
    assert second_source.asked == 0 and files(tmp_path) == expected
    stderr = capsys.readouterr().err
    assert "is finished already: 26 answered, 9 bad" in stderr and "5 empty" in stderr and stderr.count("\n") == 1


def test_a_file_of_bad_lines_alone_is_finished_too(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"{\n" * 9)
    second_source = Echo()
    assert run() == 1 and run(second_source) == 1  # nothing was answered
    assert second_source.asked == 0 and files(tmp_path)[1].count(b"\n") == 9


def test_lines_that_were_added_are_answered(tmp_path: Path, run: Run, expected: Any) -> None:
    run()
    with (tmp_path / "in.jsonl").open("ab") as file:
        file.write(b'"one more"\n')
    second_source = Echo()
    assert run(second_source) == 0
    assert second_source.asked == 1
    assert files(tmp_path)[0] == expected[0] + b'{"line": 41, "result": {"text": "one more"}}\n'


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_last_line_may_get_its_end(tmp_path: Path, run: Run, end: bytes) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n"b"')
    assert run() == 0
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n"b"' + end + b'"c"')
    second_source = Echo()
    assert run(second_source) == 0
    assert second_source.asked == 1
    assert [json.loads(line)["result"]["text"] for line in files(tmp_path)[0].splitlines()] == ["a", "b", "c"]


def test_a_last_line_that_grew_is_another(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Its answer would be one to the line as it was."""
    for form, before, after in (("txt", b"a\nb", b"a\nbc\n"), ("txt", b"a\nb", b"a\nb\r\r\n")):
        (tmp_path / "in.jsonl").write_bytes(before)
        assert run(given_format=form, overwrite=True) == 0
        (tmp_path / "in.jsonl").write_bytes(after)
        assert run(given_format=form) == 1
        assert "its first 2 lines differ" in capsys.readouterr().err


def test_overwrite_starts_again(tmp_path: Path, run: Run, expected: tuple[bytes, bytes]) -> None:
    run(task=replace(TASK, version=7))
    (tmp_path / "out.jsonl.bad").write_text("old\n")
    assert run(Echo(3), overwrite=True) == 1
    assert run() == 0  # goes on with the new run, not the old one
    assert files(tmp_path) == expected
