"""Faulty input and a full disk: one clear line, and the last good checkpoint stays."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ernie_builders.pretraining.state import step_of
from ernie_builders.training.state import STATE, find_state

from ..command_line import OneLine
from ..places import small_files
from ..tiny import assert_same_weights
from .texts import Run

Make = Callable[..., Run]
SHORT = ["--steps", "8", "--lengths", "32", "--eval-every", "4", "--save-every", "8"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lengths", "128:0.5"], "--lengths 128:0.5: the shares must be above 0 and sum to 1"),
        (["--lengths", "long"], "--lengths long: expected LENGTH:SHARE,..., such as 128:0.9,512:0.1"),
        (["--lengths", "4"], "--lengths 4: 4 tokens are too few"),
        (["--lengths", "1024"], "--batch-tokens 512: holds no sequence of 1024 tokens"),
        (["--lengths", "1024", "--batch-tokens", "4096"], "--lengths: 1024 tokens, but random:2x32x2:vocab has 512"),
        (["--steps", "0"], "--steps 0: must be above 0"),
        (["--mask-rate", "1.5"], "--mask-rate 1.5: must lie between 0 and 1"),
        (["--sentence-tasks", "nsp,order"], "--sentence-tasks order: expected some of nsp, sop, reorder, distance"),
        (["--amp", "bf16"], "--amp bf16: mixed precision needs --device gpu"),
        (["--device", "gpu"], "--device gpu: this PaddlePaddle is built for CPUs"),
        (["--devices", "0;1"], "--devices 0;1: expected numbers joined by commas"),
        (["--shape", "2x33x2"], "HIDDEN a multiple of HEADS"),
        (["--save-every", "0"], "--save-every 0: must be above 0"),
        (["--vocab", "nowhere.txt"], "--vocab nowhere.txt: no such file"),
        (["--vocab-size", "9999"], "--vocab-size 9999: the vocabulary has 400 entries; give fewer"),
        (["--data", "nowhere"], "--data nowhere: no such file or folder"),
        (["--format", "ids"], "--held-out: with --format ids, give a file with held-out sequences"),
        (["--init", "nowhere"], "--base-model nowhere: neither an encoder that ships"),
    ],
)
def test_faulty_options(text_run: Make, one_line: OneLine, options: list[str], message: str) -> None:
    run = text_run("run", *SHORT)
    one_line(run(*options), message)
    assert find_state(run.output) is None


def test_an_empty_corpus(text_run: Make, one_line: OneLine, tmp_path: Path) -> None:
    run, empty = text_run("run", *SHORT), tmp_path / "empty.txt"
    empty.write_text(" \n\n\u3000\n", encoding="utf-8")
    one_line(run("--data", str(empty)), "the corpus is empty; expected text, a paragraph a line")
    empty.write_text("\u200d\n", encoding="utf-8")
    one_line(run("--data", str(empty)), "the corpus holds no character that the vocabulary's tokenizer keeps")
    empty.write_text("一\n", encoding="utf-8")
    one_line(run("--data", str(empty)), "a single sentence gives nothing to hold out")
    (tmp_path / "folder").mkdir()
    one_line(run("--data", str(tmp_path / "folder")), "the folder has no .txt file")


def test_a_vocabulary_without_special_tokens(text_run: Make, one_line: OneLine, tmp_path: Path) -> None:
    vocabulary = tmp_path / "small.txt"
    vocabulary.write_text("[PAD]\n的\n一\n", encoding="utf-8")
    line = one_line(text_run("run", *SHORT)("--vocab", str(vocabulary)), "--vocab: ", str(vocabulary))
    assert "the vocabulary lacks [CLS], [SEP], [UNK], [MASK]" in line


def test_a_checkpoint_of_another_shape(
    text_run: Make, one_line: OneLine, base_model: Path, tmp_path: Path, vocabulary: Path
) -> None:
    run, broken = text_run("run", *SHORT), Path(shutil.copytree(base_model, tmp_path / "broken"))
    config = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    (broken / "config.json").write_text(json.dumps({**config, "intermediate_size": 96}), encoding="utf-8")
    one_line(run("--init", str(broken)), "linear1.bias is [64]", "say [96]: the checkpoint has another shape")
    (broken / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = load_file(str(broken / "model.safetensors"))
    missing = "encoder.layer.1.output.dense.weight"
    save_file({name: value for name, value in weights.items() if name != missing}, str(broken / "model.safetensors"))
    one_line(run("--init", str(broken)), "1 encoder weights are missing, the first is ernie.encoder.layers.1.linear2")
    longer_vocabulary = tmp_path / "other.txt"
    longer_vocabulary.write_text(vocabulary.read_text(encoding="utf-8") + "zzz\n", encoding="utf-8")
    line = one_line(run("--init", str(base_model), "--vocab", str(longer_vocabulary)))
    assert "lacks 1 of the 401 entries" in line and "'zzz'" in line


def test_a_run_with_other_settings_is_not_resumed(text_run: Make, one_line: OneLine, text_file: Path) -> None:
    run = text_run("run", *SHORT)
    assert run("--stop-after", "0") == 0
    one_line(run("--learning-rate", "2e-2"), "holds a run with other settings (learning_rate 0.01, here 0.02)")
    one_line(run("--seed", "3"), "holds a run with other settings (seed 0, here 3)")
    one_line(run("--segmenter", "none"), "holds a run with other settings (another text, vocabulary or start)")
    one_line(run("--shape", "1x32x2"), "holds a run with other settings (another text, vocabulary or start)")
    assert run("--log-every", "2") == 0


def test_a_loss_that_is_no_number(text_run: Make, one_line: OneLine, base_model: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(base_model, tmp_path / "broken"))
    weights = load_file(str(broken / "model.safetensors"))
    weights["embeddings.LayerNorm.bias"] = np.full(32, np.nan, np.float32)
    save_file(weights, str(broken / "model.safetensors"))
    run = text_run("run", *SHORT)
    one_line(run("--init", str(broken)), "the loss became nan at step 0: lower --learning-rate")


@pytest.mark.parametrize("limit", [20_000, 200_000], ids=["weights", "moments"])
def test_a_full_disk_keeps_the_last_checkpoint(text_run: Make, one_line: OneLine, tmp_path: Path, limit: int) -> None:
    """The kernel refuses to let a file grow, as it does on a full disk, at the second save."""
    run = text_run("run", *SHORT, "--bits", "32")
    assert run("--stop-after", "0") == 0
    state = run.output / STATE
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    saved_weights = run.encoder_weights()
    sizes = {path.name: path.stat().st_size for path in state.iterdir()}
    with small_files(limit):
        code = run()
    line = one_line(code, "cannot be saved, file too large: free some space and run the same command again")
    assert sorted(path.name for path in run.output.iterdir() if path.name.endswith(".new")) == []
    if limit < max(sizes.values()):
        assert f"{state} is kept as it was" in line
        assert {path.name: path.read_bytes() for path in state.iterdir()} == before
        assert step_of(state) == 1
    assert_same_weights(run.encoder_weights(), saved_weights)
    assert run() == 0
    assert step_of(state) == 8


def test_a_full_disk_at_the_start(text_run: Make, one_line: OneLine) -> None:
    run = text_run("run", *SHORT, "--start", "warm")
    for limit in (1_000, 30_000):  # the text as it was cut, word vectors
        with small_files(limit):
            code = run()
        one_line(code, "File too large")
    assert run("--stop-after", "0") == 0


def test_a_folder_that_cannot_be_written(text_run: Make, one_line: OneLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    run = Run(tmp_path / "file" / "run", text_run("run", *SHORT).arguments)
    one_line(run(), str(tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]
