"""Answers to a question, cut from a context: start and end logits, n-best over all windows (SQuAD, CMRC2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ..errors import ManifestError
from ..manifest import Manifest
from ..names import CONTEXT, END_LOGITS, QUESTION, START_LOGITS
from ..numeric import check_finite
from ..results import AnswerSpan, AnswersResult
from ..text.pairs import SPECIAL, check_pair_limits, pair_documents
from ..text.script import SCRIPTS, check_script, convert_item
from ..text.tokenization import ErnieTokenizer
from ..text.windows import Document, Window, decode_utf8
from ..text.words import word_bounds
from . import Answer, TensorSpec, WindowOutput

STARTS = 20  # likeliest first tokens of a window that are looked at, each with all ends in reach
KEPT = 40  # best spans of a window
FINITE = -1e30  # stands for the logit of a token that can be no answer


@dataclass(frozen=True, kw_only=True)
class Options:
    """The kind's options in the manifest."""

    n_best: int = 5  # answers given
    max_answer_tokens: int = 50
    max_question_tokens: int = 64  # a longer question is cut, and the answer says truncated
    script: str = ""  # "t2s": texts are read as simplified Chinese, answers given as they were sent
    no_answer_threshold: float | None = None  # no answers where no_answer_score is above; None: always the best

    @classmethod
    def of(cls, manifest: Manifest) -> Options:
        """From the manifest; ManifestError names the task and the option."""
        where, known = f"task {manifest.task}: options", [f.name for f in fields(cls)]
        for name in manifest.options:
            if name not in known:
                raise ManifestError(f"{where}: unknown option {name!r}; known are {', '.join(known)}")
        found = cls(**manifest.options)
        for name in ("n_best", "max_answer_tokens", "max_question_tokens"):
            value = getattr(found, name)
            if type(value) is not int or value < 1:
                raise ManifestError(f"{where}.{name} is {value!r}; it must be a whole number from 1")
        if found.script not in ("", *SCRIPTS):
            raise ManifestError(f"{where}.script {found.script!r} is none of {', '.join(SCRIPTS)}, or empty")
        limit = found.no_answer_threshold
        if limit is not None and (type(limit) not in (int, float) or not 0 <= limit <= 1):
            raise ManifestError(f"{where}.no_answer_threshold is {limit!r}; it must be a probability from 0 to 1")
        return found


