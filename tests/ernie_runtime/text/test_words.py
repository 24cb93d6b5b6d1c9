"""Words in spans: a number or a word is cut only by a model that is sure of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tokenizers import normalizers

from ernie_runtime.text.bio import WORD_SPLIT, TagSet, joined_tokens, log_probabilities, tagged_spans
from ernie_runtime.text.tokenization import SPECIAL_TOKENS, ErnieTokenizer

SINGLE_TYPE = TagSet(("O", "B-X", "I-X"))


def tagged(tokenizer: ErnieTokenizer, text: str, rows: Sequence[Sequence[float]]) -> list[str]:
    """What is answered where the tokens' tags O, B-X, I-X have these probabilities."""
    (tokens,) = tokenizer([text])
    assert len(tokens.ids) == len(rows)
    probabilities = np.array(rows, np.float32)
    path = SINGLE_TYPE.best_path(log_probabilities(probabilities), joined_tokens(text, tokens.offsets))
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
        ("花9,999", "OBOB", ["9", "999"]),  # words are of letters and digits only
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
    assert joins(letters, "１８８ 3.14 foo_bar") == "|１８８|3|.|14|foo|_|bar"
    assert joins(letters, "北京さくら") == "|北|京|さ|く|ら"
    assert joined_tokens("", np.zeros((0, 2), np.int32)).tolist() == []
    # A syllable is three letters, and one character: none of them can be a span of its own.
    (tokens,) = letters(["한국"])
    assert joined_tokens("한국", tokens.offsets).tolist() == [False, True, True, False, True, True]


def test_the_cost_of_splits_against_brute_force() -> None:
    rng = np.random.default_rng(11)
    tags = TagSet(("B-X", "I-Y", "O", "B-Y", "I-X", "B-Z"))  # Z has no I-: its spans are single tokens
    changed = 0
    for _ in range(150):
        scores = np.log(rng.dirichlet(np.full(6, 0.3), 4) + 1e-4)
        joined = np.array([False, *(rng.random(3) < 0.6)])
        path = tags.best_path(scores, joined)
        best = max(total(tags, scores, joined, p) for p in product(range(6), repeat=4))
        assert total(tags, scores, joined, path.tolist()) == pytest.approx(best, abs=1e-9)
        assert tags.path_score(path, scores, joined) == pytest.approx(best, abs=1e-9)
        changed += path.tolist() != tags.best_path(scores).tolist()
    assert changed > 40


def total(tags: TagSet, scores: np.ndarray, joined: np.ndarray, path: Sequence[int]) -> float:
    """Sum of a path's scores less its splits; minus infinity where it is not legal."""
    value = float(scores[np.arange(len(path)), list(path)].sum())
    before = "O"
    for tag, inside in zip([tags.tags[i] for i in path], joined, strict=True):
        if tag[0] == "I" and before[1:] != tag[1:]:
            return -np.inf
        single = before != "O" and f"I{before[1:]}" not in tags.tags
        going_on = tag == "O" if before == "O" else tag == f"I{before[1:]}"
        value -= WORD_SPLIT * (inside and not single and not going_on)
        before = tag
    return value
