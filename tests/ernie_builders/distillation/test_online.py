"""Task-agnostic distillation: several students in one pass, exact resuming, nothing lost on a full disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints.checkpoint import read_checkpoint, tokenizer_of
from ernie_builders.checkpoints.weight_formats import Weights
from ernie_builders.distillation import online
from ernie_builders.distillation.online import EncoderDistiller
from ernie_builders.distillation.student import make_student
from ernie_builders.filesystem import sha256_of
from ernie_builders.modeling.model import find_base_model
from ernie_builders.training.log import read_rows
from ernie_builders.training.loop import Loop

from ...ernie_runtime.sentencepiece_samples import LINES
from ..command_line import OneLine
from ..places import small_files
from ..sentencepiece_files import write_xlm_r
from ..tiny import assert_same_weights, largest_difference
from .conftest import Command

BOTH = ("--student", "1x16x2", "--student", "2x24x3")


def weights_in(folder: Path) -> Weights:
    return read_checkpoint(folder).weights


def without_clock(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log without times."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in log]


@pytest.mark.slow
def test_several_students_in_one_pass(
    distil_encoder: Command, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher sees each batch once; each student learns as if it were alone; both are base models."""
    batches_seen = []
    original_see = online.Teacher.see
    monkeypatch.setattr(online.Teacher, "see", lambda self, ids: batches_seen.append(1) or original_see(self, ids))
    assert distil_encoder(*BOTH) == 0
    folder = tmp_path / "encoders"
    assert len(batches_seen) == 40 + 3, "40 steps and three evaluations of one batch"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for name, shape in (("1x16x2", (1, 16, 2)), ("2x24x3", (2, 24, 3))):
        figures = card["students"][name]
        for loss in ("loss", "relation", "hidden"):
            assert figures["held_out"][loss] < 0.95 * figures["held_out_before"][loss], (name, loss)
        learnt = find_base_model(str(folder / name))
        config = learnt.config
        assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == shape
        assert not learnt.has_head
        assert learnt.tokenizer.fingerprint == sha256_of(encoder / "vocab.txt")
    training = [row["students"]["2x24x3"]["loss"] for row in read_rows(folder / "log.jsonl") if "students" in row]
    assert len(training) == 4 and training[-1] < training[0]
    assert sorted(path.name for path in tmp_path.iterdir() if "encoders" in path.name) == ["encoders"]

    for name in BOTH[1::2]:
        assert distil_encoder("--student", name, "--output", str(tmp_path / name)) == 0
        assert_same_weights(weights_in(tmp_path / name / name), weights_in(folder / name))
    start = make_student("1x16x2", read_checkpoint(encoder))
    assert largest_difference(start.weights, weights_in(folder / "1x16x2")) > 0, "something was learnt"


def test_a_sentencepiece_teacher_of_another_hidden_size(
    distil_encoder: Command, tmp_path: Path, one_line: OneLine
) -> None:
    """An XLM-R with subwords: narrower and wider students learn by projections; its tokenizer goes with them."""
    teacher, text = tmp_path / "xlm_r", tmp_path / "lines.txt"
    save_file(write_xlm_r(teacher, std=0.2), str(teacher / "model.safetensors"))
    text.write_text("\n".join(LINES * 60), encoding="utf-8")
    options = ("--teacher", str(teacher), "--text", str(text), "--characters", "0.5")
    assert distil_encoder(*options, "--student", "1x16x2", "--student", "1x48x2") == 0
    card = json.loads((tmp_path / "encoders" / "card.json").read_text(encoding="utf-8"))
    for name in ("1x16x2", "1x48x2"):
        figures = card["students"][name]
        assert figures["held_out"]["loss"] < 0.95 * figures["held_out_before"]["loss"], name
        student = read_checkpoint(tmp_path / "encoders" / name)
        assert student.tokenizer.fingerprint == tokenizer_of(teacher).fingerprint
        assert len(student.weights["ernie.embeddings.position_embeddings.weight"]) == 38
    message = "--student embedded: its vocabulary is not that of the teacher"
    one_line(distil_encoder(*options, "--student", "embedded"), message)


