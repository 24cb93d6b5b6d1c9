"""Tokens are not characters: a table of hard texts, from the builder's labels to the decoded answer and back.

Labels in characters become targets of tokens (the builder), a model that has learnt them perfectly says so, and the
decoder answers: exactly the characters that were labelled. What holds where that cannot be:

- Spaces and characters without a token at a label's edges are no part of the answer; nothing but such is no answer.
- No answer cuts a token. A label that ends inside one grows to it, and the first of two labels in a token takes it.
  Vocabularies cut numbers and rare words anywhere (18866668888 is 18 86 66 68 88 8), so of labels inside them whole
  tokens come back, at best.
- The answer to a question grows further, to the whole number or word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tokenizers import normalizers

from ernie_builders.kinds import IGNORED, get_builder_kind
from ernie_builders.readers import Example
from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.bio import TagSet
from ernie_runtime.text.tokenization import SPECIAL_TOKENS, ErnieTokenizer
from ernie_runtime.text.windows import Document, Window

MakeManifest = Callable[..., Manifest]
Characters = list[tuple[int, int]]
LOUD = 14.0
LIMITS = ((6, 2), (12, 7), (128, 96))
ENDS = ("start", "end")
TYPES = ("song", "singer")


@dataclass(frozen=True)
class Case:
    """⟦ ⟧ mark the labels, and where they differ what is answered: at most, with the vocabulary that ships (tags), and
    in whole words (questions).
    """

    name: str
    labels: str
    answer: str = ""
    shipped: str = ""
    words: str = ""

    @property
    def text(self) -> str:
        """Without marks."""
        return self.labels.replace("⟦", "").replace("⟧", "")

    def spans(self, column: str) -> Characters:
        """The marked characters of a column."""
        return marked(getattr(self, column) or self.answer or self.labels)


def marked(text: str) -> Characters:
    """Start and end of what is between marks, in the text without them."""
    spans, start, length = [], 0, 0
    for char in text:
        if char == "⟦":
            start = length
        elif char == "⟧":
            spans.append((start, length))
        else:
            length += 1
    return spans


TABLE = [
    Case("telephone number", "打电话给⟦18866668888⟧"),
    Case("telephone number and more", "打电话给⟦18866668888⟧。谢谢"),
    Case("short number", "呼叫⟦10086⟧"),
    Case("number first", "⟦661284⟧呼叫"),
    Case("nothing but a number", "⟦12306⟧"),
    Case("numbers with spaces", "拨打⟦188 6666 8888⟧吧"),
    Case("number with hyphens", "拨打⟦010-6255-1234⟧吧"),
    Case("two numbers", "从⟦10086⟧到⟦10010⟧"),
    Case("decimal number", "涨了⟦3.14⟧元"),
    Case("thousands", "花了⟦9,999.50⟧元"),
    Case("per cent", "涨了⟦12.5%⟧左右"),
    Case("date", "⟦1997年7月1日⟧香港回归"),
    Case("number in a name", "去⟦雪佛兰4s店⟧吧"),
    Case("number begins a name", "听⟦30出头⟧这首歌"),
    Case("English word", "播放⟦zapp⟧的歌"),
    Case("English words", "我要听⟦i miss you⟧"),
    Case("capitals", "播放⟦TFBOYS⟧的⟦Hey Hey⟧"),
    Case("word that falls into pieces", "什么是⟦unbelievable⟧呢"),
    Case("apostrophe", "来一首⟦don't cry⟧"),
    Case("mixed word", "我想买⟦iPhone15Pro⟧"),
    Case("mixed with Chinese", "⟦卡拉OK⟧和⟦T恤⟧和⟦5G手机⟧"),
    Case("English in a Chinese name", "⟦周杰伦Jay⟧的歌"),
    Case("underscore", "变量⟦foo_bar⟧是"),
    Case("address", "打开⟦https://www.baidu.com/a?b=1⟧看"),
    Case("mail address", "写给⟦zhang.san@mail.cn⟧。"),
    Case("full-width letters", "股票⟦ＡＢＣ⟧涨"),
    Case("full-width digits", "拨打⟦１８８６６６６８８８８⟧。"),
    Case("full-width and Chinese", "⟦深华发Ａ⟧涨"),
    Case("circled and Roman numbers", "选⟦①⟧和⟦Ⅳ⟧和⟦½⟧"),
    Case("emoji before", "😀😀⟦北京⟧"),
    Case("emoji inside", "歌⟦我❤️你⟧好听"),
    Case("emoji of several characters", "⟦👩\u200d💻⟧在⟦👍🏽⟧"),
    Case("combining marks", "去⟦cafe\u0301⟧喝⟦e\u0301⟧"),
    Case("marks inside a word", "听⟦re\u0301sume\u0301 mix⟧"),
    Case("composed marks", "听⟦naïve café⟧"),
    Case("marks on Chinese", "⟦中\u0301国\u0302⟧人"),
    Case("dotted capital I", "去⟦İstanbul⟧吧"),
    Case("final sigma", "叫⟦ΟΔΥΣΣΕΥΣ⟧吧"),
    Case("unknown characters", "叫⟦龘\U00020000⟧的人"),
    Case("unknown beside known", "⟦龘⟧⟦北京⟧"),
    Case("kana", "听⟦さくら⟧吧"),
    Case("voiced kana", "听⟦がんばって⟧吧"),
    Case("Hangul", "听⟦한국어⟧吧"),
    Case("Hangul that touch by word", "⟦사랑⟧ ⟦노래⟧"),
    Case("Cyrillic", "听⟦привет⟧吧"),
    Case("right to left", "听⟦שלום⟧吧"),
    Case("repeated spaces inside", "听⟦i  miss   you⟧吧"),
    Case("repeated spaces around", "  去   ⟦北京⟧   吧  "),
    Case("wide spaces", "去\u3000⟦北\u3000京⟧\u3000吧"),
    Case("line ends", "去\r\n⟦北京⟧\r\n\t吧"),
    Case("zero width inside", "打⟦188\u200b6666\u200b8888⟧吧"),
    Case("control characters inside", "去⟦北\x00京⟧吧"),
    Case("byte order mark", "\ufeff⟦北京⟧"),
    Case("special token typed", "⟦张三⟧[SEP]⟦李四⟧"),
    Case("special token in a label", "叫⟦[MASK]⟧吧"),
    Case("very long word", "叫⟦" + "x" * 101 + "⟧吧"),
    Case("touching", "⟦蔡依林⟧⟦我知道你很难过⟧"),
    Case("touching single characters", "⟦张⟧⟦三⟧⟦李⟧⟦四⟧"),
    Case("touching, number after name", "⟦小八⟧⟦10086⟧"),
    Case("touching, name after number", "⟦10086⟧⟦小八⟧"),
    Case("touching at a comma", "⟦北京⟧，⟦上海⟧"),
    Case("the same word twice", "⟦北京⟧去⟦北京⟧"),
    Case("label at the end", "我要去⟦北京⟧"),
    Case("everything", "⟦北京南站⟧"),
    Case("no label", "今天天气怎么样"),
    Case("many windows", "从" + "北京去上海" * 9 + "⟦18866668888⟧和⟦iPhone15Pro⟧" + "好的" * 20 + "⟦周华健⟧"),
    Case("across windows", "听⟦" + "春眠不觉晓处处闻啼鸟" * 2 + "⟧吧"),
    # Where a label is no sequence of tokens.
    Case("ends inside a token", "号⟦1⟧88是", shipped="号⟦18⟧8是", words="号⟦188⟧是"),
    Case("begins inside a token", "有2⟦00⟧8年", shipped="有⟦2008⟧年", words="有⟦2008⟧年"),
    Case("whole tokens of a number", "打⟦18⟧866668888", words="打⟦18866668888⟧"),
    Case("part of a word", "去⟦super⟧market", words="去⟦supermarket⟧"),
    Case("a word of half and full width", "买ｘ⟦iPhone⟧ 15", shipped="买⟦ｘiPhone⟧ 15", words="买⟦ｘiPhone⟧ 15"),
    Case("two labels in a token", "有⟦20⟧⟦08⟧年", shipped="有⟦2008⟧年", words="有⟦2008⟧年"),
    Case("two labels, one goes on", "有⟦20⟧⟦08年⟧的", shipped="有⟦2008⟧⟦年⟧的", words="有⟦2008⟧⟦年⟧的"),
    Case("a label in a token and beyond", "有20⟦08年⟧的", shipped="有⟦2008年⟧的", words="有⟦2008年⟧的"),
    Case("spaces at the edges", "去⟦  北京 ⟧吧", "去  ⟦北京⟧ 吧"),
    Case("zero width first", "去⟦\u200b北京⟧吧", "去\u200b⟦北京⟧吧"),
    Case("nothing but a space", "去⟦ ⟧北京", "去 北京"),
]


@pytest.fixture(scope="session")
def finest(tmp_path_factory: pytest.TempPathFactory) -> ErnieTokenizer:
    """A vocabulary of single letters: every digit is a token, a Hangul syllable two or three, nothing is unknown."""
    text = "".join(case.text for case in TABLE)
    letters = sorted(set(normalizers.NFD().normalize_str(text) + normalizers.NFD().normalize_str(text.lower())))
    letters = [c for c in letters if c.strip() and c.isprintable()]
    path = tmp_path_factory.mktemp("finest") / "vocab.txt"
    path.write_text("\n".join([*SPECIAL_TOKENS, *letters, *(f"##{c}" for c in letters)]) + "\n", encoding="utf-8")
    return ErnieTokenizer.from_vocab(path)


@pytest.fixture(params=["shipped", "finest"])
def vocabulary(request: pytest.FixtureRequest, tokenizer: ErnieTokenizer, finest: ErnieTokenizer) -> ErnieTokenizer:
    return tokenizer if request.param == "shipped" else finest


def cut(
    manifest: Manifest, tokenizer: ErnieTokenizer, example: Example
) -> tuple[Document, list[tuple[Window, Mapping[str, np.ndarray]]]]:
    """The served windows of an example, each with the builder's targets; none where it is not trained on."""
    (document,), windows = get_kind(manifest.kind).documents([example.texts], tokenizer, manifest)
    assert document.error is None
    kind = get_builder_kind(manifest.kind)
    assert kind.check(example, manifest) is None
    rows = {id(row.windows[0]): row.targets for row in kind.rows(example, document, windows, manifest)}
    return document, [(window, rows.get(id(window), {})) for window in windows]


