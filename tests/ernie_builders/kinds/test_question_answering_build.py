"""A reading comprehension model learns, and is published with the answers it has learnt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import Checkpoint
from ernie_builders.checkpoints.encoder_config import parse_config
from ernie_builders.checkpoints.weight_formats import with_prefix
from ernie_builders.config.tasks import ASSETS
from ernie_builders.config.train import TrainConfig
from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.metrics.cmrc import f1
from ernie_builders.modeling.model import weights_of
from ernie_builders.readers.squad_json import read
from ernie_builders.stages.draft import draft_manifest
from ernie_builders.training.trainer import Job, Trainer
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import ON_CPU
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..cmrc_sample import sample, with_limits
from ..places import Place
from ..tiny import CONFIG


def tiny_base(hidden: int = 64) -> Checkpoint:
    """An untrained encoder of two layers with the embedded encoder's vocabulary."""
    paddle, transformers = import_paddle("cpu"), import_paddlenlp()
    vocabulary = ASSETS / "encoder" / "vocab.txt"
    entries = len(vocabulary.read_text(encoding="utf-8").splitlines())
    sizes = {"vocab_size": entries, "hidden_size": hidden, "intermediate_size": 2 * hidden}
    config = {**CONFIG, **sizes, "max_position_embeddings": 128}
    paddle.seed(1)
    arguments = {k: v for k, v in config.items() if k != "layer_norm_eps"}
    weights = with_prefix(weights_of(transformers.ErnieModel(transformers.ErnieConfig(**arguments))))
    return Checkpoint(
        where="tiny", config=parse_config(config, "tiny"), weights=weights, tokenizer=load_tokenizer(vocabulary)
    )


@pytest.mark.slow
def test_training_on_real_questions_beats_the_best_guess(embedded_tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    """A tiny model learns 20 questions by heart; the best guess gives all five questions of a text one answer."""
    texts = [example.texts[1] for example in sample("train")]
    examples = [example for example in sample("train") if texts.count(example.texts[1]) == 5][:20]
    manifest = draft_manifest(with_limits(96, 32, max_answer_tokens=24, max_question_tokens=24), embedded_tokenizer)

    def guess(text: str) -> float:
        same_text = [e for e in examples if e.texts[1] == text]
        return max(
            sum(f1(e.target["answers"][0]["text"], [o.target["answers"][0]["text"]]) for o in same_text)
            for e in same_text
        )

    best_guess = 100 * sum(map(guess, {e.texts[1] for e in examples})) / len(examples)
    config = TrainConfig(epochs=16, batch_size=8, learning_rate=3e-3, dropout=0.0, evals_per_epoch=1, patience=99)
    config = replace(config, weight_decay=0.0)
    job = Job(
        manifest=manifest,
        config=config,
        base=tiny_base(),
        tokenizer=embedded_tokenizer,
        train=examples,
        held_out=examples,
        folder=tmp_path,
    )
    trainer = Trainer(job)
    assert trainer.run().metrics["f1"] > best_guess + 15


TASKS = """
[tasks.reading]
kind = "question_answering"
title = "Reading"
examples = [["的", "一不是有"]]
[tasks.reading.limits]
max_length = 32
doc_stride = 12
[tasks.reading.options]
max_answer_tokens = 4
max_question_tokens = 8
[tasks.reading.data]
format = "squad_json"
folder = "reading"
train = "train.json"
dev = "dev.json"
[tasks.reading.train]
epochs = 4
batch_size = 16
learning_rate = 5e-3
dropout = 0.0
evals_per_epoch = 1
"""


def write_reading(path: Path, characters: list[str], count: int, seed: int) -> None:
    """Where is the name, a surname of six and a given name of six, in a text that may need several windows?"""
    generator = np.random.default_rng(seed)
    surnames, names, filler = characters[:6], characters[6:12], characters[14:]
    paragraphs = []
    for number in range(count):
        before, after = ("".join(generator.choice(filler, int(generator.integers(2, 24)))) for _ in range(2))
        name = str(generator.choice(surnames)) + str(generator.choice(names))
        answer = {"text": name, "answer_start": len(before)}
        question = {"id": f"{number}", "question": characters[12], "answers": [answer]}
        paragraphs.append({"context": before + name + after, "qas": [question]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}, ensure_ascii=False), encoding="utf-8")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, base_model: Path, characters: list[str]) -> Place:
    """A small model trained on texts made up, from its data to its repository."""
    root = tmp_path_factory.mktemp("reading")
    (root / "tasks.toml").write_text(TASKS, encoding="utf-8")
    for split, count, seed in (("train", 240, 0), ("dev", 60, 1)):
        write_reading(root / "data" / "reading" / f"{split}.json", characters, count, seed)
    place = Place(root / "tasks.toml", root / "data", base_model, root)
    assert place.build(task="reading") == 0
    return place


def test_a_build_learns_to_find_the_answer(published: Place) -> None:
    """Far better than any fixed position, as measured through the serving code."""
    figures = published.figures("evaluate", "reading")
    assert figures["rows"] == 60 and figures["main"] == "f1"
    assert figures["metrics"]["em"] > 70 and figures["metrics"]["f1"] >= figures["metrics"]["em"]
    manifest = Manifest.load(published.output / "reading" / "1" / "manifest.json")
    assert manifest.variants[0].evaluations[0].metrics == figures["metrics"]
    assert manifest.options == {"max_answer_tokens": 4, "max_question_tokens": 8}


def test_the_published_steps_answer_as_the_pipeline(published: Place) -> None:
    """Tokenizer, encoder and postprocessor, as the server loads them, answer any text as the pipeline does."""
    examples = list(read(published.data_dir / "reading" / "dev.json", {}))[:20]
    items = [tuple(text.encode() for text in e.texts) for e in examples] + [("的".encode(), "一不是".encode())]
    models = {name: published.output / f"reading_{name}" / "1" for name in ("tokenizer", "encoder_fp32", "postprocess")}
    tokenizer = TokenizerStep.load(models["tokenizer"], {"buckets": "16,32"})
    post = PostprocessStep.load(models["postprocess"], {})
    per_token = [spec.name for spec in post.specs if spec.per_token]
    encoder = EncoderStep(OrtEngine(models["encoder_fp32"] / "model.onnx"), per_token, ON_CPU)
    columns = zip(tokenizer.inputs, zip(*items, strict=True), strict=True)
    (tokenized,) = tokenizer.run([{name: strings(list(column)) for name, column in columns}])
    assert isinstance(tokenized, dict)
    (encoded,) = encoder.run([tokenized])
    assert isinstance(encoded, dict)
    (served,) = post.run([{**tokenized, **encoded}])
    assert isinstance(served, dict)
    several = 0
    for raw, answer in zip(
        served["RESULT"][:, 0], Pipeline.load(published.output, "reading").predict(items), strict=True
    ):
        result = json.loads(raw)
        assert isinstance(answer, Answer)
        several += result["windows"] > 1
        for ours, theirs in zip(result.pop("answers"), answer.result.pop("answers"), strict=True):
            assert ours.pop("score") == pytest.approx(theirs.pop("score"), abs=1e-4)
            assert ours == theirs
        assert result.pop("no_answer_score") == pytest.approx(answer.result.pop("no_answer_score"), abs=1e-4)
        assert result == answer.result
    assert several > 5
