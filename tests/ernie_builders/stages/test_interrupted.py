"""A build that is interrupted or killed resumes to the same result."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.stages import finetune
from ernie_builders.training.trainer import Trainer

from ..places import Place
from ..tiny import assert_same_weights

SLOW_BUILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from ernie_builders import build_all
from ernie_builders.training import trainer as train
train.SAVE_SECONDS = 0
step = train.Trainer.train_on
train.Trainer.train_on = lambda *arguments: (time.sleep(0.05), step(*arguments))[1]
sys.exit(build_all.main(sys.argv[1:]))
"""


def wait_for_batch(place: Place, child: subprocess.Popen[str], batch: int) -> None:
    """Wait until the saved state of fine-tuning is at that batch or later."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for state in (place.cache / "topics" / "fine-tune").glob("*.partial/state/progress.json"):
            with contextlib.suppress(OSError, ValueError):
                if json.loads(state.read_text(encoding="utf-8"))["done"] >= batch:
                    return
        if child.poll() is not None:
            raise AssertionError(f"the build ended first: {child.communicate()}")
        time.sleep(0.01)
    raise AssertionError("no state was saved")


def start_slow_build(place: Place) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", SLOW_BUILD, *place.arguments("--until", "finetune")]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_an_interrupted_and_killed_build_resumes_to_the_same_result(
    place: Place, finished: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_slow_build(place) as child:
        wait_for_batch(place, child, 3)
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (
        errors.strip()
        == "ernie-triton build: interrupted; finished stages are kept, the same command goes on from here"
    )
    assert "Traceback" not in out

    with start_slow_build(place) as child:
        wait_for_batch(place, child, 11)
        child.kill()
        out, errors = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert "fine-tune: going on" in out
    assert "resumed after batch" in out

    assert place.build("--until", "finetune") == 0
    printed = capsys.readouterr().out
    assert "resumed after batch" in printed
    resumed_at = int(printed.partition("resumed after batch ")[2].split()[0])
    assert 11 <= resumed_at < 30

    def state(built: Place) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        figures = {name: value for name, value in built.figures("fine-tune").items() if name != "seconds"}
        progress = json.loads((built.stage("fine-tune") / "progress.json").read_text(encoding="utf-8"))
        return figures, progress["history"]

    assert state(place) == state(finished)
    assert place.stage("fine-tune").name == finished.stage("fine-tune").name
    ours, theirs = (read_checkpoint(p.stage("fine-tune") / "best").weights for p in (place, finished))
    assert_same_weights(ours, theirs)


def test_a_build_stopped_after_the_last_batch_does_not_train_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a kind learns after training (thresholds) takes time, and may fail on a full disk."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(finetune, "learn", interrupted)
        assert place.build("--until", "finetune", "--set", "epochs=0.2") == 130
    assert "batch 3:" in capsys.readouterr().out
    (partial,) = (place.cache / "topics" / "fine-tune").glob("*.partial")
    (partial / "state.done").mkdir()
    (partial / "state.done" / "model.pdparams").touch()  # of a clean-up that was killed
    monkeypatch.setattr(Trainer, "train_on", interrupted)
    assert place.build("--until", "finetune", "--set", "epochs=0.2") == 0
    assert "resumed after batch" in capsys.readouterr().out
    files = {path.name for path in place.stage("fine-tune").iterdir()}
    assert files == {"best", "progress.json", "done.json"}
