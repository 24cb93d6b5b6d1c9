"""Words in spans: a number or a word is cut only by a model that is sure of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tokenizers import normalizers

from ernie_runtime.text.bio import WORD_SPLIT, TagSet, joined_tokens, log_probabilities, tagged_spans, token_gaps
from ernie_runtime.text.tokenization import SPECIAL_TOKENS, ErnieTokenizer
from ernie_runtime.text.words import NUMBERS, TELEPHONES

SINGLE_TYPE = TagSet(("O", "B-X", "I-X"))


def tagged(tokenizer: ErnieTokenizer, text: str, rows: Sequence[Sequence[float]]) -> list[str]:
    """What is answered where the tokens' tags O, B-X, I-X have these probabilities."""
    (tokens,) = tokenizer([text])
    assert len(tokens.ids) == len(rows)
    probabilities = np.array(rows, np.float32)
    costs = joined_tokens(text, tokens.offsets), token_gaps(text, tokens.offsets)
    path = SINGLE_TYPE.best_path(log_probabilities(probabilities), *costs)
    return [text[start:end] for start, end, _, _ in tagged_spans(SINGLE_TYPE, path, probabilities, tokens.offsets)]


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        ("呼叫661284", "OOBIB", ["661284"]),  # a number is not cut in two
        ("呼叫661284", "OOBII", ["661284"]),
        ("呼叫661284", "OOBBB", ["661284"]),
        ("呼叫661284", "OOBIO", ["661284"]),  # nor does its end get lost
        ("呼叫661284", "OOOII", ["661284"]),  # nor its beginning
        ("呼叫661284", "OOOBO", []),  # most of it says that it is none
        ("来iPhone15", "OBB", ["iPhone15"]),
        ("去北京南", "OBIB", ["北京", "南"]),  # Chinese has no words here: labels touch
        ("打188 6666", "OBIBI", ["188", "6666"]),
        ("打188\u200b6666", "OBIBI", ["188\u200b6666"]),
        ("花9,999", "OBIB", ["9,999"]),  # numbers are whole with what is between their digits
        ("在1998-2000", "OBOB", ["1998", "2000"]),  # a range is two numbers
        ("比分3-2", "OOBOB", ["3", "2"]),
    ],
)
def test_an_uncertain_model_does_not_split_a_word(
    tokenizer: ErnieTokenizer, text: str, tags: str, expected: list[str]
) -> None:
    rows = [[0.6 if tag == t else 0.2 for t in "OBI"] for tag in tags]
    assert tagged(tokenizer, text, rows) == expected


def test_a_certain_model_splits_a_word(tokenizer: ErnieTokenizer) -> None:
    """Labels inside a number can be learnt: the cost of a split is finite."""
    sure, text = np.exp(-WORD_SPLIT), "呼叫661284"
    for likelier, expected in ((0.2, ["661284"]), (20, ["6612", "84"])):
        b = 1 / (1 + sure / likelier)
        rows = [[0.9, 0.05, 0.05]] * 2 + [[0.05, 0.9, 0.05], [0.05, 0.05, 0.9], [0.0, b, 1 - b]]
        assert tagged(tokenizer, text, rows) == expected