def perfect(targets: np.ndarray, columns: int) -> np.ndarray:
    """Logits [L, columns] of a model that has learnt the targets [L]; where there is none it shouts nonsense."""
    rng = np.random.default_rng(len(targets))
    logits = rng.random((len(targets), columns))
    nonsense = rng.integers(0, columns, len(targets))
    np.put_along_axis(logits, np.where(targets == IGNORED, nonsense, targets)[:, None], LOUD, axis=1)
    return logits.astype(np.float32)


def decode(manifest: Manifest, document: Document, outputs: Sequence[WindowOutput]) -> dict[str, Any]:
    (answer,) = get_kind(manifest.kind).decode([document], [outputs], manifest)
    return answer.result


def check_spans(text: str, spans: Sequence[dict[str, Any]], name: str, expected: list[tuple[int, int, str]]) -> None:
    """The answers are those spans, each with the characters that lie there."""
    assert [(f["start"], f["end"], f[name]) for f in spans] == expected
    assert all(f["text"] == text[f["start"] : f["end"]] for f in spans)
    assert all(f["score"] > 0.99 for f in spans)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_entities(
    make_manifest: MakeManifest, vocabulary: ErnieTokenizer, tokenizer: ErnieTokenizer, case: Case
) -> None:
    tags = TagSet.of_types(TYPES)
    labels = [[start, end, TYPES[i % 2]] for i, (start, end) in enumerate(case.spans("labels"))]
    expected = typed(case.spans("shipped" if vocabulary is tokenizer else "answer"))
    for limits in LIMITS:
        manifest = make_manifest("token_classification", tags.tags, *limits)
        document, windows = cut(manifest, vocabulary, Example((case.text,), labels, 1))
        outputs = [
            WindowOutput(window.offsets, {"logits": perfect(targets["tags"], len(tags.tags))})
            for window, targets in windows
        ]
        check_spans(case.text, decode(manifest, document, outputs)["entities"], "label", expected)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_slots(make_manifest: MakeManifest, vocabulary: ErnieTokenizer, tokenizer: ErnieTokenizer, case: Case) -> None:
    labels = [[start, end, TYPES[i % 2], "meant"] for i, (start, end) in enumerate(case.spans("labels"))]
    expected = typed(case.spans("shipped" if vocabulary is tokenizer else "answer"))
    for limits in LIMITS:
        manifest = make_manifest("intent_slots", ("play", "stop"), *limits, options={"slots": list(TYPES)})
        example = Example((case.text,), {"intent": "stop", "slots": labels}, 1)
        document, windows = cut(manifest, vocabulary, example)
        outputs = [
            WindowOutput(
                window.offsets,
                {
                    "intent_logits": perfect(targets["intent"][None], 2)[0],
                    "slot_logits": perfect(targets["tags"], 1 + 2 * len(TYPES)),
                },
            )
            for window, targets in windows
        ]
        result = decode(manifest, document, outputs)
        check_spans(case.text, result["slots"], "slot", expected)
        assert result["intent"] == "stop" and all(slot["value"] == slot["text"] for slot in result["slots"])


