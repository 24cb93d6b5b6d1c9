"""Fill-mask: the pre-training head of any directory, the metric, and the embedded encoder from text to answers."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from builders import build_all
from builders.config import ASSETS
from builders.errors import CheckpointError, DataError
from builders.kinds import get_builder_kind
from builders.lint import lint
from builders.models import build_model, find_base_model
from builders.pretraining_head import FILE, with_pretraining_head
from builders.readers import Example
from builders.readers.masked_text import read
from builders.weights import read_checkpoint
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.fill_mask import MASK
from ernie_runtime.manifest import Manifest
from ernie_runtime.pipeline import Pipeline
from ernie_runtime.steps import EncoderStep, PostprocessStep, TokenizerStep, strings

from .conftest import CONFIG, ENTRIES, HIDDEN, manifest_with, random_hugging_face, write_hugging_face

KIND = get_builder_kind("fill_mask")
Weights = dict[str, np.ndarray]
SAMPLE = ASSETS / "samples/chnsenticorp/dev.tsv"
COLUMNS = {"format": "labelled_tsv", "text": "text_a", "label": "label"}


def random_head(seed: int = 5) -> Weights:
    """A head as Hugging Face's ErnieForMaskedLM has it, under the names of its module `cls`."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int, around: float = 0.0) -> np.ndarray:
        return (around + 0.3 * generator.standard_normal(shape)).astype(np.float32)

    bias = draw(ENTRIES)
    return {
        "predictions.bias": bias,
        "predictions.decoder.bias": bias,
        "predictions.transform.dense.weight": draw(HIDDEN, HIDDEN),
        "predictions.transform.dense.bias": draw(HIDDEN),
        "predictions.transform.LayerNorm.weight": draw(HIDDEN, around=1.0),
        "predictions.transform.LayerNorm.bias": draw(HIDDEN),
    }


def paddle_head(head: Weights) -> Weights:
    """The same as PaddleNLP's ErnieForMaskedLM names and stores it."""
    return {
        "cls.predictions.transform.weight": head["predictions.transform.dense.weight"].T.copy(),
        "cls.predictions.transform.bias": head["predictions.transform.dense.bias"],
        "cls.predictions.layer_norm.weight": head["predictions.transform.LayerNorm.weight"],
        "cls.predictions.layer_norm.bias": head["predictions.transform.LayerNorm.bias"],
        "cls.predictions.decoder_bias": head["predictions.bias"],
    }


@pytest.fixture
def encoder() -> Weights:
    return random_hugging_face(seed=2)


