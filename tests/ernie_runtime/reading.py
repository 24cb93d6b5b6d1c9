"""Questions and contexts, and an engine that points at a given span."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ernie_runtime.engines import Tensors
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import window_outputs
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import Window

Answers = list[dict[str, Any]]
KIND = get_kind("question_answering")
ManifestOf = Callable[..., Manifest]


def pointing(texts: Sequence[str], tokenizer: ErnieTokenizer, manifest: Manifest, span: tuple[int, int]) -> Answers:
    """Answers of an engine that points at the tokens of `span` (characters) where a window has both, else at [CLS].

    texts: question and context.
    """
    documents, windows = KIND.documents([tuple(texts)], tokenizer, manifest)
    assert documents[0].error is None and len(windows) == documents[0].windows
    rows = []
    for window in windows:
        logits = np.zeros((2, len(window.offsets)), np.float32)
        first, last = tokens_at(window, span)
        if first >= 0 and last >= 0:
            logits[0, first] = logits[1, last] = 12
        else:
            logits[:, 0] = 12
        rows.append({"start_logits": logits[0], "end_logits": logits[1]})
    outputs = window_outputs(KIND.encoder_outputs(manifest), windows, rows, 1)
    (answer,) = KIND.decode(documents, outputs, manifest)
    answers: Answers = answer.result["answers"]
    assert all(a["text"] == texts[1][a["start"] : a["end"]] for a in answers)
    return answers


def tokens_at(window: Window, span: tuple[int, int]) -> tuple[int, int]:
    """Positions of the tokens that hold the span's first and last character; -1 where the window has none."""
    starts, ends = window.offsets[:, 0], window.offsets[:, 1]
    first, last = ((starts <= place) & (place < ends) for place in (span[0], span[1] - 1))
    return int(first.argmax()) if first.any() else -1, int(last.argmax()) if last.any() else -1


HARD = [
    ("打电话给18866668888，谢谢", "18866668888"),
    ("售价9,999元（约$1,399.00）", "9,999元"),
    ("买了iPhone 15 Pro Max手机", "iPhone 15 Pro Max"),
    ("由光荣和ω-force开发", "光荣和ω-force"),
    ("ＡＢＣ１２３全角，半角", "ＡＢＣ１２３"),
    ("他说👩\u200d💻很好😀吧", "👩\u200d💻很好😀"),
    ("中间   有   空格", "有   空格"),
    ("在 cafe\u0301 里坐着", "cafe\u0301"),
    ("𠮷野家在𡑭𫫇之间", "𡑭𫫇"),
    ("姓名：龘靐齉，男", "龘靐齉"),
    ("圖書館在車站後面", "車站後面"),
    ("한국어와 中文", "한국어와"),
    ("COVID-19始于2019年12月", "2019年12月"),
    ("Ⅻ世纪、①号、½杯", "①号、½杯"),
    ("第一行\n\t第二行", "第一行\n\t第二行"),
]
TRADITIONAL = "圖書館在車站後面，週一休館。著名的乾隆看著頭髮，電話18866668888。"


def engine(tensors: Tensors) -> Tensors:
    """Logits that depend on every id of their row and its position only; padding has the highest logits."""
    ids = tensors["input_ids"]
    sums = (ids * np.arange(1, ids.shape[1] + 1)).sum(1, keepdims=True)
    logits = [np.where(ids == 0, 99, (ids * k + sums) % 23 / 3).astype(np.float32) for k in (5, 7)]
    return {"start_logits": logits[0], "end_logits": logits[1]}
