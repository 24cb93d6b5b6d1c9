"""Files that a run does not touch: another run's output, another input, the input itself, what cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ernie_triton.batch import output_file
from ernie_triton.errors import FileError
from ernie_triton.tasks import Task

from ..echo import RAW, TASK, Echo, files

Run = Callable[..., int]


@pytest.mark.parametrize("cut", [False, True])
def test_another_input_is_refused_before_anything_is_written(
    tmp_path: Path, run: Run, expected: tuple[bytes, bytes], capsys: pytest.CaptureFixture[str], cut: bool
) -> None:
    run(Echo(20))
    if cut:  # the output's end is lost, so the proof lies behind the line to go on from
        path = tmp_path / "out.jsonl"
        path.write_bytes(path.read_bytes()[:200])
    before = files(tmp_path)
    (tmp_path / "in.jsonl").write_bytes(RAW.replace(b"text 2", b"TEXT 2", 1))
    assert run() == 1
    stderr = capsys.readouterr().err.splitlines()[-1]
    assert "is not the input that the output was begun with" in stderr and "goes on from there" not in stderr
    assert files(tmp_path) == before
    (tmp_path / "in.jsonl").write_bytes(RAW[:100])
    assert run() == 1
    assert files(tmp_path) == before
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run() == 0 and files(tmp_path) == expected


@pytest.mark.parametrize(
    ("task", "options", "why"),
    [
        (replace(TASK, name="other"), {}, "begun with task echo, this run has task other"),
        (replace(TASK, version=2), {}, "version 1, this run has version 2"),
        (replace(TASK, build="b2"), {}, "build b1, this run has build b2"),
        (TASK, {"variant": "int8"}, "variant fp32, this run has variant int8"),
        (TASK, {"given_format": "txt"}, "format jsonl, this run has format txt"),
        (TASK, {"fields": {"TEXT": "id"}}, "fields"),
        (TASK, {"numeric": True}, "numeric"),
    ],
)
def test_an_output_of_another_run_is_refused(
    tmp_path: Path,
    run: Run,
    expected: tuple[bytes, bytes],
    capsys: pytest.CaptureFixture[str],
    task: Task,
    options: dict[str, Any],
    why: str,
) -> None:
    run(Echo(20))
    before = files(tmp_path)
    capsys.readouterr()
    assert run(task=task, **options) == 1
    stderr = capsys.readouterr().err
    assert why in stderr and "--overwrite" in stderr and stderr.count("\n") == 1
    assert files(tmp_path) == before
    assert run(task=task, variant="fp32") == (0 if task == TASK else 1)  # the recommended one by its name


def test_a_file_that_is_not_ours_is_kept(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    (tmp_path / "out.jsonl").write_text("precious\n")
    assert run() == 1
    assert "out.jsonl exists, but out.jsonl.state, which describes it, does not: " in capsys.readouterr().err
    (tmp_path / "out.jsonl.state").write_text("[]")
    assert run() == 1
    assert "out.jsonl.state cannot be read" in capsys.readouterr().err
    assert (tmp_path / "out.jsonl").read_text() == "precious\n"


def test_two_runs_do_not_share_an_output(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    held = output_file.OutputFile(tmp_path / "out.jsonl", {})
    assert run() == 1
    assert "another run is writing" in capsys.readouterr().err
    held.close()
    assert run() == 0


@pytest.mark.parametrize("name", ["in.jsonl", "out.jsonl.bad", "out.jsonl.state", "out.jsonl.state.partial"])
def test_the_input_is_never_written_to(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).write_bytes(RAW)
    output = "in.jsonl" if name == "in.jsonl" else "out.jsonl"
    assert run(input=str(tmp_path / name), output=str(tmp_path / output), given_format="jsonl") == 1
    assert "is the input and would be written to" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_bytes() == RAW


def test_standard_output_is_not_appended_to_the_input(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be read on without end."""
    (tmp_path / "in.jsonl").write_bytes(RAW)
    with (tmp_path / "in.jsonl").open("a") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert run(output="-") == 1
    assert "in.jsonl is the input and would be written to" in capsys.readouterr().err
    assert (tmp_path / "in.jsonl").read_bytes() == RAW


@pytest.mark.parametrize("name", ["out.jsonl.bad", "out.jsonl.state", "out.jsonl.state.partial"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_path_that_blocks_the_output_is_named(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], name: str, overwrite: bool
) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    (tmp_path / name).mkdir()
    assert run(overwrite=overwrite) == 1
    stderr = capsys.readouterr().err
    assert f"{name.removesuffix('.partial')} cannot be written: Is a directory" in stderr and stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", name]


def test_files_that_cannot_be_used(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'"a"\n')
    (tmp_path / "in.tsv").write_bytes(b"id\tname\n")
    for options, why in (
        ({"input": str(tmp_path / "none.txt")}, "none.txt cannot be read: No such file"),
        ({"input": str(tmp_path), "given_format": "txt"}, "cannot be read: Is a directory"),
        ({"output": str(tmp_path / "no" / "out.jsonl")}, "out.jsonl cannot be written: No such file"),
        ({"output": str(tmp_path)}, "cannot be written: Is a directory"),
        ({"output": "."}, ". cannot be written: Is a directory"),
        ({"output": "/"}, "/ cannot be written: Is a directory"),
        ({"input": str(tmp_path / "in.tsv")}, "is no header"),
    ):
        assert run(**options) == 1
        stderr = capsys.readouterr().err
        assert why in stderr and stderr.count("\n") == 1
    assert not list(tmp_path.glob("out*"))
    (tmp_path / "in.xml").touch()
    (tmp_path / "in.docx").write_bytes(b"PK\x03\x04" + bytes(300))
    no_text = "in.docx: a zip archive or an Office document, no text: unpack it, or save what it holds as CSV UTF-8"
    with pytest.raises(FileError, match=no_text):
        run(input=str(tmp_path / "in.docx"))
    assert run(input=str(tmp_path / "in.docx"), given_format="xlsx") == 1
    assert "in.docx: no workbook that can be read" in capsys.readouterr().err
    assert run(input=str(tmp_path / "in.docx"), given_format="csv") == 1
    assert no_text in capsys.readouterr().err
    with pytest.raises(FileError, match=r"in\.xml: --format says what it holds"):
        run(input=str(tmp_path / "in.xml"))
    with pytest.raises(FileError, match=r"cannot be read: Is a directory"):
        run(input=str(tmp_path))
    with pytest.raises(FileError, match=r"cannot be read: No such file"):  # what it holds is not asked then
        run(input=str(tmp_path / "none.xml"))


def test_a_full_disk_is_one_line(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run(output="/dev/full") == 1
    assert "No space left on device" in capsys.readouterr().err
