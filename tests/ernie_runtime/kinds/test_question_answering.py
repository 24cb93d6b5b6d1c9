"""Answers cut from a context, decoded by hand: the n best spans, their scores, ties, and no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ernie_runtime.errors import EngineError
from ernie_runtime.kinds import WindowOutput
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Document

from ..reading import KIND, ManifestOf


def window_of(
    tokens: Sequence[tuple[int, int]], starts: Sequence[float], ends: Sequence[float], question: int = 2
) -> WindowOutput:
    """[CLS] question [SEP] context [SEP]; logits: [CLS] first, then the context's; every other one is the highest."""
    blind = np.zeros((question + 1, 2), np.int32)
    offsets = np.concatenate(
        [np.zeros((1, 2), np.int32), blind, np.array(tokens, np.int32), np.zeros((1, 2), np.int32)]
    )

    def row(values: Sequence[float]) -> np.ndarray:
        return np.array([values[0], *[99.0] * (question + 1), *values[1:], 99.0], np.float32)

    return WindowOutput(offsets, {"start_logits": row(starts), "end_logits": row(ends)})


def decode(manifest: Manifest, text: str, *windows: WindowOutput) -> dict[str, Any]:
    KIND.check(manifest)
    (answer,) = KIND.decode(
        [Document(text=text, tokens=len(text), windows=len(windows), truncated=False)], [windows], manifest
    )
    assert answer.numeric == {}
    for span in answer.result["answers"]:
        assert span["text"] == text[span["start"] : span["end"]] != ""
    return answer.result


def characters(text: str) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(len(text))]


def places(result: dict[str, Any]) -> list[tuple[int, int]]:
    return [(a["start"], a["end"]) for a in result["answers"]]


def peaks(length: int, *positions: int, low: float = 0.0) -> list[float]:
    """Logits of [CLS] and `length` tokens: 9, 8, 7 ... at `where` (0 is [CLS])."""
    values = [low] * (length + 1)
    for order, position in enumerate(positions):
        values[position] = 9.0 - order
    return values


def test_scores_by_hand(qa_manifest: ManifestOf) -> None:
    """Two tokens, three spans and no answer: log-probabilities add up, the scores are their softmax."""
    starts, ends = np.log([0.2, 0.5, 0.3]), np.log([0.1, 0.3, 0.6])  # probabilities of [CLS], first, second
    result = decode(qa_manifest(), "张三", window_of(characters("张三"), list(starts + 3), list(ends - 7)))
    spans = {(0, 2): 0.5 * 0.6, (1, 2): 0.3 * 0.6, (0, 1): 0.5 * 0.3}
    total = sum(spans.values()) + 0.2 * 0.1
    assert places(result) == [(0, 2), (1, 2), (0, 1)]
    assert [a["score"] for a in result["answers"]] == pytest.approx([p / total for p in spans.values()], abs=2e-6)
    assert result["no_answer_score"] == pytest.approx(0.02 / total, abs=2e-6)


def test_the_end_is_not_before_the_start_nor_out_of_reach(qa_manifest: ManifestOf) -> None:
    text = "一二三四五六七八九"
    backwards = decode(qa_manifest(), text, window_of(characters(text), peaks(9, 6), peaks(9, 3)))
    assert all(start < end for start, end in places(backwards))
    far = window_of(characters(text), peaks(9, 1), peaks(9, 9, 4))
    assert places(decode(qa_manifest(max_answer_tokens=8), text, far))[0] == (0, 4)
    assert places(decode(qa_manifest(max_answer_tokens=9, doc_stride=7), text, far))[0] == (0, 9)


@pytest.mark.parametrize(
    ("between", "gain", "crosses"), [("\n\n", 4, False), ("\r\n \r\n", 4, False), ("\n", 2, False), ("\n", 4, True)]
)
def test_an_answer_and_line_breaks(qa_manifest: ManifestOf, between: str, gain: float, crosses: bool) -> None:
    """A blank line is never crossed, however sure the model is; a line break costs 3 nats."""
    text = f"一二三{between}四五六"
    tokens = [(i, i + 1) for i, c in enumerate(text) if c.strip()]
    # The answer begins at 二. It ends at 三, or, likelier by `gain`, at 四.
    window = window_of(tokens, peaks(6, 2), [0, 0, 0, 9, 9 + gain, 0, 0])
    answers = [answer["text"] for answer in decode(qa_manifest(), text, window)["answers"]]
    assert answers[0] == (f"二三{between}四" if crosses else "二三")
    assert len(between) == 1 or not any("\n" in answer for answer in answers)


