"""Reading comprehension, the building side: training rows, loss, training, the published model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.build_all import TASKS_FILE
from builders.cmrc_metric import f1
from builders.config import ASSETS, TaskConfig, TrainConfig, load_tasks
from builders.draft import draft_manifest
from builders.framework import import_paddle, import_paddlenlp
from builders.kinds import Row, get_builder_kind
from builders.kinds.question_answering import CLS, SHARE
from builders.models import weights_of
from builders.readers import Example
from builders.readers.squad_json import read
from builders.train import Trainer
from builders.weight_files import with_prefix
from builders.weights import Checkpoint
from ernie_runtime.batching import ON_CPU
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.kinds import Answer, get_kind
from ernie_runtime.manifest import Limits, Manifest
from ernie_runtime.pipeline import Pipeline, answer_documents, window_outputs
from ernie_runtime.steps import EncoderStep, PostprocessStep, TokenizerStep, strings
from ernie_runtime.tokenization import ErnieTokenizer
from ernie_runtime.windows import Window

from .conftest import CONFIG, Place

KIND_NAME = "question_answering"
KIND = get_builder_kind(KIND_NAME)
SAMPLE = ASSETS / "samples" / "cmrc2018"


def sample(split: str) -> list[Example]:
    return list(read(SAMPLE / f"{split}.json", {}))


@pytest.fixture(scope="module")
def task() -> TaskConfig:
    return load_tasks(TASKS_FILE)["cmrc2018"]


@pytest.fixture(scope="module")
def tokenizer() -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(ASSETS / "encoder" / "vocab.txt")


def test_the_sample_that_ships() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 250_000
    train, dev = sample("train"), sample("dev")
    assert (len(train), len(dev)) == (120, 40)
    for example in [*train, *dev]:
        for answer in example.target["answers"]:
            assert example.texts[1].startswith(answer["text"], answer["start"])
    assert not {e.texts[1] for e in train} & {e.texts[1] for e in dev}
    assert {len(e.target["answers"]) for e in dev} == {3}


def cut(examples: list[Example], tokenizer: ErnieTokenizer, manifest: Manifest) -> Any:
    """Documents, and each one's windows."""
    documents, windows = get_kind(KIND_NAME).documents([e.texts for e in examples], tokenizer, manifest)
    owned: list[list[Window]] = [[] for _ in examples]
    for window in windows:
        owned[window.owner].append(window)
    return documents, owned


ROOMY = {"max_answer_tokens": 40, "max_question_tokens": 32}


def with_limits(task: TaskConfig, max_length: int, doc_stride: int, **options: Any) -> TaskConfig:
    return replace(task, limits=Limits(max_length, doc_stride), options={**ROOMY, **options})


@pytest.mark.parametrize(("max_length", "doc_stride"), [(256, 128), (96, 16)])
def test_rows_say_where_the_answer_is(
    task: TaskConfig, tokenizer: ErnieTokenizer, max_length: int, doc_stride: int
) -> None:
    """An engine that says what the rows teach answers every question of the sample with its reference."""
    manifest = draft_manifest(with_limits(task, max_length, doc_stride), tokenizer)
    examples = [*sample("train"), *sample("dev")]
    documents, owned = cut(examples, tokenizer, manifest)
    rows = []
    for example, document, windows in zip(examples, documents, owned, strict=True):
        taught = {id(row.windows[0]): row.targets for row in KIND.rows(example, document, windows, manifest)}
        for window in windows:
            logits = np.zeros((2, len(window.offsets)), np.float32)
            targets = taught.get(id(window))
            logits[0, targets["start"] if targets else CLS] = logits[1, targets["end"] if targets else CLS] = 20
            rows.append({"start_logits": logits[0], "end_logits": logits[1]})
    served = get_kind(KIND_NAME)
    windows = [window for mine in owned for window in mine]
    outputs = window_outputs(served.encoder_outputs(manifest), windows, rows, len(documents))
    answers = answer_documents(served, documents, outputs, manifest)
    for example, answer in zip(examples, answers, strict=True):
        assert isinstance(answer, Answer)
        assert answer.result["answers"][0]["text"] == example.target["answers"][0]["text"].strip()
        assert KIND.wrong(example, answer, manifest) is None
    assert KIND.score(examples, answers, manifest) == {"em": 100.0, "f1": 100.0}


