"""Where the words lie that an answer is never a part of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.words import word_bounds


@pytest.mark.parametrize(
    "marked",
    [
        "电|话|18866668888|吧",
        "买|iPhone15Pro|和|T|恤",
        "买|ｉＰｈｏｎｅ１５|和|Ａ|股",
        "花|了|9,999.50|元|,|共|3.14.15|.",
        "第|3|.| |5|,",
        "a|.|b|,|1|.|b",
        "去|cafe\u0301|喝|re\u0301sume\u0301|。",
        "拨|188\u200b6666\u00ad8888|\u200b|。",
        "中|\u0301|a|国|😀|x1|한|국|привет|か|\u3099",
        "_|a|_|b1|-|c",
        "",
        "中",
        "ab",
    ],
)
def test_bounds(marked: str) -> None:
    """Bars stand where words, or characters that are in none, begin and end."""
    text, cuts = "", [0]
    for part in marked.split("|"):
        text += part
        cuts.append(len(text))
    left, right = word_bounds(text)
    assert left.tolist() == [max(c for c in cuts if c <= i) for i in range(len(text) + 1)]
    assert right.tolist() == [min(c for c in cuts if c >= i) for i in range(len(text) + 1)]


@pytest.mark.parametrize("number", ["18866668888", "188\u200b66668888", "1886666\u00ad8888", "188\ufeff6666\u20608888"])
def test_an_answer_is_the_whole_number(
    make_manifest: Callable[..., Manifest], tokenizer: ErnieTokenizer, number: str
) -> None:
    """Whichever of its tokens a model points at, and whatever the tokenizer deletes inside it."""
    kind = get_kind("question_answering")
    manifest = make_manifest(kind.name, (), 64, 16, options={"max_answer_tokens": 8, "max_question_tokens": 8})
    text = f"请打电话给{number}。"
    documents, (window,) = kind.documents([("号码？", text)], tokenizer, manifest)
    inside = np.flatnonzero((window.offsets[:, 0] >= 5) & (window.offsets[:, 1] <= 5 + len(number)))
    inside = inside[window.offsets[inside, 1] > 0]
    assert len(inside) > 1
    for token in inside:
        logits = np.zeros(len(window.offsets), np.float32)
        logits[token] = 20
        output = WindowOutput(window.offsets, {"start_logits": logits, "end_logits": logits})
        (answer,) = kind.decode(documents, [[output]], manifest)
        assert answer.result["answers"][0]["text"] == number