def test_an_interrupted_run_resumes_to_the_same_weights(
    distil_encoder: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between a save and the next, twice: the same weights and the same log as without."""
    assert distil_encoder(*BOTH) == 0
    resumed, step = tmp_path / "again", EncoderDistiller.train_step
    steps_done: list[int] = []

    def killed_at(number: int) -> None:
        def run(self: EncoderDistiller) -> None:
            if self.progress.step == number:
                raise KeyboardInterrupt
            steps_done.append(self.progress.step)
            step(self)

        monkeypatch.setattr(EncoderDistiller, "train_step", run)

    for number in (7, 27):
        killed_at(number)
        assert distil_encoder(*BOTH, "--output", str(resumed), "--save-seconds", "0") == 130
        with (tmp_path / "again.partial/result/log.jsonl").open("a") as log:
            log.write('{"step": 99}\n{"step": 2')
    killed_at(-1)
    assert distil_encoder(*BOTH, "--output", str(resumed)) == 0
    assert steps_done == list(range(40)), "no step is done twice"
    assert "resumed after step 27" in capsys.readouterr().out
    for name in BOTH[1::2]:
        assert_same_weights(weights_in(resumed / name), weights_in(tmp_path / "encoders" / name))
    assert without_clock(read_rows(resumed / "log.jsonl")) == without_clock(read_rows(tmp_path / "encoders/log.jsonl"))
    monkeypatch.setattr(EncoderDistiller, "run", lambda self: pytest.fail("done again"))
    assert distil_encoder(*BOTH) == 0
    assert "finished already" in capsys.readouterr().out


def test_the_last_good_state_survives_a_full_disk(
    distil_encoder: Command, tmp_path: Path, one_line: OneLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = ("--student", "1x24x2")
    assert distil_encoder(*student, "--output", str(tmp_path / "whole")) == 0
    state, save = tmp_path / "encoders.partial/result/state", Loop.save

    def fills(self: Loop) -> None:
        if self.work.progress.step < 40:
            save(self)
            return
        with small_files(20_000):
            save(self)

    monkeypatch.setattr(Loop, "save", fills)
    one_line(distil_encoder(*student), "cannot be saved, file too large", f"{state} is kept as it was")
    assert json.loads((state / "progress.json").read_text())["done"] == 20
    assert not (tmp_path / "encoders").exists()
    monkeypatch.setattr(Loop, "save", save)
    assert distil_encoder(*student) == 0
    assert_same_weights(weights_in(tmp_path / "encoders/1x24x2"), weights_in(tmp_path / "whole/1x24x2"))


def test_only_the_requested_losses_count(distil_encoder: Command, tmp_path: Path) -> None:
    """Without hidden states there are no projections; another teacher layer has other relations."""
    losses = []
    for number, options in enumerate(
        (["--hidden", "0"], ["--hidden", "0", "--teacher-layer", "1"], ["--relation", "0"])
    ):
        output = tmp_path / str(number)
        assert distil_encoder("--student", "1x16x2", "--steps", "1", "--output", str(output), *options) == 0
        losses.append(read_rows(output / "log.jsonl")[0]["held_out"]["1x16x2"])
    assert losses[0]["hidden"] == losses[1]["hidden"] == losses[2]["relation"] == 0
    assert losses[0]["relation"] != losses[1]["relation"]
    assert losses[0]["loss"] == losses[0]["relation"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--student", "1x16x3"], "--student 1x16x3: 3 heads do not divide 16 hidden units"),
        (["--student", "3x16x2"], "--student 3x16x2: 3 layers, the teacher has 2; take no more"),
        (["--student", "1x16x2", "--student", "1x16x2"], "--student 1x16x2: given twice"),
        (["--student", "1x16x2", "--relation-heads", "5"], "--relation-heads 5: does not divide"),
        (["--student", "1x16x2", "--teacher-layer", "3"], "--teacher-layer 3: the teacher has layers 1 to 2"),
        (["--student", "1x16x2", "--length", "65"], "--length 65: the teacher has 64 positions"),
        (["--student", "1x16x2", "--steps", "0"], "--steps 0: must be above 0"),
        (["--student", "1x16x2", "--warmup", "1"], "--warmup 1.0: must be at least 0 and below 1"),
        (["--student", "1x16x2", "--hidden", "0", "--relation", "0"], "not both 0"),
        (["--student", "1x16x2", "--text", "nowhere.txt"], "--text nowhere.txt: no such file"),
        (["--student", "1x16x2", "--teacher", "nowhere"], "nowhere"),
        (["--student", "1x16x2", "--learning-rate", "inf"], "--learning-rate inf: must be above 0"),
    ],
)
def test_faults(distil_encoder: Command, tmp_path: Path, one_line: OneLine, options: list[str], message: str) -> None:
    one_line(distil_encoder(*options), message)
    assert not (tmp_path / "encoders").exists()


def test_faulty_text(distil_encoder: Command, tmp_path: Path, one_line: OneLine) -> None:
    file = tmp_path / "x.txt"
    for content, message in (
        (b"", "holds no text"),
        (b"\xff\xff\xff\xff\n", "x.txt:1: byte 0 of the line (byte 0 of the file, 0xff) is not UTF-8"),
        (b"a\n", "--length"),
    ):
        file.write_bytes(content)
        one_line(distil_encoder("--student", "1x16x2", "--text", str(file)), message)


def test_folders_of_other_commands(distil_encoder: Command, tmp_path: Path, one_line: OneLine) -> None:
    student = ("--student", "1x16x2", "--steps", "2")
    (tmp_path / "encoders").mkdir()
    one_line(distil_encoder(*student), "is there already; remove it")
    (tmp_path / "encoders").rmdir()
    (tmp_path / "encoders.partial").mkdir()
    (tmp_path / "encoders.partial" / "mine").write_text("")
    one_line(distil_encoder(*student), "holds no run of this command")
    shutil.rmtree(tmp_path / "encoders.partial")
    assert distil_encoder(*student) == 0
    one_line(distil_encoder(*student, "--seed", "1"), "is the result of other settings")


def test_leftovers_of_a_run_with_another_recipe(
    distil_encoder: Command, one_line: OneLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(self: EncoderDistiller) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EncoderDistiller, "run", stop)
        assert distil_encoder("--student", "1x16x2") == 130
    capsys.readouterr()
    one_line(distil_encoder("--student", "1x16x2", "--steps", "41"), "a run with another recipe was interrupted there")


def test_a_loss_that_is_no_number(distil_encoder: Command, encoder: Path, tmp_path: Path, one_line: OneLine) -> None:
    broken = shutil.copytree(encoder, tmp_path / "broken")
    from safetensors.numpy import load_file, save_file

    weights = load_file(str(broken / "model.safetensors"))
    weights["embeddings.word_embeddings.weight"] = np.full_like(weights["embeddings.word_embeddings.weight"], np.inf)
    save_file(weights, str(broken / "model.safetensors"))
    one_line(distil_encoder("--student", "1x32x4", "--teacher", str(broken)), "the loss became nan at step 0")