def test_windows_without_the_answer(task: TaskConfig, tokenizer: ErnieTokenizer) -> None:
    """About SHARE of them, the same ones each time, labelled [CLS]."""
    manifest = draft_manifest(with_limits(task, 96, 16), tokenizer)
    examples = sample("train")
    documents, owned = cut(examples, tokenizer, manifest)

    def make() -> list[list[Row]]:
        return [KIND.rows(e, d, w, manifest) for e, d, w in zip(examples, documents, owned, strict=True)]

    rows, again = make(), make()
    assert [[id(r.windows[0]) for r in mine] for mine in rows] == [[id(r.windows[0]) for r in mine] for mine in again]
    flat = [row for mine in rows for row in mine]
    without = [row for row in flat if row.targets["start"] == CLS]
    holding = len(flat) - len(without)
    assert len(without) == pytest.approx(SHARE * (sum(map(len, owned)) - holding), rel=0.25)
    for row in without:
        assert row.targets["end"] == CLS
    for row in flat:
        (window,) = row.windows
        assert row.targets["allowed"].tolist() == [1, *(window.offsets[1:, 1] > 0).astype(int).tolist()]
    none = replace(examples[0], target={"id": "x", "answers": []})
    assert {int(r.targets["start"]) for r in KIND.rows(none, documents[0], owned[0] * 9, manifest)} == {CLS}
    absent = replace(examples[0], target={"id": "x", "answers": [{"text": "39764.0", "start": -1}]})
    assert KIND.rows(absent, documents[0], owned[0], manifest) == []


def test_check(task: TaskConfig, tokenizer: ErnieTokenizer) -> None:
    manifest = draft_manifest(task, tokenizer)
    good = Example(("何", "北京"), {"id": "q", "answers": [{"text": "京", "start": 1}, {"text": "x", "start": -1}]}, 1)
    assert KIND.check(good, manifest) is None
    bad = replace(good, target={"id": "q", "answers": [{"text": "京", "start": 0}]})
    assert KIND.check(bad, manifest) == "question q: the answer is not at character 0"
    assert "squad_json" in str(KIND.check(replace(good, target="label"), manifest))


def test_score_and_wrong(task: TaskConfig, tokenizer: ErnieTokenizer) -> None:
    manifest = draft_manifest(task, tokenizer)

    def example(*references: str) -> Example:
        return Example(("何", "文"), {"id": "q", "answers": [{"text": t, "start": -1} for t in references]}, 1)

    def answer(*texts: str) -> Answer:
        return Answer({"answers": [{"text": t} for t in texts], "no_answer_score": 0.0}, {})

    examples = [example("北京"), example("北京大学", "北京"), example("上海"), example(), example(), example("x")]
    answers: list[Answer | str] = [answer("《北京》", "x"), answer("北京大"), answer(), answer(), answer("x"), "empty"]
    figures = KIND.score(examples, answers, manifest)
    assert figures == {"em": round(100 * 2 / 6, 3), "f1": round(100 * (1 + 6 / 7 + 0 + 1 + 0 + 0) / 6, 3)}
    wrong = [KIND.wrong(e, a, manifest) for e, a in zip(examples, answers, strict=True)]
    assert [row is None for row in wrong] == [True, False, False, True, False, False]
    assert wrong[1] == {"id": "q", "question": "何", "expected": ["北京大学", "北京"], "predicted": "北京大"}
    assert wrong[5] is not None and wrong[5]["error"] == "empty"
    assert KIND.score([], [], manifest) == {"em": 0.0, "f1": 0.0}


