"""Fill-mask, the building side: held-out text with masks, and the metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ernie_builders.config.tasks import ASSETS
from ernie_builders.errors import DataError
from ernie_builders.kinds import get_builder_kind
from ernie_builders.readers import Example
from ernie_builders.readers.masked_text import read
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.fill_mask import MASK

from ..tiny import manifest_with

KIND = get_builder_kind("fill_mask")
SAMPLE = ASSETS / "samples/chnsenticorp/dev.tsv"
COLUMNS = {"format": "labelled_tsv", "text": "text_a", "label": "label"}


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