@pytest.fixture(params=["file", "file of PaddleNLP names", "Hugging Face model", "PaddleNLP model"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, vocabulary: Path, encoder: Weights) -> Path:
    """A model directory with the head, wherever such directories have it."""
    head, folder = random_head(), tmp_path / "model"
    if request.param.startswith("file"):
        write_hugging_face(folder, encoder, CONFIG, vocabulary)
        save_file(head if request.param == "file" else paddle_head(head), str(folder / FILE))
    elif request.param == "Hugging Face model":
        both = {f"ernie.{name}": value for name, value in encoder.items()}
        both |= {f"cls.{name}": value for name, value in head.items()}
        both["cls.predictions.decoder.weight"] = encoder["embeddings.word_embeddings.weight"].copy()
        write_hugging_face(folder, both, CONFIG, vocabulary)
    else:
        write_hugging_face(tmp_path / "bare", encoder, CONFIG, vocabulary)
        both = {**read_checkpoint(tmp_path / "bare").weights, **paddle_head(head)}
        both["cls.predictions.decoder.weight"] = both["ernie.embeddings.word_embeddings.weight"].copy()
        write_hugging_face(folder, both, CONFIG, vocabulary)
    return folder


def expected_scores(hidden: np.ndarray, table: np.ndarray, head: Weights) -> np.ndarray:
    """Hugging Face's head in numpy: dense [out, in], gelu, layer norm, tied decoder, softmax; float64 [L, entries]."""
    erf = np.vectorize(math.erf)
    inner = hidden @ head["predictions.transform.dense.weight"].T.astype(float)
    inner += head["predictions.transform.dense.bias"]
    inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
    inner = (inner - inner.mean(-1, keepdims=True)) / np.sqrt(inner.var(-1, keepdims=True) + 1e-12)
    inner = inner * head["predictions.transform.LayerNorm.weight"] + head["predictions.transform.LayerNorm.bias"]
    logits = inner @ table.T.astype(float) + head["predictions.bias"]
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return result


@pytest.mark.parametrize("spare", [0, 7], ids=["full vocabulary", "spare rows"])
def test_the_head_says_what_its_weights_say(directory: Path, encoder: Weights, spare: int) -> None:
    import paddle

    used = ENTRIES - spare  # rows of the table behind the vocabulary are never an answer
    manifest = manifest_with(0, "fill_mask", vocabulary_size=used, options={"top_k": 3})
    model = build_model(KIND, KIND.start(read_checkpoint(directory)), manifest, ready=True)
    model.eval()
    ids = np.random.default_rng(0).integers(5, used, (2, 9))
    with paddle.no_grad():
        hidden = model.ernie(paddle.to_tensor(ids))[0].numpy().astype(float)
        outputs = {name: value.numpy() for name, value in KIND.outputs(model(paddle.to_tensor(ids))).items()}
    expected = expected_scores(
        hidden,
        encoder["embeddings.word_embeddings.weight"][:used],
        {name: value[:used] if len(value) == ENTRIES else value for name, value in random_head().items()},
    )
    assert outputs["top_scores"].shape == outputs["top_ids"].shape == (2, 9, 8)
    assert outputs["top_ids"].dtype == np.int64
    order = np.argsort(-expected, axis=-1)[..., :8]
    assert (outputs["top_ids"] == order).all()
    np.testing.assert_allclose(outputs["top_scores"], np.take_along_axis(expected, order, -1), atol=2e-5)


def test_what_is_no_pretraining_head(tmp_path: Path, vocabulary: Path, encoder: Weights) -> None:
    bare = write_hugging_face(tmp_path / "bare", encoder, CONFIG, vocabulary)
    with pytest.raises(CheckpointError, match=r"bare: has no pre-training head \(cls.predictions.transform.weight"):
        KIND.start(read_checkpoint(bare))
    head = random_head()
    save_file({n: v for n, v in head.items() if not n.endswith("bias") or "decoder" in n}, str(bare / FILE))
    with pytest.raises(CheckpointError, match=r"no pre-training head \(cls.predictions.transform.bias"):
        KIND.start(read_checkpoint(bare))
    save_file(
        {**head, "predictions.bias": head["predictions.bias"][:-1]}
        | {"predictions.decoder.bias": head["predictions.bias"][:-1]},
        str(bare / FILE),
    )
    with pytest.raises(CheckpointError, match="head has 399 entries, the word embeddings 400: not this model's head"):
        KIND.start(read_checkpoint(bare))
    untied = {**read_checkpoint(bare).weights, **paddle_head(head)}
    untied["cls.predictions.decoder.weight"] = np.zeros((ENTRIES, HIDDEN), np.float32)
    folder = write_hugging_face(tmp_path / "untied", untied, CONFIG, vocabulary)
    with pytest.raises(CheckpointError, match=r"decoder.weight is not the table of word embeddings: not supported"):
        KIND.start(read_checkpoint(folder))


def test_other_kinds_take_the_encoder_alone() -> None:
    """The head would change the keys of their finished trainings."""
    base = find_base_model("embedded")
    assert get_builder_kind("sequence_classification").start(base) is base and not base.has_head
    assert with_pretraining_head(base).has_head


def test_masked_text() -> None:
    examples = list(read(SAMPLE, COLUMNS))
    assert examples == list(read(SAMPLE, COLUMNS, "dev"))  # the same every time
    texts = [line.split("\t")[1] for line in SAMPLE.read_text(encoding="utf-8").splitlines()[1:]]
    assert len(examples) == len(texts) == 60
    for number, (text, example) in enumerate(zip(texts, examples, strict=True), 2):
        (masked,) = example.texts
        assert example.line == number and 1 <= len(example.target) <= 3
        assert masked.count(MASK) == len(example.target)
        for word in example.target:
            masked = masked.replace(MASK, word, 1)
        assert masked == text.lower() or masked.lower() == text.lower()


def test_plain_lines_are_masked_too(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("今天\n\n 2024 \nHello\n" + "好" * 40, encoding="utf-8")
    first, hello, last = read(path, {})
    assert first in [Example((f"{MASK}天",), ["今"], 1), Example((f"今{MASK}",), ["天"], 1)]
    assert hello == Example((MASK,), ["hello"], 4)
    assert (last.target, last.line) == (["好"] * 3, 5)
    path.write_text(f"今天\n今{MASK}天", encoding="utf-8")
    with pytest.raises(DataError, match=r"texts.txt:2: the text has a \[MASK\] already"):
        list(read(path, {}))
    with pytest.raises(DataError, match="data format 'no' is none of"):
        list(read(path, {"format": "no"}))


def answer(*masks: list[str]) -> Answer:
    return Answer({"masks": [[{"token": t, "score": 0.1} for t in tokens] for tokens in masks]}, {})


def test_metric_by_hand() -> None:
    """Seven masks: two right, two more among the best five, one in the sixth place, two without an answer."""
    manifest = manifest_with(0, "fill_mask")
    examples = [Example((f"{MASK}{MASK}{MASK}",), ["a", "b", "c"], 1), Example((MASK,), ["a"], 2)]
    examples += [Example((MASK,), ["z"], 3), Example((f"{MASK}{MASK}",), ["a", "b"], 4)]
    answers: list[Answer | str] = [answer(["a"], ["a", "x", "y", "w", "b"], list("xyzuvc")), answer(["a", "b"])]
    answers += [answer(["x", "z"]), "the text is too long"]
    assert KIND.score(examples, answers, manifest) == {"accuracy": round(200 / 7, 3), "top5": round(400 / 7, 3)}
    rows = [KIND.wrong(e, a, manifest) for e, a in zip(examples, answers, strict=True)]
    assert rows[0] == {"text": f"{MASK}{MASK}{MASK}", "expected": ["a", "b", "c"], "predicted": ["a", "a", "x"]}
    assert rows[1] is None and rows[2] is not None and rows[3] is not None
    assert rows[3]["error"] == "the text is too long"
    assert KIND.score([], [], manifest) == {"accuracy": 0.0, "top5": 0.0}


@pytest.mark.parametrize("target", [None, "a", [], ["a"], ["a", "b", "c"]])
def test_examples_must_fit_their_masks(target: Any) -> None:
    fault = KIND.check(Example((f"{MASK}和{MASK}",), target, 1), manifest_with(0, "fill_mask"))
    assert fault == "expected a text with [MASK] and a token for each, as the format masked_text gives them"
    assert KIND.check(Example((f"{MASK}和{MASK}",), ["a", "b"], 1), manifest_with(0, "fill_mask")) is None


@dataclass(frozen=True)
class Built:
    """The task fill_mask as it ships, built from the embedded encoder."""

    cache: Path
    repository: Path

    def done(self, stage: str) -> dict[str, Any]:
        (file,) = (self.cache / "fill_mask" / stage).glob("*/done.json")
        figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["figures"]
        return figures


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("fill_mask")
    arguments = ["--tasks", "fill_mask", "--cache", str(root / "cache"), "--output", str(root / "models")]
    assert build_all.main(arguments) == 0
    return Built(root / "cache", root / "models")


def test_the_embedded_encoder_fills_blanks(built: Built) -> None:
    """Better than to say the commonest token every time, far better than chance (1 of 8,000)."""
    figures = built.done("evaluate")
    targets = Counter(word for example in read(SAMPLE, COLUMNS) for word in example.target)
    commonest = 100 * targets.most_common(1)[0][1] / targets.total()
    assert figures["rows"] == 60 and figures["split"] == "sample"
    assert figures["metrics"]["accuracy"] > commonest + 2
    assert figures["metrics"]["top5"] > figures["metrics"]["accuracy"] + 5


def test_an_easy_blank(built: Built) -> None:
    pipeline = Pipeline.load(built.repository, "fill_mask")
    easy, late = pipeline.predict([(f"为什{MASK}他没有来",), ("我们昨天住了一个晚上。" * 40 + f"这是为什{MASK}？",)])
    for found in (easy, late):
        assert not isinstance(found, str)
        assert found.result["masks"][0][0]["token"] == "么" and len(found.result["masks"][0]) == 5
    assert isinstance(late, Answer) and late.result["windows"] == 1 and late.result["tokens"] == 446


def test_published_whole(built: Built) -> None:
    manifest = Manifest.load(built.repository / "fill_mask/1/manifest.json")
    tokens = manifest.options["tokens"].split("\n")
    assert tokens == (ASSETS / "encoder/vocab.txt").read_text(encoding="utf-8").splitlines()
    assert manifest.made_by["trained"] is False and manifest.options["top_k"] == 5
    assert lint(built.repository)[0] == []
    graph = onnx.load(str(built.repository / "fill_mask_encoder_fp32/1/model.onnx")).graph
    assert [value.name for value in graph.output] == ["top_scores", "top_ids"]
    types = [value.type.tensor_type.elem_type for value in graph.output]
    assert types == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64]
    assert sum(t.dims[:] == [len(tokens), 312] for t in graph.initializer) == 1  # the decoder's table is the words'


def test_the_steps_say_what_the_pipeline_says(built: Built) -> None:
    pipeline = Pipeline.load(built.repository, "fill_mask")
    texts = [*(e.texts[0] for e in read(SAMPLE, COLUMNS)), "没有空", f"{MASK}{'好的' * 90}{MASK}"]
    answers = pipeline.predict([(text,) for text in texts])
    tokenized: Any = TokenizerStep(pipeline.manifest, pipeline.tokenizer).run(
        [{"TEXT": strings([text.encode() for text in texts])}]
    )
    encoded: Any = EncoderStep(pipeline.engine, ["top_scores", "top_ids"], pipeline.batching).run(tokenized)
    (outcome,) = PostprocessStep(pipeline.manifest).run([{**tokenized[0], **encoded[0]}])
    assert isinstance(outcome, dict)
    for expected, raw in zip(answers, outcome["RESULT"][:, 0], strict=True):
        result = json.loads(raw)
        if isinstance(expected, str):
            assert expected in result["error"]["message"]
        else:
            assert result == expected.result


def test_a_model_without_a_head_is_refused_before_any_work(
    built: Built, tmp_path: Path, base_model: Path, one_line: Callable[..., str]
) -> None:
    shutil.copytree(base_model, tmp_path / "bare")
    code = build_all.main(["--tasks", "fill_mask", "--base-model", str(tmp_path / "bare"), "--cache", str(tmp_path)])
    one_line(code, "bare: has no pre-training head", "so it cannot fill masks")
    assert not (tmp_path / "fill_mask").exists()


def test_a_checkpoint_is_published_like_a_base_model(built: Built, tmp_path: Path) -> None:
    """The stage's own directory, with the head among the weights, is a source as good as the first."""
    (best,) = (built.cache / "fill_mask" / "fine-tune").glob("*/best")
    first = find_base_model("embedded")
    ours, theirs = KIND.start(read_checkpoint(best)).weights, KIND.start(replace(first)).weights
    assert ours.keys() == theirs.keys() and all((ours[name] == theirs[name]).all() for name in ours)
