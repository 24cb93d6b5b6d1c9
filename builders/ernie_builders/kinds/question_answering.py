"""Question answering over a context, the building side. Metrics: exact match and F1 as CMRC2018 defines them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Document, Window

from ..metrics.cmrc import exact_match, f1
from ..metrics.row_metric import RowMetric, mean
from ..readers import Example
from . import BuilderKind, LayerOutput, Row, Tensors

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig

CLS = 0  # the position whose prediction means "not in this window"
NEGATIVE_SHARE = 0.15  # of the windows without the answer that are trained on, chosen by a hash of their question


def answer_span(example: Example) -> tuple[int, int] | None:
    """(start, end) of the first reference in the context, without surrounding blanks; None where there is none."""
    for answer in example.target["answers"]:
        if answer["start"] >= 0:
            start = answer["start"] + len(answer["text"]) - len(answer["text"].lstrip())
            return start, start + len(answer["text"].strip())
    return None


def answer_tokens(
    windows: Sequence[Window], number: int, span: tuple[int, int], whole: bool = True
) -> tuple[int, int] | None:
    """First and last token of the span in window `number`; None where the window does not hold all of it.

    A token that only begins or ends inside the span (such as half of a number) belongs to it. whole: whether the last
    window reaches the end of the context.
    """
    offsets = windows[number].offsets
    context = np.flatnonzero(offsets[:, 1] > 0)  # positions of the context's tokens
    if number > 0 and offsets[context[0], 0] > span[0]:
        return None
    if (number < len(windows) - 1 or not whole) and offsets[context[-1], 1] < span[1]:
        return None
    inside = context[(offsets[context, 1] > span[0]) & (offsets[context, 0] < span[1])]
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


class QuestionAnsweringBuilder(BuilderKind):
    """Target: {"id", "answers": [{"text", "start"}]}, as squad_json gives it."""

    main_metric = "f1"
    by_character = True
    has_pooler = False

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """References with a position in the context are found there."""
        if not isinstance(example.target, dict) or "answers" not in example.target:
            return "expected a question with answers, as the format squad_json gives them"
        for answer in example.target["answers"]:
            if answer["start"] >= 0 and not example.texts[1].startswith(answer["text"], answer["start"]):
                return f"question {example.target['id']}: the answer is not at character {answer['start']}"
        return None

    def rows(self, example: Example, document: Document, windows: Sequence[Window], manifest: Manifest) -> list[Row]:
        """All windows that hold the answer, and NEGATIVE_SHARE of the others (always the same ones), labelled [CLS].

        A question with references of which none lies in the context gives no rows.
        """
        span = answer_span(example)
        if span is None and example.target["answers"]:
            return []
        cut_off = manifest.limits.overflow == "truncate" and document.truncated
        whole = len(windows) == document.windows and not cut_off
        rows = []
        for number, window in enumerate(windows):
            tokens = answer_tokens(windows, number, span, whole) if span is not None else None
            if tokens is None and not _is_sampled(example, number):
                continue
            start, end = tokens or (CLS, CLS)
            allowed = (window.offsets[:, 1] > 0).astype(np.int64)
            allowed[CLS] = 1
            targets = {"start": np.array(start, np.int64), "end": np.array(end, np.int64), "allowed": allowed}
            rows.append(Row((window,), targets))
        return rows

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """PaddleNLP's head: linear, two logits per token."""
        from paddlenlp.transformers import ErnieForQuestionAnswering

        return ErnieForQuestionAnswering(config)

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """start_logits, end_logits [B, L]."""
        return {"start_logits": raw[0], "end_logits": raw[1]}

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Mean cross entropy of the first and the last token, over [CLS] and the context as in decoding."""
        from ._layers import boundary_loss

        allowed = targets["allowed"] == 1  # padding is IGNORED
        start = boundary_loss(outputs["start_logits"], targets["start"], allowed)
        return (start + boundary_loss(outputs["end_logits"], targets["end"], allowed)) / 2

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """Exact match and F1 in percent."""
        pairs = [(_best_answer(a), _references(e)) for e, a in zip(examples, answers, strict=True)]
        exact = [float(_is_exact(text, references)) for text, references in pairs]
        overlap = [f1(text, references) if references else _is_exact(text, references) for text, references in pairs]
        return {
            "em": RowMetric(rows=np.array(exact, np.float64), of=mean),
            "f1": RowMetric(rows=np.array(overlap, np.float64), of=mean),
        }

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """The question, its references and the answer, where that is not an exact match."""
        predicted, references = _best_answer(answer), _references(example)
        if not isinstance(answer, str) and _is_exact(predicted, references):
            return None
        row = {"id": example.target["id"], "question": example.texts[0], "expected": references}
        return {**row, "error": answer} if isinstance(answer, str) else {**row, "predicted": predicted}


def _is_sampled(example: Example, number: int) -> bool:
    """Whether a window without the answer is trained on; depends only on the question and the window's number."""
    return zlib.crc32(f"{example.texts[0]}\n{number}".encode()) < NEGATIVE_SHARE * 2**32


def _best_answer(answer: Answer | str) -> str:
    """The text of the best answer; empty where there is none."""
    return "" if isinstance(answer, str) or not answer.result["answers"] else answer.result["answers"][0]["text"]


def _references(example: Example) -> list[str]:
    return [answer["text"] for answer in example.target["answers"]]


def _is_exact(text: str, references: Sequence[str]) -> bool:
    """Whether the answer is a reference; where there is no reference (SQuAD 2.0), whether there is no answer."""
    return exact_match(text, references) if references else not text


KIND = QuestionAnsweringBuilder()
