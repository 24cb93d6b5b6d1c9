"""--dry-run changes nothing, and the build then does what the plan says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..command_line import row
from ..places import Place

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "builders" / "build_all.py"
# Runs the command line where a file that is opened for writing, a new directory or a look at the network ends it.
STRICT = """
import os, sys
from ernie_builders import build_all
from ernie_builders.stages import data, evaluate, export, finetune, publish

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
NEVER = ("socket.connect", "socket.getaddrinfo", "os.mkdir", "os.rename", "os.remove", "shutil.rmtree", "tempfile.")

def watch(event, arguments):
    if event.startswith(NEVER) or (event == "open" and arguments[2] & WRITING):
        raise RuntimeError(f"a plan must not do this: {event} {arguments}")

sys.addaudithook(watch)
code = build_all.main(sys.argv[1:])
imported = [name for name in sys.modules if name.split(".")[0] in ("paddle", "paddlenlp", "paddle2onnx")]
sys.exit(f"imported: {imported}" if imported else code)
"""


def test_the_plan_matches_the_build(finished: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command line after its build: every stage is finished, and training took the steps of the plan."""
    before = sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*"))
    assert finished.build("--dry-run") == 0
    text = capsys.readouterr().out
    figures = finished.figures("fine-tune")
    assert row(text, "steps").startswith(f"{figures['batches']} of 16 rows")
    assert len(re.findall(r"(data|fine-tune|export|evaluate|publish) +finished: ", text)) == 5
    assert "too few rows to hold some out: the last checkpoint is kept" in text
    assert row(text, "output").endswith("version 2, after version 1")

    assert finished.build("--dry-run", "--set", "epochs=3") == 0
    text = capsys.readouterr().out
    assert re.search(r"data +finished: ", text) and re.search(r"fine-tune +runs$", text, re.M)
    assert re.search(r"publish +runs$", text, re.M)
    assert finished.build("--dry-run", "--until", "finetune") == 0
    assert "export" not in capsys.readouterr().out
    assert before == sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*"))


def test_a_stage_that_was_interrupted(finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(finished.cache, cache)
    (done,) = (cache / "topics" / "fine-tune").glob("*/done.json")
    done.parent.rename(done.parent.with_name(f"{done.parent.name}.partial"))
    assert finished.build("--dry-run", "--cache", str(cache)) == 0
    assert re.search(r"fine-tune +goes on$", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--preset", "published", "--base-model", "ernie-3.0-base-zh", "--profile", "full"], "give --data-dir\n"),
        (["--preset", "cola", "--base-model", "ernie-2.0-large-en"], ""),
        (["--tasks", "tnews,msra_ner"], ""),
        (["--preset", "all"], ""),
    ],
)
def test_nothing_is_downloaded_written_or_imported(arguments: list[str], fault: str, tmp_path: Path) -> None:
    packages = [ROOT / "builders", ROOT / "python_backends"]
    result = subprocess.run(
        [sys.executable, "-B", "-c", STRICT, "--dry-run", *arguments],
        env={"PYTHONPATH": ":".join(map(str, packages)), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stderr.count("\n")) == ((1, 1) if fault else (0, 0)), result.stderr
    assert result.stderr.endswith(fault)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe() -> None:
    """`| head`: no complaint."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--dry-run", "--preset", "all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline().startswith("PRESET")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.wait(60) == 0
