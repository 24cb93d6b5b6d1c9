"""Answers cut from a context: windows, the n best spans, scores, whole words, scripts, and the three steps."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_runtime import script
from ernie_runtime.batching import Batching, Tensors
from ernie_runtime.errors import EngineError, InvalidItem, ManifestError
from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.pipeline import Pipeline, window_outputs
from ernie_runtime.steps import EncoderStep, PostprocessStep, TokenizerStep, strings
from ernie_runtime.tokenization import ErnieTokenizer
from ernie_runtime.windows import Document, Window

MakeManifest = Callable[..., Manifest]
Answers = list[dict[str, Any]]
KIND = get_kind("question_answering")
QUESTION = "是谁？"


@pytest.fixture
def manifest_of(make_manifest: MakeManifest) -> Callable[..., Manifest]:
    """`manifest_of(max_length, doc_stride, **options)`."""

    def make(max_length: int = 32, doc_stride: int = 8, overflow: str = "window", **options: Any) -> Manifest:
        options = {"max_answer_tokens": 8, "max_question_tokens": 8, **options}
        return make_manifest(KIND.name, (), max_length, doc_stride, overflow, options=options, max_chars=2000)

    return make


ManifestOf = Callable[..., Manifest]


def window_of(
    tokens: Sequence[tuple[int, int]], starts: Sequence[float], ends: Sequence[float], question: int = 2
) -> WindowOutput:
    """[CLS] question [SEP] context [SEP]; logits: [CLS] first, then the context's; all else is as loud as can be."""
    blind = np.zeros((question + 1, 2), np.int32)
    offsets = np.concatenate(
        [np.zeros((1, 2), np.int32), blind, np.array(tokens, np.int32), np.zeros((1, 2), np.int32)]
    )

    def row(values: Sequence[float]) -> np.ndarray:
        return np.array([values[0], *[99.0] * (question + 1), *values[1:], 99.0], np.float32)

    return WindowOutput(offsets, {"start_logits": row(starts), "end_logits": row(ends)})


def decode(manifest: Manifest, text: str, *windows: WindowOutput) -> dict[str, Any]:
    KIND.check(manifest)
    (answer,) = KIND.decode([Document(text, len(text), len(windows), False)], [windows], manifest)
    assert answer.numeric == {}
    for found in answer.result["answers"]:
        assert found["text"] == text[found["start"] : found["end"]] != ""
    return answer.result


def characters(text: str) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(len(text))]


def places(result: dict[str, Any]) -> list[tuple[int, int]]:
    return [(a["start"], a["end"]) for a in result["answers"]]


def peaks(length: int, *where: int, low: float = 0.0) -> list[float]:
    """Logits of [CLS] and `length` tokens: 9, 8, 7 ... at `where` (0 is [CLS])."""
    values = [low] * (length + 1)
    for order, position in enumerate(where):
        values[position] = 9.0 - order
    return values


def test_scores_by_hand(manifest_of: ManifestOf) -> None:
    """Two tokens, three spans and no answer: log-probabilities add up, the scores are their softmax."""
    starts, ends = np.log([0.2, 0.5, 0.3]), np.log([0.1, 0.3, 0.6])  # probabilities of [CLS], first, second
    result = decode(manifest_of(), "张三", window_of(characters("张三"), list(starts + 3), list(ends - 7)))
    spans = {(0, 2): 0.5 * 0.6, (1, 2): 0.3 * 0.6, (0, 1): 0.5 * 0.3}
    total = sum(spans.values()) + 0.2 * 0.1
    assert places(result) == [(0, 2), (1, 2), (0, 1)]
    assert [a["score"] for a in result["answers"]] == pytest.approx([p / total for p in spans.values()], abs=2e-6)
    assert result["no_answer_score"] == pytest.approx(0.02 / total, abs=2e-6)


def test_the_end_is_not_before_the_start_nor_out_of_reach(manifest_of: ManifestOf) -> None:
    text = "一二三四五六七八九"
    backwards = decode(manifest_of(), text, window_of(characters(text), peaks(9, 6), peaks(9, 3)))
    assert all(start < end for start, end in places(backwards))
    far = window_of(characters(text), peaks(9, 1), peaks(9, 9, 4))
    assert places(decode(manifest_of(max_answer_tokens=8), text, far))[0] == (0, 4)
    assert places(decode(manifest_of(max_answer_tokens=9, doc_stride=7), text, far))[0] == (0, 9)


