"""From a fine-tuned checkpoint to a repository, without a tasks file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import BertWordPieceTokenizer

from ernie_builders.checkpoints.shards import write_shards
from ernie_builders.config.tasks import parse_tasks
from ernie_builders.errors import BuildError
from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.start import publish
from ernie_builders.start.checkpoints import describe

from ..command_line import OneLine
from ..places import topic_rows
from ..tiny import CONFIG, HIDDEN, random_hugging_face

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


@pytest.fixture
def shards(tmp_path: Path, vocabulary: Path) -> Path:
    """Hugging Face's: float16 weights in shards, a tokenizer.json and no vocab.txt, and weights that no task uses."""
    folder = tmp_path / "sentiment"
    weights = {f"ernie.{name}": value for name, value in random_hugging_face(std=0.05).items()}
    generator = np.random.default_rng(3)
    weights["classifier.weight"] = generator.normal(size=(3, HIDDEN))
    weights["classifier.bias"] = weights["cls.seq_relationship.bias"] = generator.normal(size=3)
    configured(folder, architectures=["ErnieForSequenceClassification"], id2label=LABELS, use_task_id=False)
    write_shards(folder, {name: value.astype(np.float16) for name, value in weights.items()}, limit=40_000)
    BertWordPieceTokenizer(str(vocabulary)).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 48}), encoding="utf-8")
    return folder


def test_shards_in_16_bits_are_evaluated_on_data(
    shards: Path, tmp_path: Path, characters: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(list(shards.glob("*.safetensors"))) > 1
    table = "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *topic_rows(characters, 30, seed=2)])
    (tmp_path / "dev.tsv").write_text(table, encoding="utf-8")
    places = ["--cache", str(tmp_path / "cache"), "--repository", str(tmp_path / "models")]
    code = publish.main([str(shards), "--data", str(tmp_path / "dev.tsv"), *places])
    shown = capfd.readouterr()
    assert code == 0, shown.err
    assert "cls.seq_relationship, ernie.embeddings.task_type_embeddings" in shown.out, "unused weights are named"
    manifest = json.loads(next((tmp_path / "models" / "sentiment").rglob("manifest.json")).read_text(encoding="utf-8"))
    assert manifest["limits"]["max_length"] == 48
    assert manifest["variants"][0]["evaluations"][0]["rows"] == 30


def test_a_dry_run_says_what_cannot_be_published(
    shards: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Labels of the data that the checkpoint lacks, and another number of labels than its head has outputs."""
    arguments = [str(shards), "--dry-run", "--cache", str(tmp_path / "cache"), "--repository", str(tmp_path / "models")]
    assert publish.main(arguments) == 0, capfd.readouterr().err
    (tmp_path / "dev.csv").write_text("text,label\n的一不是,north\n有人了在,east\n", encoding="utf-8")
    capfd.readouterr()
    assert publish.main([*arguments, "--data", str(tmp_path / "dev.csv"), "--json"]) == 1
    shown = capfd.readouterr()
    assert "dev.csv:3: " in shown.err and "dev.csv:3: " in json.loads(shown.out)["faults"][0]
    (tmp_path / "two.txt").write_text("north\nsouth\n", encoding="utf-8")
    assert publish.main([*arguments, "--labels", str(tmp_path / "two.txt")]) == 1
    assert "its head has 3 outputs, tasks.sentiment has 2 labels" in capfd.readouterr().err


def test_the_best_checkpoint_of_a_trainer_where_it_is_named(trainer_folder: Path) -> None:
    state = {"best_model_checkpoint": "/somewhere/else/my run/checkpoint-90"}
    (trainer_folder / "checkpoint-500" / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    assert describe(trainer_folder, "", None).folder.name == "checkpoint-90"


@pytest.mark.parametrize("positions", [32, 64, 128, 512])
def test_answers_fit_a_short_window(tmp_path: Path, positions: int) -> None:
    folder = configured(tmp_path / "qa", architectures=["ErnieForQuestionAnswering"], max_position_embeddings=positions)
    text = publish.table("qa", describe(folder, "", None), None)
    task = parse_tasks(text, tmp_path / "qa.toml").tasks["qa"]
    assert task.limits.max_length == positions and ("max_answer_tokens" in task.options) == (positions < 512)


def test_a_regression_is_refused(tmp_path: Path) -> None:
    folder = configured(tmp_path, architectures=["ErnieForSequenceClassification"], id2label={"0": "score"})
    with pytest.raises(BuildError, match="a regression"):
        describe(folder, "", None)


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