@pytest.fixture
def letters(tmp_path: Path) -> ErnieTokenizer:
    """A vocabulary of single letters; a Hangul syllable is two or three of them."""
    text = normalizers.NFD().normalize_str("北京和买さくら한국iphone15proa naive１８８3.14foo_bar")
    path = tmp_path / "vocab.txt"
    pieces = sorted({c for c in text if c.strip()})
    lines = [*SPECIAL_TOKENS, *pieces, *(f"##{c}" for c in pieces)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ErnieTokenizer.from_vocab(path)


def joins(tokenizer: ErnieTokenizer, text: str) -> str:
    """The text's tokens, with a bar where a word may be cut."""
    (tokens,) = tokenizer([text])
    joined = joined_tokens(text, tokens.offsets)
    return "".join(("" if j else "|") + text[s:e] for j, (s, e) in zip(joined, tokens.offsets, strict=True))


def test_words(tokenizer: ErnieTokenizer, letters: ErnieTokenizer) -> None:
    assert joins(tokenizer, "打18866668888吧") == "|打|18866668888|吧"
    assert joins(letters, "买iPhone15Pro和naïve") == "|买|iPhone15Pro|和|naïve"
    assert joins(letters, "１８８ 3.14 foo_bar") == "|１８８|3.14|foo|_|bar"
    assert joins(letters, "北京さくら") == "|北|京|さ|く|ら"
    assert joined_tokens("", np.zeros((0, 2), np.int32)).tolist() == []
    # A syllable is three letters, and one character: none of them can be a span of its own.
    (tokens,) = letters(["한국"])
    assert joined_tokens("한국", tokens.offsets).tolist() == [False, True, True, False, True, True]


@pytest.mark.parametrize(
    "number",
    [
        "188-6666-8888",
        "188 6666 8888",
        "１８８－６６６６－８８８８",
        "+86 138-0013-8000",
        "+86 13800138000",
        "010-66554433",
        "(010)66554433",
        "（０１０）６６５５４４３３",
        "0755-8888 9999",
        "400-820-8820",
        "9,999.50",
        "１，２３４",
        "京A·12345",
        "粤BD12345",
        "2024-01-05",
        "2024/1/5",
        "12:30:59",
        "3.1415",
    ],
)
def test_numbers_as_people_write_them(number: str) -> None:
    """Every other token a tag of its own: the number comes out whole, and nothing beside it."""
    text = f"打{number}吧"
    offsets = np.array([(i, i + 1) for i, c in enumerate(text) if c.strip()], np.int32)
    joined = joined_tokens(text, offsets)
    assert [bool(j) for j in joined] == [False, False, *[True] * (len(offsets) - 3), False]


@pytest.mark.parametrize("text", ["1998-2000", "3-2", "1,2,3", "共3，500", "第1.", "a.b", "1234567-1"])
def test_what_is_no_number_with_separators(text: str) -> None:
    assert not NUMBERS.search(text) and not TELEPHONES.search(text)


def test_the_halves_of_a_telephone_number_are_joined_even_where_the_model_is_sure(tokenizer: ErnieTokenizer) -> None:
    for text, expected in (("打010-66554433", ["010-66554433"]), ("打10-66554433", ["10", "-", "66554433"])):
        (tokens,) = tokenizer([text])
        begins = {1, text.index("-"), text.index("-") + 1}  # a span at each part, and the model sure of it
        rows = [[0.0005, 0.999, 0.0005] if start in begins else [0.0005, 0.0005, 0.999] for start, _ in tokens.offsets]
        assert tagged(tokenizer, text, [[0.998, 0.001, 0.001], *rows[1:]]) == expected


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        ("张三李四", "BIII", ["张三李四"]),
        ("张三\n李四", "BIII", ["张三", "李四"]),
        ("张三\r\n李四", "BIII", ["张三", "李四"]),
        ("张三\n\n李四", "BIII", ["张三", "李四"]),
    ],
)
def test_a_line_break_costs(tokenizer: ErnieTokenizer, text: str, tags: str, expected: list[str]) -> None:
    rows = [[0.6 if tag == t else 0.2 for t in "OBI"] for tag in tags]
    assert tagged(tokenizer, text, rows) == expected


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ("\n", ["张三\n李四"]),
        ("\r\n", ["张三\r\n李四"]),
        ("\n\n", ["张三", "李四"]),
        ("\n \u3000\n", ["张三", "李四"]),
        ("\r\n\r\n", ["张三", "李四"]),
        ("\n\n\n\n", ["张三", "李四"]),
    ],
)
def test_a_certain_model_goes_over_a_line_break_and_never_over_a_blank_line(
    tokenizer: ErnieTokenizer, between: str, expected: list[str]
) -> None:
    rows = [[0.00005, 0.9999, 0.00005]] + [[0.00005, 0.00005, 0.9999]] * 3
    assert tagged(tokenizer, f"张三{between}李四", rows) == expected


def test_the_costs_against_brute_force() -> None:
    rng = np.random.default_rng(11)
    tags = TagSet(("B-X", "I-Y", "O", "B-Y", "I-X", "B-Z"))  # Z has no I-: its spans are single tokens
    changed = 0
    for _ in range(60):
        scores = np.log(rng.dirichlet(np.full(6, 0.3), 4) + 1e-4)
        joined = np.array([0, *(rng.random(3) < 0.6) * rng.integers(1, 3, 3)])
        apart = np.array([0, *rng.choice([0.0, 2.0], 3)])
        path = tags.best_path(scores, joined, apart)
        best = max(total(tags, scores, joined, apart, p) for p in product(range(6), repeat=4))
        assert total(tags, scores, joined, apart, path.tolist()) == pytest.approx(best, abs=1e-9)
        assert tags.path_score(path, scores, joined, apart) == pytest.approx(best, abs=1e-9)
        changed += path.tolist() != tags.best_path(scores).tolist()
    assert changed > 16


def total(tags: TagSet, scores: np.ndarray, joined: np.ndarray, apart: np.ndarray, path: Sequence[int]) -> float:
    """Sum of a path's scores less its costs; minus infinity where it is not legal."""
    value = float(scores[np.arange(len(path)), list(path)].sum())
    before = "O"
    value -= sum(cost for i, cost in zip(path, apart, strict=True) if tags.tags[i].startswith("I"))
    for tag, inside in zip([tags.tags[i] for i in path], joined, strict=True):
        if tag[0] == "I" and before[1:] != tag[1:]:
            return -np.inf
        single = before != "O" and f"I{before[1:]}" not in tags.tags
        going_on = tag == "O" if before == "O" else tag == f"I{before[1:]}"
        value -= WORD_SPLIT * inside * (not single and not going_on)
        before = tag
    return value