@pytest.mark.parametrize("n_best", [1, 2, 5, 30])
def test_n_best(manifest_of: ManifestOf, n_best: int) -> None:
    """Best first; as many as asked for, or as there are; one sum with no answer."""
    text = "一二三四"
    result = decode(manifest_of(n_best=n_best), text, window_of(characters(text), peaks(4, 2, 3), peaks(4, 3, 4)))
    scores = [a["score"] for a in result["answers"]]
    assert len(scores) == min(n_best, 10)  # 4 + 3 + 2 + 1 spans
    assert scores == sorted(scores, reverse=True) and len(set(places(result))) == len(scores)
    assert places(result)[0] == (1, 3)
    assert sum(scores) + result["no_answer_score"] == pytest.approx(1, abs=1e-4) or n_best < 10


def test_ties_go_to_the_span_with_most_context_then_the_first(manifest_of: ManifestOf) -> None:
    text = "一二三四五"
    flat = [0.0] * 6
    result = decode(manifest_of(n_best=4), text, window_of(characters(text), flat, flat))
    assert places(result) == [(2, 3), (1, 2), (1, 3), (1, 4)]
    again = decode(manifest_of(n_best=4), text, window_of(characters(text), [7.0] * 6, flat))
    assert again == result


def test_only_the_context_is_answered(manifest_of: ManifestOf) -> None:
    """The question, [SEP] and padding may be as loud as they like (`window_of` makes them so)."""
    text = "一二三"
    result = decode(manifest_of(n_best=50), text, window_of(characters(text), peaks(3, 3), peaks(3, 3), question=9))
    assert places(result)[0] == (2, 3) and len(result["answers"]) == 6


def test_no_answer(manifest_of: ManifestOf) -> None:
    text = "一二三四五六"
    tokens = characters(text)
    sure, silent = peaks(4, 2), peaks(4, 0)
    here, nowhere = window_of(tokens[:4], sure, sure), window_of(tokens[2:], silent, silent)
    found = decode(manifest_of(no_answer_threshold=0.5), text, here, nowhere)
    assert places(found)[0] == (1, 2) and found["no_answer_score"] < 0.01
    both = [window_of(tokens[:4], silent, silent), nowhere]
    assert decode(manifest_of(no_answer_threshold=0.5), text, *both)["answers"] == []
    always = decode(manifest_of(), text, *both)
    assert len(always["answers"]) == 5 and always["no_answer_score"] > 0.9
    assert always["no_answer_score"] == decode(manifest_of(no_answer_threshold=0.5), text, *both)["no_answer_score"]


def test_a_window_s_own_level_does_not_count(manifest_of: ManifestOf) -> None:
    """Logits that are all higher say nothing: each window is compared with its own [CLS]."""
    text = "一二三四五六"
    tokens = characters(text)
    here = window_of(tokens[:4], peaks(4, 2), peaks(4, 2))
    loud = window_of(tokens[2:], [value + 50 for value in peaks(4, 0)], [value + 50 for value in peaks(4, 0)])
    assert places(decode(manifest_of(), text, here, loud))[0] == (1, 2)


def test_the_same_span_of_two_windows_counts_once(manifest_of: ManifestOf) -> None:
    text = "一二三四五六"
    tokens = characters(text)
    weak, strong = [0.0, 0, 0, 2, 0], [0.0, 9, 0, 0, 0]
    one = window_of(tokens[:4], weak, weak)
    two = window_of(tokens[2:], strong, strong)
    result = decode(manifest_of(n_best=50), text, one, two)
    assert places(result)[0] == (2, 3) and len(set(places(result))) == len(places(result))
    assert sum(a["score"] for a in result["answers"]) + result["no_answer_score"] == pytest.approx(1, abs=1e-4)
    assert places(decode(manifest_of(n_best=50), text, two, one))[0] == (2, 3)


def test_nothing_and_broken_logits(manifest_of: ManifestOf) -> None:
    assert KIND.decode([], [], manifest_of()) == []
    for value in (np.nan, np.inf):
        with pytest.raises(EngineError, match="not finite"):
            decode(manifest_of(), "一二", window_of(characters("一二"), [0, value, 0], [0, 0, 0]))


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
    found: Answers = answer.result["answers"]
    assert all(a["text"] == texts[1][a["start"] : a["end"]] for a in found)
    return found


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


