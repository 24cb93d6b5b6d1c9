"""An unusable model is refused in one line, no later than the first stage that needs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.errors import CheckpointError
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import build_model, find_base_model, weights_of

from ..command_line import OneLine
from ..places import Place
from ..tiny import manifest_with, nameless


def with_weights(source: Path, target: Path, change: Callable[[dict[str, np.ndarray]], object]) -> Path:
    """A copy of a directory with other weights."""
    shutil.copytree(source, target)
    weights = dict(load_file(str(target / "model.safetensors")))
    change(weights)
    save_file(weights, str(target / "model.safetensors"))
    return target


@pytest.fixture
def fine_tuned(finished: Place, tmp_path: Path) -> Path:
    """A checkpoint with a head of three labels, which it does not name."""
    return nameless(finished.stage("fine-tune") / "best", tmp_path / "fine_tuned")


def test_labels_in_another_order_are_refused(place: Place, finished: Place, tmp_path: Path, one_line: OneLine) -> None:
    best = finished.stage("fine-tune") / "best"
    assert place.build("--checkpoint", f"topics={best}", "--until", "data") == 0
    folder = nameless(best, tmp_path / "turned", {"0": "b", "1": "a", "2": "c"})
    one_line(place.build("--checkpoint", f"topics={folder}"), "its labels are b, a, c", "must be these, in this order")


@pytest.mark.parametrize("name", ["ernie", "ernie-3.0-nano-zh"])
def test_base_model_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ernie_builders.modeling.model._download", lambda requested: f"PaddleNLP's {requested}")
    assert find_base_model(name) == f"PaddleNLP's {name}"


@pytest.mark.parametrize("name", ["resnet50", "no/such/folder"])
def test_unknown_base_model(name: str) -> None:
    with pytest.raises(CheckpointError, match="neither an encoder that ships"):
        find_base_model(name)


def test_a_base_model_that_cannot_be_downloaded(
    monkeypatch: pytest.MonkeyPatch, place: Place, one_line: OneLine
) -> None:
    from ernie_builders.modeling import model as models

    class Offline:
        @staticmethod
        def from_pretrained(name: str) -> None:
            raise RuntimeError(f"Can't load the model for {name}\nand a second line")

    class Transformers:
        ErnieModel = ErnieTokenizer = Offline

    monkeypatch.setattr(models, "import_paddlenlp", lambda: Transformers)
    one_line(
        place.build("--base-model", "ernie-3.0-nano-zh"),
        "--base-model ernie-3.0-nano-zh: PaddleNLP cannot download it here (Can't load the model",
        "give a local directory instead",
    )


def test_not_a_directory(place: Place, tmp_path: Path, one_line: OneLine) -> None:
    one_line(place.build("--checkpoint", f"topics={tmp_path / 'none'}"), "none: no such directory")
    file = tmp_path / "file"
    file.write_text("")
    one_line(place.build("--checkpoint", f"topics={file}"), "file: a file; give the directory it lies in")
    one_line(place.build("--base-model", str(file)), "file: a file; give the directory it lies in")
    empty = tmp_path / "empty"
    empty.mkdir()
    one_line(place.build("--base-model", str(empty)), "empty: no config.json")
    (empty / "config.json").write_text("{}")
    one_line(place.build("--base-model", str(empty)), "config.json: has no vocab_size")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("vocab.txt", None, "no vocab.txt"),
        ("vocab.txt", "a\nb\n", "vocab.txt: the vocabulary lacks [PAD]"),
        ("model.safetensors", None, "no weights; looked for"),
    ],
)
def test_a_missing_or_unusable_file(
    base_model: Path, place: Place, tmp_path: Path, one_line: OneLine, file: str, content: str | None, message: str
) -> None:
    shutil.copytree(base_model, tmp_path / "model")
    (tmp_path / "model" / file).unlink()
    if content is not None:
        (tmp_path / "model" / file).write_text(content)
    one_line(place.build("--base-model", str(tmp_path / "model")), str(tmp_path / "model"), message)


def test_missing_encoder_weights(base_model: Path, tmp_path: Path) -> None:
    folder = with_weights(base_model, tmp_path / "m", lambda w: w.pop("encoder.layer.1.attention.self.key.weight"))
    with pytest.raises(
        CheckpointError,
        match=r"1 encoder weights are missing, the first is ernie\.encoder\.layers\.1\.self_attn\.k_proj",
    ):
        build_model(get_builder_kind("sequence_classification"), read_checkpoint(folder), manifest_with(3))
    folder = with_weights(base_model, tmp_path / "t", lambda w: w.pop("embeddings.task_type_embeddings.weight"))
    with pytest.raises(CheckpointError, match=r"the first is ernie\.embeddings\.task_type_embeddings"):
        build_model(get_builder_kind("sequence_classification"), read_checkpoint(folder), manifest_with(3))


def test_another_shape(base_model: Path, tmp_path: Path) -> None:
    name = "embeddings.position_embeddings.weight"
    folder = with_weights(base_model, tmp_path / "m", lambda w: w.update({name: w[name][:50]}))
    with pytest.raises(CheckpointError, match=r"position_embeddings.weight is \[50, 32\], the task needs \[64, 32\]"):
        build_model(get_builder_kind("token_classification"), read_checkpoint(folder), manifest_with(3))


def test_the_seed_decides_the_weights_that_a_base_model_lacks(base_model: Path) -> None:
    kind, base = get_builder_kind("sequence_classification"), read_checkpoint(base_model)
    first, repeated, other_seed = (
        weights_of(build_model(kind, base, manifest_with(3), seed=seed)) for seed in (1, 1, 2)
    )
    for name, value in first.items():
        np.testing.assert_array_equal(value, repeated[name])
        if name in base.weights:
            np.testing.assert_array_equal(value, base.weights[name])
    assert not np.array_equal(first["classifier.weight"], other_seed["classifier.weight"])


def test_a_checkpoint_is_published_without_training(
    place: Place, fine_tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.build("--checkpoint", f"topics={fine_tuned}") == 0
    assert "checkpoint fine_tuned taken as it is" in capsys.readouterr().out
    assert (place.output / "topics" / "config.pbtxt").is_file()


def test_a_checkpoint_of_other_labels(place: Place, fine_tuned: Path, tmp_path: Path, one_line: OneLine) -> None:
    def more_labels(weights: dict[str, np.ndarray]) -> None:
        weights["classifier.weight"] = np.zeros((32, 5), np.float32)
        weights["classifier.bias"] = np.zeros(5, np.float32)

    folder = with_weights(fine_tuned, tmp_path / "five", more_labels)
    message = "its head has 5 outputs, tasks.topics has 3 labels: the number of labels differs"
    one_line(place.build("--checkpoint", f"topics={folder}"), str(folder), message)
    assert not place.output.exists()


def test_a_checkpoint_without_a_head(
    place: Place, base_model: Path, fine_tuned: Path, tmp_path: Path, one_line: OneLine
) -> None:
    one_line(place.build("--checkpoint", f"topics={base_model}"), "has no task head", "give it as --base-model")

    def masked_language_model(weights: dict[str, np.ndarray]) -> None:
        del weights["classifier.weight"], weights["classifier.bias"]
        weights["cls.predictions.bias"] = np.zeros(400, np.float32)

    folder = with_weights(fine_tuned, tmp_path / "mlm", masked_language_model)
    one_line(place.build("--checkpoint", f"topics={folder}"), f"{folder}: has no classifier.weight", "--base-model")
    folder = with_weights(fine_tuned, tmp_path / "pooler", lambda w: w.pop("ernie.pooler.dense.bias"))
    one_line(place.build("--checkpoint", f"topics={folder}"), f"{folder}: has no ernie.pooler.dense.bias")
    assert not place.output.exists()


def test_a_tagger_needs_no_pooler(place: Place, fine_tuned: Path, tmp_path: Path) -> None:
    """Hugging Face's token classifiers have none."""
    folder = with_weights(
        fine_tuned,
        tmp_path / "tagger",
        lambda w: [w.pop(f"ernie.pooler.dense.{part}") for part in ("weight", "bias")],
    )
    assert place.build("--checkpoint", f"names={folder}", task="names") == 0