def test_loss_by_hand() -> None:
    """Cross entropy over [CLS] and the context: the question's logits and padding count for nothing."""
    paddle = import_paddle("cpu")
    logits = np.array([[1.0, 50, 2, 3, 50], [0.5, 50, 50, 1, 2]], np.float32)
    allowed = np.array([[1, 0, 1, 1, -100], [1, 0, 0, 1, 1]])
    outputs = {f"{name}_logits": paddle.to_tensor(logits + shift) for name, shift in (("start", 0), ("end", 3))}
    targets = {n: paddle.to_tensor(v) for n, v in (("allowed", allowed), ("start", [2, 0]), ("end", [3, 4]))}

    def entropy(row: list[float], target: int) -> float:
        return float(np.log(np.exp(row).sum()) - row[target])

    one, two = [1.0, 2, 3], [0.5, 1, 2]
    expected = (entropy(one, 1) + entropy(two, 0) + entropy(one, 2) + entropy(two, 2)) / 4
    assert float(KIND.loss(outputs, targets)) == pytest.approx(expected, abs=1e-5)


def tiny_base(hidden: int = 64) -> Checkpoint:
    """An untrained encoder of two layers with the embedded encoder's vocabulary."""
    paddle, transformers = import_paddle("cpu"), import_paddlenlp()
    vocabulary = ASSETS / "encoder" / "vocab.txt"
    entries = len(vocabulary.read_text(encoding="utf-8").splitlines())
    sizes = {"vocab_size": entries, "hidden_size": hidden, "intermediate_size": 2 * hidden}
    config = {**CONFIG, **sizes, "max_position_embeddings": 128}
    paddle.seed(1)
    own = {k: v for k, v in config.items() if k != "layer_norm_eps"}
    return Checkpoint(
        "tiny", config, with_prefix(weights_of(transformers.ErnieModel(transformers.ErnieConfig(**own)))), vocabulary
    )


def test_training_on_real_questions_beats_the_best_guess(
    task: TaskConfig, tokenizer: ErnieTokenizer, tmp_path: Path
) -> None:
    """A tiny model learns 20 questions by heart; a guess gives all five questions of a text the best one answer."""
    texts = [example.texts[1] for example in sample("train")]
    examples = [example for example in sample("train") if texts.count(example.texts[1]) == 5][:20]
    manifest = draft_manifest(with_limits(task, 96, 32, max_answer_tokens=24, max_question_tokens=24), tokenizer)

    def guess(text: str) -> float:
        mine = [e for e in examples if e.texts[1] == text]
        return max(
            sum(f1(e.target["answers"][0]["text"], [o.target["answers"][0]["text"]]) for o in mine) for e in mine
        )

    best_guess = 100 * sum(map(guess, {e.texts[1] for e in examples})) / len(examples)
    config = TrainConfig(epochs=16, batch_size=8, learning_rate=3e-3, dropout=0.0, evals_per_epoch=1, patience=99)
    config = replace(config, weight_decay=0.0)
    trainer = Trainer(manifest, config, tiny_base(), tokenizer, examples, examples, tmp_path)
    results = trainer.run()
    assert results["f1"] > best_guess + 15


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
    surnames, given, filler = characters[:6], characters[6:12], characters[14:]
    paragraphs = []
    for number in range(count):
        before, after = ("".join(generator.choice(filler, int(generator.integers(2, 24)))) for _ in range(2))
        name = str(generator.choice(surnames)) + str(generator.choice(given))
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
    """Far better than any fixed place, by the figure of the served code."""
    done = json.loads((published.stage("evaluate", "reading") / "done.json").read_text(encoding="utf-8"))["figures"]
    assert done["rows"] == 60 and done["main"] == "f1"
    assert done["metrics"]["em"] > 70 and done["metrics"]["f1"] >= done["metrics"]["em"]
    manifest = Manifest.load(published.output / "reading" / "1" / "manifest.json")
    assert manifest.variants[0].evaluations[0].metrics == done["metrics"]
    assert manifest.options == {"max_answer_tokens": 4, "max_question_tokens": 8}


def test_the_published_steps_answer_as_the_pipeline(published: Place) -> None:
    """Tokenizer, encoder and postprocessor as the server loads them, against one process, on long and short texts."""
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