@pytest.mark.parametrize(("text", "answer"), HARD, ids=[answer for _, answer in HARD])
def test_answers_are_exact_slices(manifest_of: ManifestOf, tokenizer: ErnieTokenizer, text: str, answer: str) -> None:
    for before in ("", "有人问：" * 20):
        context = before + text
        start = context.index(answer)
        manifest = manifest_of(max_length=64, doc_stride=16, max_answer_tokens=24)
        best = pointing((QUESTION, context), tokenizer, manifest, (start, start + len(answer)))[0]
        assert best["text"] == answer and (best["start"], best["end"]) == (start, start + len(answer))


@pytest.mark.parametrize(
    ("text", "part", "whole"),
    [
        ("请拨打18866668888找他", "6668", "18866668888"),
        ("请拨打18866668888找他", "188", "18866668888"),
        ("新的iPhone6splus手机", "Phone6", "iPhone6splus"),
        ("编号ＡＢ１２３４５６７８。", "１２３４", "ＡＢ１２３４５６７８"),
        ("在cafe\u0301terias里", "teria", "cafe\u0301terias"),
        ("第20180315号文件", "0315号", "20180315号"),
        ("约3.14159和2,718元", "14159", "3.14159"),
        ("约3.14159和2,718元", "2", "2,718"),
        ("3.a,5.", "5", "5"),
        ("北京大学", "京大", "京大"),
    ],
)
def test_numbers_and_words_come_back_whole(
    manifest_of: ManifestOf, tokenizer: ErnieTokenizer, text: str, part: str, whole: str
) -> None:
    """An engine that points into the middle of one."""
    start = text.index(part)
    best = pointing((QUESTION, text), tokenizer, manifest_of(), (start, start + len(part)))[0]
    assert best["text"] == whole and best["start"] == text.index(whole)