@pytest.mark.parametrize("n_best", [1, 2, 5, 30])
def test_n_best(qa_manifest: ManifestOf, n_best: int) -> None:
    """Best first; as many as asked for, or as there are; one sum with no answer."""
    text = "一二三四"
    result = decode(qa_manifest(n_best=n_best), text, window_of(characters(text), peaks(4, 2, 3), peaks(4, 3, 4)))
    scores = [a["score"] for a in result["answers"]]
    assert len(scores) == min(n_best, 10)  # 4 + 3 + 2 + 1 spans
    assert scores == sorted(scores, reverse=True) and len(set(places(result))) == len(scores)
    assert places(result)[0] == (1, 3)
    assert sum(scores) + result["no_answer_score"] == pytest.approx(1, abs=1e-4) or n_best < 10


def test_ties_go_to_the_span_with_most_context_then_the_first(qa_manifest: ManifestOf) -> None:
    text = "一二三四五"
    flat = [0.0] * 6
    result = decode(qa_manifest(n_best=4), text, window_of(characters(text), flat, flat))
    assert places(result) == [(2, 3), (1, 2), (1, 3), (1, 4)]
    with_equal_starts = decode(qa_manifest(n_best=4), text, window_of(characters(text), [7.0] * 6, flat))
    assert with_equal_starts == result


def test_only_the_context_is_answered(qa_manifest: ManifestOf) -> None:
    """Question, [SEP] and padding never answer, however high their logits (`window_of` makes them the highest)."""
    text = "一二三"
    result = decode(qa_manifest(n_best=50), text, window_of(characters(text), peaks(3, 3), peaks(3, 3), question=9))
    assert places(result)[0] == (2, 3) and len(result["answers"]) == 6


def test_no_answer(qa_manifest: ManifestOf) -> None:
    text = "一二三四五六"
    tokens = characters(text)
    sure, silent = peaks(4, 2), peaks(4, 0)
    with_answer, without_answer = window_of(tokens[:4], sure, sure), window_of(tokens[2:], silent, silent)
    result = decode(qa_manifest(no_answer_threshold=0.5), text, with_answer, without_answer)
    assert places(result)[0] == (1, 2) and result["no_answer_score"] < 0.01
    windows = [window_of(tokens[:4], silent, silent), without_answer]
    assert decode(qa_manifest(no_answer_threshold=0.5), text, *windows)["answers"] == []
    always = decode(qa_manifest(), text, *windows)
    assert len(always["answers"]) == 5 and always["no_answer_score"] > 0.9
    assert always["no_answer_score"] == decode(qa_manifest(no_answer_threshold=0.5), text, *windows)["no_answer_score"]


def test_scores_are_relative_to_the_window_s_cls(qa_manifest: ManifestOf) -> None:
    """A constant added to all logits of a window changes nothing: each window is compared with its own [CLS]."""
    text = "一二三四五六"
    tokens = characters(text)
    quiet = window_of(tokens[:4], peaks(4, 2), peaks(4, 2))
    loud = window_of(tokens[2:], [value + 50 for value in peaks(4, 0)], [value + 50 for value in peaks(4, 0)])
    assert places(decode(qa_manifest(), text, quiet, loud))[0] == (1, 2)


def test_the_same_span_of_two_windows_counts_once(qa_manifest: ManifestOf) -> None:
    text = "一二三四五六"
    tokens = characters(text)
    weak, strong = [0.0, 0, 0, 2, 0], [0.0, 9, 0, 0, 0]
    weak_window = window_of(tokens[:4], weak, weak)
    strong_window = window_of(tokens[2:], strong, strong)
    result = decode(qa_manifest(n_best=50), text, weak_window, strong_window)
    assert places(result)[0] == (2, 3) and len(set(places(result))) == len(places(result))
    assert sum(a["score"] for a in result["answers"]) + result["no_answer_score"] == pytest.approx(1, abs=1e-4)
    assert places(decode(qa_manifest(n_best=50), text, strong_window, weak_window))[0] == (2, 3)


def test_nothing_and_broken_logits(qa_manifest: ManifestOf) -> None:
    assert KIND.decode([], [], qa_manifest()) == []
    for value in (np.nan, np.inf):
        with pytest.raises(EngineError, match="not finite"):
            decode(qa_manifest(), "一二", window_of(characters("一二"), [0, value, 0], [0, 0, 0]))
