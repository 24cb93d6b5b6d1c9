"""Files of candidates, and candidate sets drawn from pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.errors import BuildError
from ernie_builders.readers import Example
from ernie_builders.readers.ranking_json import read as ranking_json
from ernie_builders.readers.ranking_pairs import MeaningGroups
from ernie_builders.readers.ranking_pairs import read as ranking_pairs

COLUMNS = {"pairs": "clue_json", "text": "a", "text_pair": "b", "label": "label"}


def write_pairs(path: Path, pairs: Sequence[tuple[str, str, int]]) -> Path:
    rows = [json.dumps({"a": a, "b": b, "label": str(label)}, ensure_ascii=False) for a, b, label in pairs]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


PAIRS = [
    *((f"问{i}", f"答{i}", 1) for i in range(20)),
    *((f"问{i}", f"别{i}", 0) for i in range(20)),
    ("问0", "答1", 1),  # so 0 and 1 mean the same, and 答0 fits 问1
    ("另", "问0", 1),
    ("问3", "答3", 1),  # twice
    ("同", "同", 1),
    ("空", " ", 1),
]


def test_candidate_sets(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "dev.json", PAIRS)
    sets = list(ranking_pairs(path, {**COLUMNS, "candidates": "6"}))
    assert [e.texts[0] for e in sets] == [*(f"问{i}" for i in range(20)), "问0", "另"]
    meaning = {"问0", "问1", "另", "答0", "答1"}
    places = []
    for example in sets:
        candidates = json.loads(example.texts[1])
        (right,) = example.target
        partner = candidates[right]
        places.append(right)
        assert len(candidates) == len(set(candidates)) == 6
        assert [example.texts[0], partner] == list(PAIRS[example.line - 1][:2])
        same = meaning if example.texts[0] in meaning else {example.texts[0], partner}
        assert same.isdisjoint(set(candidates) - {partner})
        assert " " not in candidates
    assert set(places) == set(range(6)), "the right one may not always lie at the same place"
    drawn = {text for example in sets for text in json.loads(example.texts[1])}
    assert {text[0] for text in drawn} >= {"答", "别"}


def test_the_same_file_and_seed_give_the_same_sets(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "dev.json", PAIRS)
    first, repeated = (list(ranking_pairs(path, COLUMNS)) for _ in range(2))
    assert first == repeated
    assert all(len(json.loads(e.texts[1])) == 10 for e in first)
    other_seed = list(ranking_pairs(path, {**COLUMNS, "seed": "1"}))
    assert [e.texts[0] for e in other_seed] == [e.texts[0] for e in first]
    assert sum(a == b for a, b in zip(first, other_seed, strict=True)) < 3


def test_the_other_candidates_are_those_most_like_the_query(tmp_path: Path) -> None:
    """Among texts drawn at random, the right one could be told by its characters alone."""
    alike, strange = ("甲乙丙一", "甲乙丙二", "丙乙三甲"), tuple(f"天地{i}" for i in range(20))
    pairs = [("甲乙丙丁", "丁丙", 1), *((f"x{i}", text, 0) for i, text in enumerate((*strange, *alike)))]
    (hard,) = ranking_pairs(write_pairs(tmp_path / "dev.json", pairs), {**COLUMNS, "candidates": "4"})
    assert set(json.loads(hard.texts[1])) == {"丁丙", *alike}
    (easy,) = ranking_pairs(tmp_path / "dev.json", {**COLUMNS, "candidates": "4", "drawn": "3"})
    assert len(json.loads(easy.texts[1])) == 4
    assert set(json.loads(easy.texts[1])) & set(strange)


def test_groups() -> None:
    groups = MeaningGroups()
    for one, other in (("a", "b"), ("c", "d"), ("e", "f"), ("d", "b"), ("a", "c")):
        groups.join(one, other)
    assert len({groups.representative(text) for text in "abcd"}) == 1
    assert groups.representative("e") == groups.representative("f") != groups.representative("a")
    assert groups.representative("x") == "x"


@pytest.mark.parametrize(
    ("columns", "pairs", "message"),
    [
        ({"candidates": "ten"}, PAIRS, "data.fields.candidates is 'ten'; it must be a whole number in quotes"),
        ({"candidates": "1"}, PAIRS, "data.fields.candidates is 1; a set has at least 2"),
        ({"drawn": "8"}, PAIRS, "data.fields.candidates is 10; a set has at least 2, and at most 1 more than are"),
        ({"seed": "-1"}, PAIRS, "data.fields.seed is '-1'"),
        ({"candidates": "50"}, PAIRS, "dev.json:1: only 39 texts of another meaning for 49 candidates"),
        ({}, [("a", "b", 2)], "dev.json:1: label '2' is neither 0 nor 1"),
    ],
)
def test_sets_that_cannot_be_drawn(
    tmp_path: Path, columns: dict[str, str], pairs: list[tuple[str, str, int]], message: str
) -> None:
    path = write_pairs(tmp_path / "dev.json", pairs)
    with pytest.raises(BuildError) as raised:
        list(ranking_pairs(path, {**COLUMNS, **columns}))
    assert message in str(raised.value)


def test_a_file_of_candidates(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    rows: list[dict[str, Any]] = [
        {"query": "q", "candidates": ["a", "b", "a"], "positives": [2, 0]},
        {"query": "q", "candidates": ["a", "b", "a"], "positives": ["a"]},
    ]
    path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    texts = ("q", '["a", "b", "a"]')
    assert list(ranking_json(path, {})) == [Example(texts, [0, 2], 1), Example(texts, [0, 2], 3)]
    path.write_text('{"问": "q", "选": ["a", "b"], "对": [0, "1"]}\n', encoding="utf-8")
    columns = {"query": "问", "candidates": "选", "labels": "对"}
    assert list(ranking_json(path, columns)) == [Example(("q", '["a", "b"]'), [1], 1)]


@pytest.mark.parametrize(
    ("columns", "line", "message"),
    [
        ({}, "{", ":1: not a JSON object"),
        ({}, "[]", ":1: expected a JSON object with query, candidates, positives"),
        ({}, '{"query": "q", "candidates": []}', ":1: field 'positives' is missing; found query, candidates"),
        ({}, '{"query": 1, "candidates": [], "positives": []}', "field 'query' must be a string, found 1"),
        ({}, '{"query": "q", "candidates": ["a", 1], "positives": []}', "field 'candidates' must be a list of strings"),
        ({}, '{"query": "q", "candidates": "a", "positives": []}', "field 'candidates' must be a list of strings"),
        ({}, '{"query": "q", "candidates": ["a"], "positives": 0}', "field 'positives' must be a list"),
        ({}, '{"query": "q", "candidates": ["a"], "positives": ["b"]}', "'b' fits, but is not among the candidates"),
        ({}, '{"query": "q", "candidates": ["a"], "positives": [0.5]}', "0.5 is neither an index nor a text"),
        (
            {"labels": "labels"},
            '{"query": "q", "candidates": ["a"], "labels": [0, 1]}',
            "2 labels for 1 candidates",
        ),
        (
            {"labels": "labels"},
            '{"query": "q", "candidates": ["a"], "labels": [2]}',
            "label 2 is neither 0 nor 1",
        ),
        ({"text": "query"}, "{}", "data.fields.text is none of query, candidates, positives, labels"),
    ],
)
def test_files_that_hold_no_candidates(tmp_path: Path, columns: dict[str, str], line: str, message: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(BuildError) as raised:
        list(ranking_json(path, columns))
    assert message in str(raised.value)
