"""Pre-training learns, resumes exactly after a stop or a kill, and writes an encoder that builders accept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.pretraining_head import with_pretraining_head
from ernie_builders.modeling.model import find_base_model
from ernie_builders.pretraining.state import step_of
from ernie_builders.pretraining.trainer import Pretrainer
from ernie_builders.training import launch
from ernie_builders.training.state import find_state

from ..command_line import OneLine, one_object
from ..places import Place
from ..tiny import assert_same_weights, largest_difference
from .texts import Run

Make = Callable[..., Run]
PACE = ["--log-every", "8", "--eval-every", "20", "--save-every", "30"]


def test_text_is_learnt_and_the_encoder_is_a_base_model(
    text_run: Make, large_init: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--steps", "100", "--lengths", "32:0.8,64:0.2", *PACE, "--bits", "32", "--text", "made up"]
    run = text_run("run", *options, "--init", str(large_init))
    assert run("--licence", "none") == 0
    rows = run.log()
    losses = [row["held_loss"] for row in rows if "held_loss" in row]
    assert len(losses) == 5 and losses[0] > losses[2] > losses[-1]
    assert losses[-1] < rows[0]["loss"] - 1.5
    assert losses[-1] < 4.0, "no better than the frequencies of single characters, whose loss is 4.5"
    assert rows[-1]["held_accuracy"] > 2 * rows[0]["accuracy"]
    assert {row["length"] for row in rows} == {32, 64}
    assert "<svg" in (run.output / "log.svg").read_text(encoding="utf-8")

    base = with_pretraining_head(find_base_model(str(run.output / "encoder")))
    assert not read_checkpoint(run.output / "encoder").has_head
    assert base.weights["cls.predictions.transform.weight"].shape == (32, 32)
    card = json.loads((run.output / "encoder" / "card.json").read_text(encoding="utf-8"))
    assert (card["steps"], card["text"], card["licence"]) == (100, "made up", "none")
    assert card["held_loss"] == losses[-1] and card["tokens"] == rows[-1]["tokens"]
    assert str(run.output) not in json.dumps(card), "a path of this machine"
    assert "goes on" not in capsys.readouterr().out
    files = {path.name: path.read_bytes() for path in (run.output / "encoder").iterdir()}
    shutil.rmtree(run.output / "encoder")  # as where the disk was full just then
    assert run("--licence", "none", "--json") == 0  # finished: nothing is trained again
    printed = one_object(capsys)
    assert (printed["encoder"], printed["step"]) == (str(run.output / "encoder"), 100)
    assert run.log() == rows
    assert files == {path.name: path.read_bytes() for path in (run.output / "encoder").iterdir()}

    continued = text_run("again", "--steps", "5", "--lengths", "64", *PACE, "--init", str(run.output / "encoder"))
    assert continued("--eval-every", "1", "--learning-rate", "1e-9") == 0
    assert abs(continued.log()[0]["held_loss"] - losses[-1]) < 1e-3, "it does not start where the first run ended"
    (earlier_run,) = json.loads((continued.output / "encoder" / "card.json").read_text(encoding="utf-8"))["before"]
    assert (earlier_run["from"], earlier_run["steps"], earlier_run["tokens"]) == (card["from"], 100, card["tokens"])
    page = (continued.output / "encoder" / "README.md").read_text(encoding="utf-8")
    assert f"| before that | 1 run, {card['tokens']:,} tokens" in page


def test_a_task_is_fine_tuned_from_the_encoder(text_run: Make, place: Place) -> None:
    run = text_run("encoder", "--steps", "2", "--lengths", "32")
    assert run() == 0
    place = replace(place, base_model=run.output / "encoder")
    assert place.build("--until", "finetune", "--set", "epochs=1", "--set", "evals_per_epoch=1") == 0
    tuned = read_checkpoint(place.stage("fine-tune") / "best").weights
    start = read_checkpoint(run.output / "encoder").weights
    assert tuned.keys() > start.keys() and "classifier.weight" in tuned
    assert largest_difference({name: tuned[name] for name in start}, start) < 0.2, "it started from other weights"


@pytest.mark.parametrize("form", ["text", pytest.param("ids", marks=pytest.mark.slow)])
def test_a_run_in_pieces_equals_an_uninterrupted_run(form: str, text_run: Make, id_run: Make) -> None:
    make = text_run if form == "text" else id_run
    tasks = "sop,reorder,distance" if form == "text" else "nsp"
    options = ["--steps", "16", "--lengths", "32:0.5,64:0.5", "--dropout", "0.1", "--accumulate", "2", *PACE]
    whole, pieces = (make(name, *options, "--sentence-tasks", tasks) for name in ("whole", "pieces"))
    assert whole() == 0
    stops = []
    while not stops or stops[-1] < 16:
        assert pieces("--stop-after", "0.005") == 0
        state = find_state(pieces.output)
        assert state is not None
        stops.append(step_of(state))
    assert len(stops) > 1, "it was never stopped"
    assert pieces.log() == whole.log()
    assert whole.log()[0]["loss"] > whole.log()[-1]["held_loss"]
    assert any(name.endswith("_accuracy") for name in whole.log()[-1] if name not in ("accuracy", "held_accuracy"))
    assert_same_weights(pieces.encoder_weights(), whole.encoder_weights())


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_loss(text_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--steps", "30", "--lengths", "32", "--log-every", "4", "--eval-every", "30", "--save-every", "12"]
    whole, killed = (text_run(name, *options) for name in ("whole", "killed"))
    assert whole() == 0
    with start_slow_run(killed) as child:
        deadline = time.monotonic() + 240
        while (state := find_state(killed.output)) is None or step_of(state) < 12:
            assert child.poll() is None and time.monotonic() < deadline, child.communicate()
            time.sleep(0.01)
        child.kill()
        child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL
    capsys.readouterr()
    assert killed() == 0
    assert 12 <= int(capsys.readouterr().out.partition("goes on from step ")[2].split()[0]) < 30
    assert killed.log() == whole.log()
    assert_same_weights(killed.encoder_weights(), whole.encoder_weights())


def test_an_interrupted_run_says_what_it_has_saved(
    text_run: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = text_run("run", "--steps", "9", "--lengths", "32", "--save-every", "2")
    step = Pretrainer.train_step

    def interrupted_at(last: int) -> Callable[[Pretrainer], None]:
        def train_step(self: Pretrainer) -> None:
            if self.progress.step == last:
                raise KeyboardInterrupt
            step(self)

        return train_step

    for last, state in ((1, "nothing was saved yet"), (5, f"the state of step 4 is kept in {run.output}")):
        monkeypatch.setattr(Pretrainer, "train_step", interrupted_at(last))
        capsys.readouterr()
        assert run() == 130
        line = f"ernie-triton build pretrain: interrupted; {state}; the same command goes on from there"
        assert capsys.readouterr().err.strip() == line


def start_slow_run(run: Run) -> subprocess.Popen[str]:
    """Start the run in a process of its own, slow enough to be killed half way."""
    code = (
        "import sys, time\n"
        "from ernie_builders import pretrain\n"
        "from ernie_builders.pretraining import trainer\n"
        "step = trainer.Pretrainer.train_step\n"
        "trainer.Pretrainer.train_step = lambda self: (time.sleep(0.1), step(self))[1]\n"
        "sys.exit(pretrain.main(sys.argv[1:]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code, *run.arguments, "--output", str(run.output)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_two_processes_equal_one_with_accumulation(text_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """paddle.distributed.launch for real, on CPU."""
    options = ["--steps", "6", "--lengths", "32", "--bits", "32", *PACE, "--sentence-tasks", "sop"]
    parallel, accumulated = (
        text_run("two", *options, "--devices", "0,1"),
        text_run("one", *options, "--accumulate", "2"),
    )
    assert parallel() == 0, capsys.readouterr().err
    assert "on 2 devices" in capsys.readouterr().out
    assert accumulated() == 0
    parallel_weights, accumulated_weights = (
        read_checkpoint(run.output / "encoder").weights for run in (parallel, accumulated)
    )
    assert largest_difference(parallel_weights, accumulated_weights) <= 1e-5
    start = find_base_model(f"random:2x32x2:{parallel.arguments[3]}").weights
    assert largest_difference({n: parallel_weights[n] for n in start}, start) > 1e-3
    assert abs(parallel.log()[-1]["held_loss"] - accumulated.log()[-1]["held_loss"]) < 1e-3


def test_processes_that_fail(
    text_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: OneLine
) -> None:
    """Once killed from outside, after an earlier piece was saved, and once with a fault of their own."""
    run, script = text_run("run", "--steps", "2", "--lengths", "32"), tmp_path / "worker.py"
    assert run("--stop-after", "0") == 0
    monkeypatch.setattr(launch, "SCRIPT", script)
    script.write_text("import sys\nsys.exit(9)\n", encoding="utf-8")
    one_line(run("--devices", "0,1"), "pre-training on 2 devices failed (exit 9); the reason is in", "logs")
    write_fault = "import pathlib, sys\npathlib.Path(sys.argv[1]).with_name('fault.txt').write_text('it rains')\n"
    script.write_text(write_fault + "raise SystemExit(1)\n", encoding="utf-8")
    one_line(run("--devices", "0,1"), "ernie-triton build pretrain: it rains")


def test_the_vocabulary_is_cut_by_frequency_and_entries_keep_their_weights(
    text_run: Make, base_model: Path, vocabulary: Path, characters: list[str]
) -> None:
    run = text_run("run", "--steps", "2", "--lengths", "32", *PACE, "--vocab-size", "120", "--init", str(base_model))
    assert run("--learning-rate", "1e-12", "--bits", "32", "--weight-decay", "0") == 0
    encoder, base = read_checkpoint(run.output / "encoder"), read_checkpoint(base_model)
    entries = [encoder.tokenizer.token(id) for id in range(encoder.tokenizer.vocab_size)]
    assert len(entries) == 120 and entries[:5] == ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
    assert set(characters[:96]) < set(entries), "characters of the text were left out"
    all_entries = vocabulary.read_text(encoding="utf-8").splitlines()
    table = "ernie.embeddings.word_embeddings.weight"
    rows = [all_entries.index(entry) for entry in entries]
    np.testing.assert_allclose(encoder.weights[table], base.weights[table][rows], atol=1e-6)
