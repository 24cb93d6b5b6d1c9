"""From a fine-tuned checkpoint to a repository, without a tasks file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ernie_builders.errors import BuildError
from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.start import publish
from ernie_builders.start.checkpoints import describe

from ..command_line import OneLine
from ..tiny import CONFIG

LABELS = {0: "north", 1: "south", 2: "west"}


@pytest.fixture
def trainer_folder(tmp_path: Path, vocabulary: Path) -> Path:
    """What PaddleNLP's Trainer leaves: checkpoint-N folders, each written by PaddleNLP's own class."""
    import_paddle("cpu")
    transformers = import_paddlenlp()
    config = transformers.ErnieConfig(**{**CONFIG, "num_labels": 3, "id2label": LABELS})
    model = transformers.ErnieForSequenceClassification(config)
    for step in (90, 500):
        folder = tmp_path / "my run" / f"checkpoint-{step}"
        model.save_pretrained(str(folder))
        (folder / "vocab.txt").write_bytes(vocabulary.read_bytes())
    return tmp_path / "my run"


def configured(folder: Path, **config: object) -> Path:
    """A directory with a configuration alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}), encoding="utf-8")
    return folder


def test_the_last_checkpoint_of_a_trainer_is_published(
    trainer_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    arguments = [str(trainer_folder), "--cache", str(tmp_path / "cache"), "--output", str(models)]
    code = publish.main(arguments)
    shown = capfd.readouterr()
    assert code == 0, shown.err
    assert "checkpoint-500: sequence_classification, 3 labels" in shown.out
    manifest = json.loads(next((models / "my_run").rglob("manifest.json")).read_text(encoding="utf-8"))
    assert [label["name"] for label in manifest["labels"]] == list(LABELS.values())


def test_kind_and_labels_are_those_of_the_configuration(tmp_path: Path) -> None:
    tags = {"0": "O", "1": "B-PER", "2": "I-PER"}
    found = describe(configured(tmp_path, architectures=["ErnieForTokenClassification"], id2label=tags), "", None)
    assert (found.kind, found.labels, found.max_length) == ("token_classification", ("O", "B-PER", "I-PER"), 64)


def test_the_class_around_the_encoder_counts(tmp_path: Path) -> None:
    """PaddleNLP 2.3 nested the encoder's configuration in that of the whole model."""
    outer = {"init_args": [{**CONFIG, "init_class": "ErnieModel"}], "init_class": "ErnieForQuestionAnswering"}
    (tmp_path / "model_config.json").write_text(json.dumps(outer), encoding="utf-8")
    assert describe(tmp_path, "", None).kind == "question_answering"


def test_labels_that_are_not_named_come_from_a_file(tmp_path: Path) -> None:
    unnamed = {"0": "LABEL_0", "1": "LABEL_1"}
    folder = configured(tmp_path / "model", architectures=["BertForSequenceClassification"], id2label=unnamed)
    with pytest.raises(BuildError, match="give --labels FILE"):
        describe(folder, "", None)
    (tmp_path / "names.txt").write_text("差评\n好评\n", encoding="utf-8")
    assert describe(folder, "", tmp_path / "names.txt").labels == ("差评", "好评")
    (folder / "label.txt").write_text("坏\n好\n", encoding="utf-8")
    assert describe(folder, "", None).labels == ("坏", "好")


def test_what_cannot_be_published_is_refused_in_one_line(tmp_path: Path, one_line: OneLine) -> None:
    base = configured(tmp_path / "base", architectures=["ErnieModel"])
    one_line(publish.main([str(base)]), "ErnieModel", "--base-model", program="ernie-triton publish")
    one_line(publish.main([str(tmp_path / "absent")]), "no such directory", program="ernie-triton publish")
    one_line(publish.main([str(base), "--tasks", "a"]), "--tasks", program="ernie-triton publish")
