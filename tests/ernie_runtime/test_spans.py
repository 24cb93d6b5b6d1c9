"""THE property: the entities that come out are characters of the text as sent, exactly those that were meant.

The engine here is an oracle: it knows every token's tag, but tells it only in the window where the token lies
farthest from an edge. Elsewhere, on [CLS], [SEP] and padding, it says something wrong, loudly.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ernie_runtime.engines import Tensors
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.bio import TagSet
from ernie_runtime.text.tokenization import ErnieTokenizer, TokenizedText
from ernie_runtime.text.words import NUMBERS, TELEPHONES

TYPES = ("PER", "LOC", "ORG")
TAGS = TagSet.of_types(TYPES)
Spans = list[tuple[int, int, str]]

PIECES: list[list[str]] = [
    [*"中国人民银行北京大学王小明上海致公党世界卫生组织我们他的在和了"],
    ["18866668888", "2024", "3.14", "9,999", "0", "1997年7月1日"],
    ["hello", "iPhone", "Pro", "Triton", "unbelievable", "NVIDIA", "a", "C++", "user@mail.cn"],
    ["ＡＢＣ", "１２３", "ｈｅｌｌｏ", "！", "（全角）"],
    ["😀", "👩\u200d💻", "👨\u200d👩\u200d👧\u200d👦", "👍🏽", "❤\ufe0f", "🇨🇳", "1\ufe0f\u20e3"],
    [
        "e\u0301",
        "cafe\u0301",
        "naïve",
        "中\u0301\u0302",
        "q\u0323\u0307",
        "İ",
        "\u0301",
        "が",
        "葛\U000e0100",
    ],
    ["龘", "\U00020000", "\U0002ceb0", "한국어", "ไทย", "עִבְרִית", "हिन्दी", "Ωμέγα", "豈"],
    ["\0", "\x07", "\u200b", "\ufeff", "\ufffd", "\xad", "\x7f"],
    [" ", "   ", "\u3000", "\t\n", "\r\n\r\n", "\xa0 ", "\u2028"],
    ["x" * 101, "supercalifragilistic" * 4, "é" * 100, "y" * 99 + "\u0301" * 40, "7" * 60],
    [*"，。、：“”《》#-/%", "……", "[SEP]", "[MASK]"],
]
WEIGHTS = [8, 3, 4, 2, 2, 3, 2, 2, 3, 1, 3]


def make_texts(rng: random.Random, count: int, pieces: int) -> list[str]:
    texts: set[str] = set()
    while len(texts) < count:
        pools = rng.choices(PIECES, WEIGHTS, k=rng.randint(1, pieces))
        texts.add("".join(rng.choice(pool) for pool in pools))
    return sorted(texts)


def make_entities(rng: random.Random, tokens: int) -> Spans:
    """Entities in tokens, in order, many of them touching; often one ends at the last token."""
    entities: Spans = []
    position = 0
    while position < tokens:
        position += rng.choice([0, 0, 0, 1, 2, 5])
        end = min(position + rng.choice([1, 1, 2, 3, 4, 9, 20]), tokens)
        if rng.random() < 0.2:
            end = tokens
        if position < end and rng.random() < 0.8:
            entities.append((position, end, rng.choice(TYPES[: rng.randint(1, 3)])))
        position = end
    return entities


def is_whole(text: str, tokens: TokenizedText, span: tuple[int, int, str]) -> bool:
    """Whether decoding may find a span however sure the model is: it has no blank line, and no end inside a number."""
    start, end = int(tokens.offsets[span[0], 0]), int(tokens.offsets[span[1] - 1, 1])
    numbers = [match.span() for form in (NUMBERS, TELEPHONES) for match in form.finditer(text)]
    splits = any(first < edge < last for first, last in numbers for edge in (start, end))
    return not splits and not re.search("[\n\r\u2028\u2029]\\s*[\n\r\u2028\u2029]", text[start:end])


class Numbered:
    """A tokenizer with the real offsets, in which every token of every text has an id of its own."""

    cls_id, sep_id = 1, 2

    def __init__(self, texts: Sequence[str], tokenized: Sequence[TokenizedText]) -> None:
        self.texts = {"": TokenizedText(np.zeros(0, np.int64), np.zeros((0, 2), np.int32))}
        self.next = 3
        for text, tokens in zip(texts, tokenized, strict=True):
            count = len(tokens.ids)
            self.texts[text] = TokenizedText(np.arange(self.next, self.next + count), tokens.offsets)
            self.next += count

    def __call__(self, texts: Sequence[str]) -> list[TokenizedText]:
        return [self.texts[text] for text in texts]


def starts_of(tokens: int, room: int, stride: int) -> list[int]:
    return [0] if tokens <= room else [*range(0, tokens - room, stride), tokens - room]


class Oracle:
    """An engine that knows the entities of numbered texts."""

    def __init__(self, numbered: Numbered, entities: dict[str, Spans], manifest: Manifest, rng: random.Random) -> None:
        self.random = np.random.default_rng(rng.randrange(2**32))
        self.tag = np.zeros(numbered.next, np.int64)
        self.context = np.zeros(numbered.next, np.int64)
        room = manifest.limits.max_length - 2
        for text, spans in entities.items():
            ids = numbered.texts[text].ids
            for first, last, kind in spans:
                self.tag[ids[first:last]] = TAGS.index[f"I-{kind}"]
                self.tag[ids[first]] = TAGS.index[f"B-{kind}"]
            for start in starts_of(len(ids), room, manifest.limits.doc_stride):
                window_ids = ids[start : start + room]
                reach = np.arange(len(window_ids))
                self.context[window_ids] = np.maximum(self.context[window_ids], np.minimum(reach, reach[::-1]))

    def __call__(self, tensors: Tensors) -> Tensors:
        ids = tensors["input_ids"]
        position = np.arange(ids.shape[1]) - 1
        context = np.minimum(position, (ids != 0).sum(1)[:, None] - 3 - position)
        best_context = (ids > 2) & (context >= self.context[ids])
        wrong = self.random.integers(0, len(TAGS.tags), ids.shape)
        columns = np.where(best_context, self.tag[ids], wrong)
        logits = self.random.random((*ids.shape, len(TAGS.tags)))
        np.put_along_axis(logits, columns[..., None], np.where(best_context, 12.0, 24.0)[..., None], axis=2)
        return {"logits": logits.astype(np.float32)}


def through_steps(
    texts: Sequence[str], manifest: Manifest, numbered: Any, oracle: Oracle, rng: random.Random
) -> list[dict[str, Any]]:
    """RESULT of each text, in requests of 1-5 texts, many requests in each call of a step."""
    results = []
    encoder, postprocess = (
        EncoderStep(oracle, ["logits"], Batching(token_budget=64, max_rows=16)),
        PostprocessStep(manifest),
    )
    remaining = list(texts)
    while remaining:
        requests: list[dict[str, np.ndarray]] = []
        while remaining and len(requests) < 20:
            size = rng.randint(1, 5)
            requests.append({"TEXT": strings([text.encode() for text in remaining[:size]])})
            remaining = remaining[size:]
        buckets = rng.choice([(), (4, 6, 8, 16, 32, 128)])
        tokenized: list[Any] = TokenizerStep(manifest, numbered, buckets).run(requests)
        encoded: list[Any] = encoder.run(tokenized)
        outcomes: list[Any] = postprocess.run([{**t, **e} for t, e in zip(tokenized, encoded, strict=True)])
        for request, outcome in zip(requests, outcomes, strict=True):
            assert outcome["RESULT"].shape == request["TEXT"].shape
            results += [json.loads(raw) for raw in outcome["RESULT"][:, 0]]
    return results


def count_cases(case_counts: Counter[str], spans: Spans, tokens: int, max_length: int, stride: int) -> None:
    """How often the hard situations came up."""
    room = max_length - 2
    starts = starts_of(tokens, room, stride)
    case_counts["windows"] += len(starts) > 1
    for (first, last, kind), following in zip(spans, [*spans, None][1:], strict=True):
        case_counts["at the last token"] += last == tokens
        case_counts["touching, same type"] += following is not None and following[0] == last and following[2] == kind
        if len(starts) > 1:
            case_counts["in no one window"] += not any(s <= first and last <= s + room for s in starts)
            case_counts["ends with a window"] += any(last == s + room < tokens for s in starts)
            case_counts["starts with a window"] += any(first == s > 0 for s in starts)


@pytest.mark.parametrize(
    ("max_length", "doc_stride", "pieces"),
    [(4, 1, 8), (4, 2, 16), (5, 2, 20), (8, 3, 30), (12, 10, 60), (16, 7, 60), (128, 96, 160)],
)
def test_spans_slice_back_to_the_entities(
    tokenizer: ErnieTokenizer,
    make_manifest: Callable[..., Manifest],
    max_length: int,
    doc_stride: int,
    pieces: int,
) -> None:
    rng = random.Random(max_length * 1000 + doc_stride)
    manifest = make_manifest(labels=TAGS.tags, max_length=max_length, doc_stride=doc_stride)
    texts, tokenized, entities, case_counts = [], [], {}, Counter[str]()
    candidates = make_texts(rng, 320 if max_length < 100 else 400, pieces)
    rng.shuffle(candidates)
    for text, tokens in zip(candidates, tokenizer(candidates), strict=True):
        if len(tokens.ids):
            texts.append(text)
            tokenized.append(tokens)
            entities[text] = [span for span in make_entities(rng, len(tokens.ids)) if is_whole(text, tokens, span)]
            count_cases(case_counts, entities[text], len(tokens.ids), max_length, doc_stride)
    assert len(texts) >= (270 if max_length < 100 else 100)
    assert all(case_counts[case] >= 20 for case in ("windows", "at the last token", "touching, same type")), case_counts
    edges = min(case_counts["ends with a window"], case_counts["starts with a window"])
    assert edges >= (20 if max_length < 100 else 1) and case_counts["in no one window"] >= 20, case_counts

    numbered: Any = Numbered(texts, tokenized)
    oracle = Oracle(numbered, entities, manifest, rng)
    served = through_steps(texts, manifest, numbered, oracle, rng)
    pipeline = Pipeline(manifest, numbered, oracle, Batching(token_budget=100, max_rows=7))
    predicted = pipeline.predict([(text,) for text in texts], chunk=rng.randint(50, 300))

    whole_words: dict[str, list[int]] = {}
    for text, tokens, result, answer in zip(texts, tokenized, served, predicted, strict=True):
        spans, offsets = entities[text], tokens.offsets
        expected = [(int(offsets[a, 0]), int(offsets[b - 1, 1]), kind) for a, b, kind in spans]
        windows = len(starts_of(len(tokens.ids), max_length - 2, doc_stride))
        assert not isinstance(answer, str)
        for actual in (result, answer.result):
            assert [(e["start"], e["end"], e["label"]) for e in actual["entities"]] == expected, text
            assert all(e["text"] == text[e["start"] : e["end"]] != "" for e in actual["entities"])
            assert all(0.99 < e["score"] <= 1 for e in actual["entities"])
            assert (actual["tokens"], actual["windows"], actual["truncated"]) == (len(tokens.ids), windows, False)
        for first, last, _ in spans:
            inside = [tokenizer.token(i).startswith("##") for i in tokens.ids[[first, min(last, len(tokens.ids) - 1)]]]
            if not inside[0] and (last == len(tokens.ids) or not inside[1]):
                whole_words[text[offsets[first, 0] : offsets[last - 1, 1]]] = tokens.ids[first:last].tolist()

    # Not by the same offsets: an entity of whole words, tokenized alone, is the tokens that were tagged.
    assert len(whole_words) > 100
    retokenized = tokenizer(list(whole_words))
    assert [tokens.ids.tolist() for tokens in retokenized] == list(whole_words.values())


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("打电话给18866668888", [(4, 15, "PER")]),
        ("打电话给18866668888。", [(4, 15, "PER"), (15, 16, "LOC")]),
        ("打电话给 18866668888 ok", [(5, 16, "PER")]),
        ("我买iPhone 15 Pro花9,999元", [(2, 15, "ORG"), (16, 21, "LOC")]),
        ("张三ＡＢＣ１２３", [(0, 2, "PER"), (2, 8, "ORG")]),
        ("１８８６６６６８８８８是张三的", [(0, 11, "LOC"), (12, 14, "PER")]),
        ("👩\u200d💻张三👍🏽李四", [(3, 5, "PER"), (7, 9, "PER")]),
        ("😀😀北京", [(1, 2, "LOC"), (2, 4, "LOC")]),
        ("  北  京\u3000上海 ", [(2, 6, "LOC"), (7, 9, "LOC")]),
        ("北京北京", [(0, 2, "LOC"), (2, 4, "LOC")]),
        ("李e\u0301四 cafe\u0301", [(0, 4, "PER"), (5, 10, "ORG")]),
        ("龘\U00020000北京", [(0, 2, "PER"), (2, 4, "LOC")]),
        ("\0张\0三\0", [(1, 4, "PER")]),
        ("x" * 101 + "北京", [(0, 101, "ORG"), (101, 103, "LOC")]),
        ("한국어北京", [(0, 3, "ORG"), (3, 5, "LOC")]),
        ("\ufeff张三[SEP]李四", [(1, 3, "PER"), (8, 10, "PER")]),
    ],
)
def test_tokens_are_not_characters(
    tokenizer: ErnieTokenizer, make_manifest: Callable[..., Manifest], text: str, entities: Spans
) -> None:
    for max_length, doc_stride in ((4, 2), (6, 2), (128, 96)):
        manifest = make_manifest(labels=TAGS.tags, max_length=max_length, doc_stride=doc_stride)
        (tokens,) = tokenizer([text])
        spans = []
        for start, end, kind in entities:
            (inside,) = np.nonzero((tokens.offsets[:, 0] >= start) & (tokens.offsets[:, 1] <= end))
            spans.append((int(inside[0]), int(inside[-1]) + 1, kind))
        numbered: Any = Numbered([text], [tokens])
        oracle = Oracle(numbered, {text: spans}, manifest, random.Random(1))
        (result,) = through_steps([text], manifest, numbered, oracle, random.Random(2))
        assert [(e["start"], e["end"], e["label"]) for e in result["entities"]] == entities
        assert [e["text"] for e in result["entities"]] == [text[start:end] for start, end, _ in entities]
