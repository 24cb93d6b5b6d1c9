"""Answers to a question as spans of a context: start and end logits, n-best over all windows (SQuAD, CMRC2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ..errors import Faults, ManifestError
from ..manifest import Manifest
from ..names import CONTEXT, END_LOGITS, QUESTION, START_LOGITS
from ..numeric import check_finite
from ..results import AnswerSpan, AnswersResult
from ..text.line_breaks import LINE_BREAK, breaks_before
from ..text.pairs import SPECIAL, check_pair_limits, pair_documents
from ..text.script import SCRIPTS, check_script, convert_item
from ..text.tokenizer import Tokenizer
from ..text.windows import Document, Window, decode_utf8
from ..text.words import word_bounds
from . import Answer, TensorSpec, WindowOutput

STARTS = 20  # likeliest first tokens of a window that are tried, each with all ends in reach
BEST_SPANS = 40  # spans of a window that are kept
IMPOSSIBLE = -1e30  # finite logit of a token that cannot be part of an answer


@dataclass(frozen=True, kw_only=True)
class Options:
    """The kind's options in the manifest."""

    n_best: int = 5  # the maximum of answers
    max_answer_tokens: int = 50
    max_question_tokens: int = 64  # a longer question is cut, and RESULT says truncated
    script: str = ""  # "t2s": texts are read as simplified Chinese, answers are given as sent
    no_answer_threshold: float | None = None  # above this no_answer_score there are no answers; None: always some

    @classmethod
    def of(cls, manifest: Manifest) -> Options:
        """From the manifest; ManifestError names the task and the option."""
        where, names, faults = f"task {manifest.task}: options", [f.name for f in fields(cls)], Faults()
        for name in manifest.options:
            if name not in names:
                faults.lines.append(f"{where}: unknown option {name!r}; known are {', '.join(names)}")
        options = cls(**{name: value for name, value in manifest.options.items() if name in names})
        for name in ("n_best", "max_answer_tokens", "max_question_tokens"):
            value = getattr(options, name)
            if type(value) is not int or value < 1:
                faults.lines.append(f"{where}.{name} is {value!r}; it must be a whole number from 1")
        if options.script not in ("", *SCRIPTS):
            faults.lines.append(f"{where}.script {options.script!r} is none of {', '.join(SCRIPTS)}, or empty")
        limit = options.no_answer_threshold
        if limit is not None and (type(limit) not in (int, float) or not 0 <= limit <= 1):
            faults.lines.append(f"{where}.no_answer_threshold is {limit!r}; it must be a probability from 0 to 1")
        faults.check()
        return options


