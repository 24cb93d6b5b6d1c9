"""Fill-mask as it ships, from the embedded encoder to answers."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from ernie_builders import build_all
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import ASSETS
from ernie_builders.kinds import get_builder_kind
from ernie_builders.lint.repository import lint
from ernie_builders.modeling.model import find_base_model
from ernie_builders.readers.masked_text import read
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.fill_mask import MASK
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep

from ..command_line import OneLine

KIND = get_builder_kind("fill_mask")
SAMPLE = ASSETS / "samples/chnsenticorp/dev.tsv"
COLUMNS = {"format": "labelled_tsv", "text": "text_a", "label": "label"}


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
    """Better than always answering the commonest token, and far better than chance (1 in 8,000)."""
    figures = built.done("evaluate")
    targets = Counter(word for example in read(SAMPLE, COLUMNS) for word in example.target)
    commonest = 100 * targets.most_common(1)[0][1] / targets.total()
    assert figures["rows"] == 60 and figures["split"] == "sample"
    assert figures["metrics"]["accuracy"] > commonest + 2
    assert figures["metrics"]["top5"] > figures["metrics"]["accuracy"] + 5


def test_an_easy_blank(built: Built) -> None:
    pipeline = Pipeline.load(built.repository, "fill_mask")
    easy, late = pipeline.predict([(f"为什{MASK}他没有来",), ("我们昨天住了一个晚上。" * 40 + f"这是为什{MASK}？",)])
    for answer in (easy, late):
        assert not isinstance(answer, str)
        assert answer.result["masks"][0][0]["token"] == "么" and len(answer.result["masks"][0]) == 5
    assert isinstance(late, Answer) and late.result["windows"] == 1 and late.result["tokens"] == 446


def test_the_published_model(built: Built) -> None:
    manifest = Manifest.load(built.repository / "fill_mask/1/manifest.json")
    tokens = manifest.options["tokens"].split("\n")
    words = (ASSETS / "encoder/vocab.txt").read_text(encoding="utf-8").splitlines()
    assert tokens == [*[""] * 5, *words[5:]] and words[4] == "[UNK]"  # special tokens are no answers
    assert manifest.made_by["trained"] is False and manifest.options["top_k"] == 5
    assert lint(built.repository)[0] == []
    graph = onnx.load(str(built.repository / "fill_mask_encoder_fp32/1/model.onnx")).graph
    assert [value.name for value in graph.output] == ["top_scores", "top_ids"]
    types = [value.type.tensor_type.elem_type for value in graph.output]
    assert types == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64]
    assert sum(t.dims[:] == [len(tokens), 312] for t in graph.initializer) == 1  # the decoder's table is the words'


def test_the_steps_answer_as_the_pipeline(built: Built) -> None:
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
    built: Built, tmp_path: Path, base_model: Path, one_line: OneLine
) -> None:
    shutil.copytree(base_model, tmp_path / "bare")
    code = build_all.main(["--tasks", "fill_mask", "--base-model", str(tmp_path / "bare"), "--cache", str(tmp_path)])
    one_line(code, "bare: has no pre-training head", "so it cannot fill masks")
    assert not (tmp_path / "fill_mask").exists()


def test_a_checkpoint_is_published_like_a_base_model(built: Built, tmp_path: Path) -> None:
    """The stage's directory, with the head among its weights, serves as a base model like the first one."""
    (best,) = (built.cache / "fill_mask" / "fine-tune").glob("*/best")
    first = find_base_model("embedded")
    ours, theirs = KIND.prepare(read_checkpoint(best)).weights, KIND.prepare(replace(first)).weights
    assert ours.keys() == theirs.keys() and all((ours[name] == theirs[name]).all() for name in ours)
