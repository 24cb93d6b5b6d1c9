"""Ranks candidates for a query: a pair classifier reads the query with each of them (a cross-encoder)."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from ..errors import Faults, InvalidItem
from ..manifest import Limits, Manifest
from ..names import CANDIDATES, LOGITS, QUERY
from ..numeric import softmax
from ..results import RankedCandidate, RankingResult
from ..text.pairs import check_pair_limits, pair_windows
from ..text.tokenizer import Tokenizer
from ..text.windows import MAX_WINDOWS, Document, DocumentBuilder, Window, decode_utf8, empty_fault, read_text
from . import POOLING, Answer, TensorSpec, WindowOutput, check_option_names, check_pooling

MAX_CANDIDATES = 256
EXTRA_CANDIDATES = "candidates"  # key of Document.extra: the candidates' texts, one per window


def read_candidates(raw: bytes | str, limits: Limits, max_candidates: int = MAX_CANDIDATES) -> list[str]:
    """The strings of a JSON list; InvalidItem where it is no list, is too long, or holds anything but texts."""
    try:
        candidates = json.loads(decode_utf8(raw))
    except InvalidItem as error:
        raise InvalidItem(f"the list of candidates is {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidItem(f"the candidates are not JSON ({error}); send a list of strings") from None
    if not isinstance(candidates, list):
        raise InvalidItem("the candidates are JSON but no list; send a list of strings")
    if not candidates:
        raise InvalidItem("the list of candidates is empty")
    if len(candidates) > max_candidates:
        raise InvalidItem(f"{len(candidates):,} candidates, this task takes at most {max_candidates:,}")
    for number, text in enumerate(candidates):
        if not isinstance(text, str):
            raise InvalidItem(f"candidate {number} is no string; send a list of strings")
        read_text(text, limits, f"candidate {number}")
    return candidates


class Ranking:
    """QUERY, CANDIDATES (a JSON list of strings) -> RESULT with `ranking`: `index`, `text` and `score` of each."""

    name = "ranking"
    inputs: tuple[TensorSpec, ...] = (TensorSpec(QUERY, "BYTES", (1,)), TensorSpec(CANDIDATES, "BYTES", (1,)))
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """Two labels, the second for a candidate that fits; one window for both; options max_candidates, pooling."""
        where, faults = f"task {manifest.task}", Faults()
        with faults.collect():
            check_pair_limits(manifest)
        if len(manifest.labels) != 2:
            faults.lines.append(
                f"{where}: {self.name} needs two labels, the second for a candidate that fits the query"
            )
        if manifest.limits.overflow != "truncate":
            faults.lines.append(
                f'{where}: {self.name} reads a candidate as one window: set limits.overflow = "truncate"'
            )
        with faults.collect():
            check_option_names(manifest, ("max_candidates", POOLING))
        with faults.collect():
            check_pooling(manifest)
        max_candidates = manifest.options.get("max_candidates", MAX_CANDIDATES)
        if type(max_candidates) is not int or not 1 <= max_candidates <= MAX_WINDOWS:
            faults.lines.append(
                f"{where}: options.max_candidates is {max_candidates!r}; it must be from 1 to {MAX_WINDOWS:,}"
            )
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """None."""
        return ()

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """logits FP32 [2] of a query with one candidate."""
        return (TensorSpec(LOGITS, "FP32", (2,)),)

    def documents(
        self, items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, manifest: Manifest
    ) -> tuple[list[Document], list[Window]]:
        """One window per candidate: [CLS] query [SEP] candidate [SEP], token types 0 and 1; the longer text is cut."""
        check_pair_limits(manifest, tokenizer.pair.special)
        limits, max_candidates = manifest.limits, manifest.options.get("max_candidates", MAX_CANDIDATES)
        texts: list[list[str]] = []  # of each item: the query, then its candidates
        faults: list[str | None] = []
        for query, candidates in items:
            try:
                texts.append(
                    [read_text(query, limits, "the query"), *read_candidates(candidates, limits, max_candidates)]
                )
                faults.append(None)
            except InvalidItem as error:
                texts.append([])
                faults.append(str(error))
        tokenized = iter(tokenizer([text for item in texts for text in item]))
        builder = DocumentBuilder(tokenizer)
        for item, fault in zip(texts, faults, strict=True):
            tokens = [next(tokenized) for _ in item]
            names = ["the query", *(f"candidate {number}" for number in range(len(item) - 1))]
            for text, text_tokens, name in zip(item, tokens, names, strict=False):
                if fault is None and len(text_tokens.ids) == 0:
                    fault = empty_fault(text, name)
            if fault is not None:
                builder.refuse("", fault)
                continue
            pairs = [pair_windows(builder.owner, tokens[0], candidate, tokenizer, limits) for candidate in tokens[1:]]
            windows = [window for pair, _ in pairs for window in pair]
            count = sum(len(text_tokens.ids) for text_tokens in tokens)
            builder.add(item[0], count, windows, any(truncated for _, truncated in pairs), {EXTRA_CANDIDATES: item[1:]})
        return builder.documents, builder.windows

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """The candidates by probability of the second label; equal ones keep the order in which they were sent."""
        answers = []
        for document, windows in zip(documents, outputs, strict=True):
            logits = np.stack([window.tensors[LOGITS] for window in windows]).astype(np.float64)
            scores = softmax(logits)[:, 1].tolist()
            # Sorted by the difference of the logits: near 1 many probabilities are the same float.
            order = np.argsort(logits[:, 0] - logits[:, 1], kind="stable").tolist()
            texts = document.extra[EXTRA_CANDIDATES]
            ranking: list[RankedCandidate] = [
                {"index": i, "text": texts[i], "score": round(scores[i], 6)} for i in order
            ]
            result: RankingResult = {"ranking": ranking}
            answers.append(Answer(result, {}))
        return answers


KIND = Ranking()