class QuestionAnswering:
    """QUESTION, CONTEXT -> RESULT with `answers`, best first, and `no_answer_score`.

    A span's logit is the sum of the log-probabilities of its first and its last token, each a softmax over a
    window's [CLS] and context tokens, so that windows can be compared: [CLS] stands for "not here". Scores are a
    softmax over the best spans of all windows (KEPT a window, the same span of two windows counts once, with its
    better logit) and over no answer, whose logit is that of the window least sure of it (Devlin et al. 2018,
    section 4.3).
    """

    name = "question_answering"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(QUESTION, "BYTES", (1,)), TensorSpec(CONTEXT, "BYTES", (1,)))
    offsets = True

    def check(self, manifest: Manifest) -> None:
        """The options make sense, an answer fits where windows overlap, and the script's converter is there."""
        options, limits = Options.of(manifest), manifest.limits
        check_pair_limits(manifest)
        room = limits.max_length - SPECIAL
        room -= min(room // 2, options.max_question_tokens)
        if limits.overflow == "window" and room - min(limits.doc_stride, room) < options.max_answer_tokens:
            raise ManifestError(
                f"task {manifest.task}: an answer of max_answer_tokens {options.max_answer_tokens} may lie whole in no "
                f"window: beside a long question a window holds {room} tokens of the context, and windows start "
                f"{limits.doc_stride} apart; lower max_answer_tokens or doc_stride, or raise max_length"
            )
        if options.script:
            check_script(options.script)

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """None."""
        return ()

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """start_logits, end_logits FP32 [tokens]."""
        return (TensorSpec(START_LOGITS, "FP32", (-1,)), TensorSpec(END_LOGITS, "FP32", (-1,)))

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: ErnieTokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """[CLS] QUESTION [SEP] a piece of CONTEXT [SEP]; a document's text is the context as sent."""
        options = Options.of(manifest)
        names = ("the question", "the context")
        read = items
        if options.script:
            read = [tuple(convert_item(raw, options.script, manifest.limits) for raw in item) for item in items]
        documents, windows = pair_documents(read, tokenizer, manifest.limits, names, options.max_question_tokens)
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
        spans = best_spans([w for windows in outputs for w in windows], options.max_answer_tokens)
        answers, first = [], 0
        for document, windows in zip(documents, outputs, strict=True):
            last = first + len(windows)
            low, high = np.searchsorted(spans.window, (first, last))
            none = float(spans.none[first:last].min())
            answers.append(_answer(document.text, spans, slice(int(low), int(high)), none, options))
            first = last
        return answers


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Candidates of many windows: arrays of one length, ordered by window; `none` has one value a window."""

    window: np.ndarray  # int64
    start: np.ndarray  # int64, characters
    end: np.ndarray  # int64
    logit: np.ndarray  # float32
    context: np.ndarray  # int64, tokens of the context between the span and the nearer edge of its window
    none: np.ndarray  # float32 [W], the logit of no answer


def best_spans(windows: Sequence[WindowOutput], max_tokens: int) -> Spans:
    """The KEPT best spans of each window, from its STARTS likeliest starts and all ends in reach of them.

    Only context tokens (those with offsets) start or end a span.
    """
    length = max(len(w.offsets) for w in windows)
    offsets = np.zeros((len(windows), length, 2), np.int64)
    logits = np.full((2, len(windows), length), FINITE, np.float32)
    for number, window in enumerate(windows):
        size = len(window.offsets)
        offsets[number, :size] = window.offsets
        logits[0, number, :size] = window.tensors[START_LOGITS]
        logits[1, number, :size] = window.tensors[END_LOGITS]
    real = offsets[:, :, 1] > 0
    starts, ends = _log_softmax(logits, real)
    none = starts[:, 0] + ends[:, 0]
    starts[~real], ends[~real] = FINITE, FINITE

    firsts = np.argsort(-starts, axis=1, kind="stable")[:, :STARTS]  # [W, S]
    lasts = firsts[:, :, None] + np.arange(min(max_tokens, length))  # [W, S, M]
    inside = lasts < length
    lasts = np.minimum(lasts, length - 1).reshape(len(windows), -1)
    logit = np.take_along_axis(starts, firsts, axis=1)[:, :, None] + np.take_along_axis(ends, lasts, axis=1).reshape(
        inside.shape
    )
    logit = np.where(inside, logit, FINITE).reshape(lasts.shape)
    kept = np.argsort(-logit, axis=1, kind="stable")[:, :KEPT]
    row, rank = np.nonzero(np.take_along_axis(logit, kept, axis=1) > FINITE / 2)
    chosen = kept[row, rank]
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
        none=none,
    )


def _log_softmax(logits: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Log-probabilities [2, W, L] over [CLS] and the context tokens; EngineError where one is not finite."""
    allowed = real.copy()
    allowed[:, 0] = True
    masked = np.where(allowed, logits, np.float32(FINITE))
    check_finite(masked)
    shifted = masked - masked.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _answer(text: str, spans: Spans, mine: slice, none: float, options: Options) -> Answer:
    """The n best of one context; ties go to the span with most context, then the earlier, then the shorter."""
    left, right = word_bounds(text)
    start, end, logit = left[spans.start[mine]], right[spans.end[mine]], spans.logit[mine]
    order = np.lexsort((end, start, -spans.context[mine], -logit))
    start, end, logit = start[order], end[order], logit[order]
    _, best = np.unique(start * (len(text) + 1) + end, return_index=True)  # the first, so the best, of each
    best.sort()
    start, end = start[best], end[best]
    weights = np.append(logit[best], none).astype(np.float64)
    weights = np.exp(weights - weights.max())
    scores = weights / weights.sum()
    limit = options.no_answer_threshold
    count = 0 if limit is not None and scores[-1] > limit else options.n_best
    rows = zip(start[:count].tolist(), end[:count].tolist(), scores[:-1][:count].tolist(), strict=True)
    answers: list[AnswerSpan] = [
        {"text": text[s:e], "start": s, "end": e, "score": round(score, 6)} for s, e, score in rows
    ]
    result: AnswersResult = {"answers": answers, "no_answer_score": round(float(scores[-1]), 6)}
    return Answer(result, {})


KIND = QuestionAnswering()
