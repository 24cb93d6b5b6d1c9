"""Reading comprehension: training targets where the context, or some of its windows, are cut off."""

from __future__ import annotations

import pytest

from ernie_builders.config.tasks import ASSETS
from ernie_builders.readers import Example
from ernie_builders.training.dataset import training_rows
from ernie_runtime.manifest import Limits
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..tiny import manifest_with

CONTEXT = "子丑寅卯辰巳午未申酉戌亥甲乙丙丁戊己庚辛壬癸"
OPTIONS = {"max_answer_tokens": 4, "max_question_tokens": 2}


@pytest.fixture(scope="module")
def tokenizer() -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(ASSETS / "encoder" / "vocab.txt")


def target_texts(tokenizer: ErnieTokenizer, answer: str, overflow: str, windows_per_text: int = 0) -> list[str]:
    """The texts of the rows' targets, "" for [CLS]; a window holds ten characters of the context."""
    manifest = manifest_with(
        0, "question_answering", limits=Limits(max_length=15, doc_stride=5, overflow=overflow), options=OPTIONS
    )
    start, spans = CONTEXT.index(answer), []
    # Many questions, since only some of the windows without the answer become rows.
    examples = [
        Example((f"{a}{b}", CONTEXT), {"id": "1", "answers": [{"text": answer, "start": start}]}, 1)
        for a in "天地玄黄宇宙洪荒"
        for b in "日月盈昃辰宿列张"
    ]
    for row in training_rows(manifest, tokenizer, examples, windows_per_text):
        first, last = int(row.targets["start"]), int(row.targets["end"])
        offsets = row.windows[0].offsets
        assert (first == 0) == (last == 0)
        spans.append(CONTEXT[offsets[first, 0] : offsets[last, 1]] if first else "")
    return spans


@pytest.mark.parametrize(
    ("answer", "overflow", "windows", "complete"),
    [
        ("酉戌亥", "window", 0, True),
        ("辛壬癸", "window", 0, True),
        ("未申酉", "truncate", 0, True),
        ("酉戌亥", "truncate", 0, False),  # its first character is in the window
        ("戌亥甲", "truncate", 0, False),
        ("酉戌亥", "window", 1, False),
        ("未申酉", "window", 1, True),
        ("酉戌亥", "window", 2, True),
    ],
)
def test_an_answer_is_a_target_only_as_a_whole(
    tokenizer: ErnieTokenizer, answer: str, overflow: str, windows: int, complete: bool
) -> None:
    spans = target_texts(tokenizer, answer, overflow, windows)
    assert set(spans) <= {answer, ""}
    assert spans.count(answer) >= 64 if complete else spans and answer not in spans