def test_a_number_cut_by_a_window_is_whole(manifest_of: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    number = "9" * 30 + "1" * 30  # one word of more tokens than a window has
    context = "字" * 40 + number + "字" * 40
    manifest = manifest_of(max_length=24, doc_stride=4)
    for start in range(40, 99, 7):
        best = pointing((QUESTION, context), tokenizer, manifest, (start, start + 1))[0]
        assert best["text"] == number


@pytest.mark.parametrize(("max_length", "doc_stride"), [(17, 3), (24, 8), (20, 6)])
def test_a_span_at_every_place_of_a_long_context(
    manifest_of: ManifestOf, tokenizer: ErnieTokenizer, max_length: int, doc_stride: int
) -> None:
    """At a window's edge or across two windows: a span that is not too long lies whole in one of them."""
    context = "".join(chr(0x4E00 + i) for i in range(60))
    manifest = manifest_of(max_length, doc_stride, max_answer_tokens=5, max_question_tokens=3)
    KIND.check(manifest)
    for size in (1, 2, 5):
        for start in range(len(context) - size + 1):
            best = pointing((QUESTION, context), tokenizer, manifest, (start, start + size))[0]
            assert (best["start"], best["end"]) == (start, start + size)


def test_documents(manifest_of: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    """The question in each window, cut where it is long; offsets for the context alone."""
    question, context = "问" * 12, "答" * 50
    (document,), windows = KIND.documents([(question, context)], tokenizer, manifest_of())
    assert (document.text, document.tokens, document.truncated) == (context, 62, True)
    seen = set()
    for window in windows:
        assert len(window.input_ids) <= 32
        assert window.input_ids[[0, 9, -1]].tolist() == [tokenizer.cls_id, tokenizer.sep_id, tokenizer.sep_id]
        assert window.token_type_ids.tolist() == [0] * 10 + [1] * (len(window.input_ids) - 10)
        assert not window.offsets[:10].any() and not window.offsets[-1].any()
        seen |= {int(start) for start, _ in window.offsets[10:-1]}
    assert seen == set(range(50))
    (short,), _ = KIND.documents([("问", "答")], tokenizer, manifest_of())
    assert not short.truncated


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (("", "答"), "the question is empty"),
        (("问", " \t"), "the context has only spaces or control characters"),
        (("问", b"\xff"), "not UTF-8: invalid start byte at byte 0"),
        (("问", "\ud800"), "not UTF-8: a lone surrogate"),
        (("问", "答" * 2001), "the text has 2,001 characters, this task takes at most 2,000"),
    ],
)
@pytest.mark.parametrize("conversion", ["", "t2s"])
def test_items_that_cannot_be_answered(
    manifest_of: ManifestOf, tokenizer: ErnieTokenizer, item: tuple[Any, ...], says: str, conversion: str
) -> None:
    manifest = manifest_of(script=conversion)
    documents, windows = KIND.documents([("问", "答"), item, ("问", "大")], tokenizer, manifest)
    assert [d.error for d in documents] == [None, says, None]
    assert [w.owner for w in windows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_best": 0}, "options.n_best is 0; it must be a whole number from 1"),
        ({"n_best": True}, "options.n_best is True"),
        ({"max_answer_tokens": 2.5}, "options.max_answer_tokens is 2.5"),
        ({"max_question_tokens": "9"}, "options.max_question_tokens is '9'"),
        ({"script": "s2t"}, "options.script 's2t' is none of t2s, or empty"),
        ({"script": None}, "options.script None is none of t2s, or empty"),
        ({"no_answer_threshold": 1.5}, "options.no_answer_threshold is 1.5; it must be a probability"),
        ({"no_answer_threshold": float("nan")}, "options.no_answer_threshold is nan"),
        ({"no_answer_threshold": "0.5"}, "options.no_answer_threshold is '0.5'"),
        ({"nbest": 3}, "unknown option 'nbest'; known are n_best, max_answer_tokens"),
        ({"max_answer_tokens": 14}, "an answer of max_answer_tokens 14 may lie whole in no window"),
        ({"max_question_tokens": 14}, "a window holds 15 tokens of the context, and windows start 8 apart"),
    ],
)
def test_options_that_make_no_sense(manifest_of: ManifestOf, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        KIND.check(manifest_of(**options))
    assert str(caught.value).startswith("task toy: ") and says in str(caught.value) and "\n" not in str(caught.value)


def test_options_that_make_sense(manifest_of: ManifestOf, make_manifest: MakeManifest) -> None:
    KIND.check(manifest_of(max_answer_tokens=13, no_answer_threshold=0, script="t2s"))
    KIND.check(manifest_of(overflow="truncate", max_answer_tokens=1000))
    KIND.check(make_manifest(KIND.name, (), 256, 128))


TRADITIONAL = "圖書館在車站後面，週一休館。著名的乾隆看著頭髮，電話18866668888。"


@pytest.mark.parametrize("answer", ["車站後面", "週一", "著名的乾隆", "看著頭髮", "18866668888"])
def test_answers_keep_the_script_of_the_context(
    manifest_of: ManifestOf, tokenizer: ErnieTokenizer, answer: str
) -> None:
    manifest = manifest_of(max_length=64, doc_stride=16, script="t2s")
    start = TRADITIONAL.index(answer)
    best = pointing(("圖書館在哪裡？", TRADITIONAL), tokenizer, manifest, (start, start + len(answer)))[0]
    assert best["text"] == answer


def test_the_encoder_reads_simplified_characters(manifest_of: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    items: list[tuple[bytes | str, ...]] = [("圖書館在哪裡？".encode(), TRADITIONAL.encode())]
    manifest = manifest_of(max_length=64, doc_stride=16, script="t2s")
    (document,), (window,) = KIND.documents(items, tokenizer, manifest)
    read = "".join(tokenizer.token(i) for i in window.input_ids[1:-1]).replace("##", "")
    assert read == "图书馆在哪里？[SEP]图书馆在车站后面，周一休馆。著名的乾隆看著头发，电话18866668888。"
    assert document.text == TRADITIONAL


@pytest.fixture
def fresh_converter() -> Iterator[None]:
    for function in (script._converter, script._character):
        function.cache_clear()
    yield
    for function in (script._converter, script._character):
        function.cache_clear()


def test_a_conversion_of_another_length_is_done_by_characters(
    fresh_converter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Phrases:
        def __init__(self, name: str) -> None:
            assert name == "t2s"

        def convert(self, text: str) -> str:
            return text.replace("電腦", "计算机").replace("電", "电").replace("網", "网络")

    monkeypatch.setitem(sys.modules, "opencc", type(sys)("opencc"))
    sys.modules["opencc"].OpenCC = Phrases  # type: ignore[attr-defined]
    assert script.convert("電話", "t2s") == "电話"
    assert script.convert("電腦上網電話", "t2s") == "电腦上網电話"


def test_a_missing_converter_is_told_when_the_task_is_loaded(
    manifest_of: ManifestOf,
    tokenizer: ErnieTokenizer,
    tmp_path: Path,
    fresh_converter: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opencc", None)
    KIND.check(manifest_of())  # other tasks need none
    (tmp_path / "manifest.json").write_text(manifest_of(script="t2s").to_json(), encoding="utf-8")
    with pytest.raises(ManifestError, match=r"^script t2s needs the package opencc \(.*\): pip install opencc$"):
        PostprocessStep.load(tmp_path, {})
    with pytest.raises(ManifestError, match="opencc"):
        Pipeline(manifest_of(script="t2s"), tokenizer, engine)


def engine(tensors: Tensors) -> Tensors:
    """Logits that hang on every id of a row and its place, and on nothing else of the batch; padding is loud."""
    ids = tensors["input_ids"]
    sums = (ids * np.arange(1, ids.shape[1] + 1)).sum(1, keepdims=True)
    logits = [np.where(ids == 0, 99, (ids * k + sums) % 23 / 3).astype(np.float32) for k in (5, 7)]
    return {"start_logits": logits[0], "end_logits": logits[1]}


POOL: list[tuple[bytes, bytes]] = [(f"第{i}个问题？".encode(), text.encode()) for i, (text, _) in enumerate(HARD)]
POOL += [("在哪裡？".encode(), TRADITIONAL.encode() * 3), ("谁？".encode(), "长文章".encode() * 60)]
BAD = {("", "答"): "the question is empty", ("问", ""): "the context is empty"}


@pytest.mark.parametrize("buckets", [(), (16, 32)], ids=["ragged", "buckets"])
@pytest.mark.parametrize("conversion", ["", "t2s"])
def test_the_three_steps_answer_as_one_process(
    manifest_of: ManifestOf, tokenizer: ErnieTokenizer, tmp_path: Path, buckets: tuple[int, ...], conversion: str
) -> None:
    manifest = manifest_of(script=conversion, no_answer_threshold=0.3)
    pipeline = Pipeline(manifest, tokenizer, engine)
    rng = random.Random(3)
    bad = [tuple(text.encode() for text in item) for item in BAD]
    requests = [[rng.choice([*POOL, *bad]) for _ in range(rng.randint(1, 4))] for _ in range(40)]
    step = TokenizerStep(manifest, tokenizer, buckets)
    assert step.inputs == ("QUESTION", "CONTEXT")
    columns = [
        {n: strings(list(c)) for n, c in zip(step.inputs, zip(*items, strict=True), strict=True)} for items in requests
    ]
    tokenized = step.run(columns)
    alive: list[Any] = [outcome for outcome in tokenized if not isinstance(outcome, InvalidItem)]
    post = PostprocessStep(manifest)
    encoded: list[Any] = EncoderStep(engine, [s.name for s in post.specs if s.per_token], Batching(200, 4)).run(alive)
    served = iter(post.run([{**t, **e} for t, e in zip(alive, encoded, strict=True)]))
    answered = 0
    for items, outcome in zip(requests, tokenized, strict=True):
        expected = pipeline.predict([tuple(item) for item in items])
        if isinstance(outcome, InvalidItem):
            assert all(isinstance(answer, str) for answer in expected)
            continue
        final: Any = next(served)
        assert set(final) == {"RESULT"}
        for answer, raw in zip(expected, final["RESULT"][:, 0], strict=True):
            result = json.loads(raw)
            if isinstance(answer, str):
                assert answer in BAD.values() and answer in result["error"]["message"]
            else:
                answered += bool(answer.result["answers"])
                assert result == answer.result
                assert {"answers", "no_answer_score", "tokens", "windows", "truncated"} == set(result)
    assert answered > 30


def test_company_changes_no_answer(manifest_of: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    """Many contexts decoded together: each has the answers that it has alone."""
    pipeline = Pipeline(manifest_of(), tokenizer, engine)
    together = pipeline.predict([tuple(item) for item in POOL])
    for item, answer in zip(POOL, together, strict=True):
        (alone,) = pipeline.predict([tuple(item)])
        assert not isinstance(answer, str) and not isinstance(alone, str) and answer.result == alone.result