class QuestionAnswering:
    """QUESTION, CONTEXT -> RESULT with `answers`, best first, and `no_answer_score`.

    The logit of a span is the sum of the log-probabilities of its first and last token, each a softmax over the [CLS]
    and context tokens of the window, so that windows can be compared: [CLS] stands for "not here". Scores are a
    softmax over the best spans of all windows (BEST_SPANS per window; a span of two windows counts once, with its
    better logit) and over no answer, whose logit is the smallest of any window (Devlin et al. 2018, section 4.3).
    """

    name = "question_answering"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(QUESTION, "BYTES", (1,)), TensorSpec(CONTEXT, "BYTES", (1,)))
    offsets = True

    def check(self, manifest: Manifest) -> None:
        """The options are valid, an answer fits where windows overlap, and the script's converter is installed."""
        options = Options.of(manifest)
        self._check_room(manifest, options, SPECIAL)
        if options.script:
            check_script(options.script)

    def _check_room(self, manifest: Manifest, options: Options, special: int) -> None:
        """ManifestError where windows with so many special tokens may hold no answer whole."""
        limits = manifest.limits
        check_pair_limits(manifest, special)
        room = limits.max_length - special
        room -= min(room // 2, options.max_question_tokens)
        if limits.overflow == "window" and room - min(limits.doc_stride, room) < options.max_answer_tokens:
            raise ManifestError(
                f"task {manifest.task}: an answer of max_answer_tokens {options.max_answer_tokens} may lie whole in no "
                f"window: beside a long question a window holds {room} tokens of the context, and windows start "
                f"{limits.doc_stride} apart; lower max_answer_tokens or doc_stride, or raise max_length"
            )

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """None."""
        return ()

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """start_logits, end_logits FP32 [tokens]."""
        return (TensorSpec(START_LOGITS, "FP32", (-1,)), TensorSpec(END_LOGITS, "FP32", (-1,)))

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """[CLS] QUESTION [SEP] a piece of CONTEXT [SEP]; a document's text is the context as sent."""
        options = Options.of(manifest)
        self._check_room(manifest, options, tokenizer.pair.special)
        names = ("the question", "the context")
        converted = items
        if options.script:
            converted = [tuple(convert_item(raw, options.script, manifest.limits) for raw in item) for item in items]
        documents, windows = pair_documents(converted, tokenizer, manifest.limits, names, options.max_question_tokens)
        if options.script:
            documents = [
                replace(d, text=decode_utf8(raw)) if d.error is None else d
                for d, (_, raw) in zip(documents, items, strict=True)
            ]
        return documents, windows

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The n best spans of each context."""
        if not outputs:
            return []
        options = Options.of(manifest)
        texts = [d.text for d, windows in zip(documents, outputs, strict=True) for _ in windows]
        spans = best_spans([w for windows in outputs for w in windows], options.max_answer_tokens, texts)
        answers, first = [], 0
        for document, windows in zip(documents, outputs, strict=True):
            last = first + len(windows)
            low, high = np.searchsorted(spans.window, (first, last))
            no_answer = float(spans.no_answer[first:last].min())
            answers.append(_answer(document.text, spans, slice(int(low), int(high)), no_answer, options))
            first = last
        return answers


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Candidate spans of many windows: arrays of equal length, ordered by window; `no_answer` has one per window."""

    window: np.ndarray  # int64
    start: np.ndarray  # int64, characters
    end: np.ndarray  # int64
    logit: np.ndarray  # float32
    context: np.ndarray  # int64, tokens of the context between the span and the nearer edge of its window
    no_answer: np.ndarray  # float32 [W], the logit of no answer


def best_spans(windows: Sequence[WindowOutput], max_tokens: int, texts: Sequence[str] = ()) -> Spans:
    """The BEST_SPANS best spans of each window, from its STARTS likeliest starts and all ends in their reach.

    Only context tokens (those with offsets) start or end a span. texts: the context of each window; no span crosses a
    blank line of it, and a line break costs LINE_BREAK.
    """
    length = max(len(w.offsets) for w in windows)
    offsets = np.zeros((len(windows), length, 2), np.int64)
    logits = np.full((2, len(windows), length), IMPOSSIBLE, np.float32)
    for number, window in enumerate(windows):
        size = len(window.offsets)
        offsets[number, :size] = window.offsets
        logits[0, number, :size] = window.tensors[START_LOGITS]
        logits[1, number, :size] = window.tensors[END_LOGITS]
    real = offsets[:, :, 1] > 0
    starts, ends = _log_softmax(logits, real)
    no_answer = starts[:, 0] + ends[:, 0]
    starts[~real], ends[~real] = IMPOSSIBLE, IMPOSSIBLE

    firsts = np.argsort(-starts, axis=1, kind="stable")[:, :STARTS]  # [W, S]
    lasts = firsts[:, :, None] + np.arange(min(max_tokens, length))  # [W, S, M]
    inside = lasts < length
    lasts = np.minimum(lasts, length - 1).reshape(len(windows), -1)
    logit = np.take_along_axis(starts, firsts, axis=1)[:, :, None] + np.take_along_axis(ends, lasts, axis=1).reshape(
        inside.shape
    )
    logit = np.where(inside, logit, IMPOSSIBLE).reshape(lasts.shape)
    _charge_line_breaks(logit, texts, offsets, np.repeat(firsts, inside.shape[2], axis=1), lasts)
    best = np.argsort(-logit, axis=1, kind="stable")[:, :BEST_SPANS]
    row, rank = np.nonzero(np.take_along_axis(logit, best, axis=1) > IMPOSSIBLE / 2)
    chosen = best[row, rank]
    first, last = firsts[row, chosen // inside.shape[2]], lasts[row, chosen]
    left = real.argmax(axis=1)  # a window's first context token, and its last
    right = length - 1 - real[:, ::-1].argmax(axis=1)
    context = np.minimum(first - left[row], right[row] - last)
    return Spans(
        window=row,
        start=offsets[row, first, 0],
        end=offsets[row, last, 1],
        logit=logit[row, chosen],
        context=context,
        no_answer=no_answer,
    )


def _charge_line_breaks(
    logit: np.ndarray, texts: Sequence[str], offsets: np.ndarray, firsts: np.ndarray, lasts: np.ndarray
) -> None:
    """Lower the logits of the spans that go over a line break; offsets: [W, L, 2]; the others: [W, spans]."""
    for row, text in enumerate(texts):
        before = breaks_before(text, offsets[row, :, 0])
        if before is not None:
            lines, blank_lines = (count[lasts[row]] - count[firsts[row]] for count in before)
            logit[row] = np.where(blank_lines > 0, IMPOSSIBLE, logit[row] - LINE_BREAK * lines)


def _log_softmax(logits: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Log-probabilities [2, W, L] over [CLS] and the context tokens; EngineError where one is not finite."""
    allowed = real.copy()
    allowed[:, 0] = True
    masked = np.where(allowed, logits, np.float32(IMPOSSIBLE))
    check_finite(masked)
    shifted = masked - masked.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _answer(text: str, spans: Spans, rows: slice, no_answer: float, options: Options) -> Answer:
    """The n best answers of one context; ties go to the span with most context, then the earlier, then the shorter.

    rows: those of `spans` that are of this context; no_answer: logit.
    """
    left, right = word_bounds(text)
    start, end, logit = left[spans.start[rows]], right[spans.end[rows]], spans.logit[rows]
    order = np.lexsort((end, start, -spans.context[rows], -logit))
    start, end, logit = start[order], end[order], logit[order]
    _, best = np.unique(start * (len(text) + 1) + end, return_index=True)  # the first of equal spans, so the best
    best.sort()
    start, end = start[best], end[best]
    weights = np.append(logit[best], no_answer).astype(np.float64)
    weights = np.exp(weights - weights.max())
    scores = weights / weights.sum()
    limit = options.no_answer_threshold
    count = 0 if limit is not None and scores[-1] > limit else options.n_best
    chosen = zip(start[:count].tolist(), end[:count].tolist(), scores[:-1][:count].tolist(), strict=True)
    answers: list[AnswerSpan] = [
        {"text": text[s:e], "start": s, "end": e, "score": round(score, 6)} for s, e, score in chosen
    ]
    result: AnswersResult = {"answers": answers, "no_answer_score": round(float(scores[-1]), 6)}
    return Answer(result, {})


KIND = QuestionAnswering()