@pytest.mark.parametrize("case", [case for case in TABLE if case.spans("words")], ids=lambda case: case.name)
def test_answers(make_manifest: MakeManifest, vocabulary: ErnieTokenizer, case: Case) -> None:
    for max_length, doc_stride, tokens in ((48, 9, 32), (256, 64, 100)):
        options = {"max_answer_tokens": tokens, "max_question_tokens": 4}
        manifest = make_manifest("question_answering", (), max_length, doc_stride, options=options)
        for start, end in case.spans("labels"):
            words = [word for word in case.spans("words") if word[0] < end and start < word[1]]
            expected = (words[0][0], words[-1][1])
            answers = [{"text": case.text[start:end], "start": start}]
            example = Example(("哪里？", case.text), {"id": "q", "answers": answers}, 1)
            document, windows = cut(manifest, vocabulary, example)
            assert any(targets.get("start", 0) > 0 for _, targets in windows)
            outputs = [
                WindowOutput(window.offsets, {f"{end}_logits": pointing(window, targets, end) for end in ENDS})
                for window, targets in windows
            ]
            best = decode(manifest, document, outputs)["answers"][0]
            assert (best["start"], best["end"], best["text"]) == (*expected, case.text[slice(*expected)])
            assert best["score"] > 0.9


def typed(spans: Characters) -> list[tuple[int, int, str]]:
    """The spans with types in turn."""
    return [(start, end, TYPES[i % 2]) for i, (start, end) in enumerate(spans)]


def pointing(window: Window, targets: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Logits [L] that are loud at the target; at [CLS] where the window has none."""
    logits = np.random.default_rng(7).random(len(window.offsets)).astype(np.float32)
    logits[int(targets.get(name, 0))] = LOUD
    return logits
