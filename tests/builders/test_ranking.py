"""Ranking, the building side: candidate sets, figures by hand, and builds from both kinds of weights."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.config import ASSETS, load_tasks
from builders.errors import BuildError
from builders.kinds import get_builder_kind
from builders.readers import Example
from builders.readers.bio_columns import read as bio_columns
from builders.readers.ranking_json import read as ranking_json
from builders.readers.ranking_pairs import Groups
from builders.readers.ranking_pairs import read as ranking_pairs
from builders.train import training_rows
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Limits, Manifest
from ernie_runtime.pipeline import Pipeline
from ernie_runtime.tokenization import ErnieTokenizer

from .conftest import Place, manifest_with

KIND = get_builder_kind("ranking")
COLUMNS = {"pairs": "clue_json", "text": "a", "text_pair": "b", "label": "label"}


@pytest.fixture
def manifest() -> Manifest:
    return manifest_with(2, "ranking", limits=Limits(32, 16, "truncate"), main_metric="mrr")


def example(target: Any, *candidates: str) -> Example:
    return Example(("q", json.dumps(candidates)), target, 1)


def answer(*order: int) -> Answer:
    return Answer({"ranking": [{"index": i, "text": f"t{i}", "score": 0.5} for i in order]}, {})


def test_figures(manifest: Manifest) -> None:
    examples = [example(target, *"abcd") for target in ([0], [1, 3], [2], [0])]
    answers: list[Answer | str] = [answer(0, 1, 2, 3), answer(2, 3, 1, 0), answer(3, 1, 0, 2), "the query is empty"]
    assert KIND.score(examples, answers, manifest) == {
        "mrr": round(100 * (1 + 1 / 2 + 1 / 4 + 0) / 4, 3),
        "accuracy_at_1": 25,
    }
    assert KIND.wrong(examples[0], answers[0], manifest) is None
    assert KIND.wrong(examples[1], answers[1], manifest) == {
        "query": "q",
        "expected": ["b", "d"],
        "predicted": "t2",
        "score": 0.5,
        "rank": 2,
    }
    assert KIND.wrong(examples[3], answers[3], manifest) == {
        "query": "q",
        "expected": ["a"],
        "error": "the query is empty",
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (example([1], "a", "b"), None),
        (example([0, 1], "a", "b"), None),
        (example([2], "a", "b"), "2 is no index of one of 2 candidates"),
        (example([-1], "a", "b"), "-1 is no index"),
        (example([True], "a", "b"), "True is no index"),
        (example([], "a", "b"), "expected at least one candidate that fits"),
        (example("1", "a", "b"), "expected at least one candidate that fits"),
        (example([0]), "the list of candidates is empty"),
        (Example(("q", "a, b"), [0], 1), "the candidates are not JSON"),
    ],
)
def test_examples_that_cannot_be_ranked(manifest: Manifest, given: Example, says: str | None) -> None:
    found = KIND.check(given, manifest)
    assert (found is None) if says is None else (found is not None and says in found)


def test_rows(manifest: Manifest, vocabulary: Path, characters: list[str]) -> None:
    """A row a candidate, with the query before it."""
    tokenizer = ErnieTokenizer.from_vocab(vocabulary)
    query, *texts = ("".join(characters[i : i + 3]) for i in (0, 3, 6, 9))
    given = Example((query, json.dumps(texts)), [0, 2], 1)
    rows = training_rows(manifest, tokenizer, [given, Example(("", json.dumps(texts)), [0], 2)])
    assert [int(row.targets["label"]) for row in rows] == [1, 0, 1]
    ids = tokenizer([query, *texts])
    for row, text in zip(rows, ids[1:], strict=True):
        (window,) = row.windows
        assert window.input_ids[1:4].tolist() == ids[0].ids.tolist()
        assert window.input_ids[5:-1].tolist() == text.ids.tolist()
        assert window.token_type_ids.tolist() == [0] * 5 + [1] * 4


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
    for made in sets:
        candidates = json.loads(made.texts[1])
        (right,) = made.target
        partner = candidates[right]
        places.append(right)
        assert len(candidates) == len(set(candidates)) == 6
        assert [made.texts[0], partner] == list(PAIRS[made.line - 1][:2])
        same = meaning if made.texts[0] in meaning else {made.texts[0], partner}
        assert same.isdisjoint(set(candidates) - {partner})
        assert " " not in candidates
    assert set(places) == set(range(6)), "the right one may not always lie at the same place"
    drawn = {text for made in sets for text in json.loads(made.texts[1])}
    assert {text[0] for text in drawn} >= {"答", "别"}


def test_the_same_file_and_seed_give_the_same_sets(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "dev.json", PAIRS)
    first, again = (list(ranking_pairs(path, COLUMNS)) for _ in range(2))
    assert first == again
    assert all(len(json.loads(e.texts[1])) == 10 for e in first)
    other = list(ranking_pairs(path, {**COLUMNS, "seed": "1"}))
    assert [e.texts[0] for e in other] == [e.texts[0] for e in first]
    assert sum(a == b for a, b in zip(first, other, strict=True)) < 3


def test_the_others_are_those_most_like_the_query(tmp_path: Path) -> None:
    """Among texts drawn at random the right one would be told by its characters alone."""
    alike, strange = ("甲乙丙一", "甲乙丙二", "丙乙三甲"), tuple(f"天地{i}" for i in range(20))
    pairs = [("甲乙丙丁", "丁丙", 1), *((f"x{i}", text, 0) for i, text in enumerate((*strange, *alike)))]
    (hard,) = ranking_pairs(write_pairs(tmp_path / "dev.json", pairs), {**COLUMNS, "candidates": "4"})
    assert set(json.loads(hard.texts[1])) == {"丁丙", *alike}
    (easy,) = ranking_pairs(tmp_path / "dev.json", {**COLUMNS, "candidates": "4", "drawn": "3"})
    assert len(json.loads(easy.texts[1])) == 4
    assert set(json.loads(easy.texts[1])) & set(strange)


def test_groups() -> None:
    groups = Groups()
    for one, other in (("a", "b"), ("c", "d"), ("e", "f"), ("d", "b"), ("a", "c")):
        groups.join(one, other)
    assert len({groups.of(text) for text in "abcd"}) == 1
    assert groups.of("e") == groups.of("f") != groups.of("a")
    assert groups.of("x") == "x"


@pytest.mark.parametrize(
    ("columns", "pairs", "says"),
    [
        ({"candidates": "ten"}, PAIRS, "data.fields.candidates is 'ten'; it must be a whole number in quotes"),
        ({"candidates": "1"}, PAIRS, "data.fields.candidates is 1; a set has at least 2"),
        ({"drawn": "8"}, PAIRS, "data.fields.candidates is 10; a set has at least 2, and at most 1 more than are"),
        ({"seed": "-1"}, PAIRS, "data.fields.seed is '-1'"),
        ({"candidates": "50"}, PAIRS, "dev.json:1: only 39 texts of another meaning for 49 candidates"),
        ({}, [("a", "b", 2)], "dev.json:1: label '2' is neither 0 nor 1"),
    ],
)
def test_sets_that_cannot_be_made(
    tmp_path: Path, columns: dict[str, str], pairs: list[tuple[str, str, int]], says: str
) -> None:
    path = write_pairs(tmp_path / "dev.json", pairs)
    with pytest.raises(BuildError) as raised:
        list(ranking_pairs(path, {**COLUMNS, **columns}))
    assert says in str(raised.value)


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
    ("columns", "line", "says"),
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
def test_files_that_hold_no_candidates(tmp_path: Path, columns: dict[str, str], line: str, says: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(BuildError) as raised:
        list(ranking_json(path, columns))
    assert says in str(raised.value)


QUERIES = {"PER": "人", "LOC": "地", "ORG": "会"}


def which_names_one(split: str, count: int) -> list[dict[str, Any]]:
    """Real sentences as candidates: those that name a person, a place or an organisation, as the query asks."""
    sentences = list(bio_columns(ASSETS / "samples/msra_ner" / f"{split}.txt", {}))
    generator = random.Random(0)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        wanted, drawn = generator.choice(list(QUERIES)), generator.sample(sentences, 4)
        positives = [i for i, e in enumerate(drawn) if any(kind == wanted for _, _, kind in e.target)]
        if 0 < len(positives) < 4:
            candidates = [e.texts[0] for e in drawn]
            rows.append({"query": QUERIES[wanted], "candidates": candidates, "positives": positives})
    return rows


TASKS = """
[tasks.search]
kind = "ranking"
labels = ["0", "1"]
examples = [["人", '["的一不是"]'], ["人", '["的一不是", "有人了在用"]']]
[tasks.search.limits]
max_length = 64
doc_stride = 16
overflow = "truncate"
[tasks.search.data]
format = "ranking_json"
folder = "search"
train = "train.json"
dev = "dev.json"
[tasks.search.train]
epochs = 1
batch_size = 16
learning_rate = 5e-3
dropout = 0.0

[tasks.pair]
kind = "pair_classification"
labels = ["0", "1"]
examples = [["人", "的一不是"]]
[tasks.pair.limits]
max_length = 64
doc_stride = 16
overflow = "truncate"
[tasks.pair.data]
format = "clue_json"
folder = "search"
dev = "pairs.json"
fields = { text = "a", text_pair = "b", label = "label" }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Place:
    """The task `search`, trained and published, and `pair` from its weights."""
    root = tmp_path_factory.mktemp("search")
    (root / "tasks.toml").write_text(TASKS, encoding="utf-8")
    folder = root / "data" / "search"
    folder.mkdir(parents=True)
    for split, count in (("train", 300), ("dev", 150)):
        rows = [json.dumps(row, ensure_ascii=False) for row in which_names_one(split, count)]
        (folder / f"{split}.json").write_text("\n".join(rows), encoding="utf-8")
    write_pairs(folder / "pairs.json", [("人", "的一不是", 0)])
    place = Place(root / "tasks.toml", root / "data", base_model, root)
    assert place.build(task="search") == 0
    best = place.stage("fine-tune", "search") / "best"
    assert place.build("--checkpoint", f"pair={best}", task="pair") == 0
    return place


def test_training_beats_the_untrained_head(made: Place, tmp_path: Path) -> None:
    def figures(place: Place) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((place.stage("evaluate", "search") / "done.json").read_text("utf-8"))
        return found["figures"]

    untrained = replace(made, root=tmp_path)
    assert untrained.build("--set", "learning_rate=1e-12", "--until", "evaluate", task="search") == 0
    before, after = figures(untrained), figures(made)
    assert before["rows"] == after["rows"] == 150
    assert after["main"] == "mrr"
    assert after["metrics"]["mrr"] > before["metrics"]["mrr"] + 4
    assert after["metrics"]["accuracy_at_1"] > before["metrics"]["accuracy_at_1"] + 4
    assert after["wrong"] == round(150 * (1 - after["metrics"]["accuracy_at_1"] / 100))


def test_weights_serve_both_kinds(made: Place) -> None:
    """A candidate's score is what the pair classifier of the same weights says of it."""
    ranking, pair = Pipeline.load(made.output, "search"), Pipeline.load(made.output, "pair")
    rows = which_names_one("dev", 10)
    answers = ranking.predict([(row["query"], json.dumps(row["candidates"])) for row in rows])
    for row, found in zip(rows, answers, strict=True):
        assert not isinstance(found, str)
        scores = {one["index"]: one["score"] for one in found.result["ranking"]}
        for index, single in enumerate(pair.predict([(row["query"], text) for text in row["candidates"]])):
            assert not isinstance(single, str)
            expected = next(top["score"] for top in single.result["top"] if top["label"] == "1")
            assert scores[index] == pytest.approx(expected, abs=1e-5)


def test_a_second_task_of_a_checkpoint_has_its_own_figures_only(
    made: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ships is the pair classifier, with its card: its accuracy is none of the ranking's figures."""
    from builders import build_all

    shutil.copytree(made.stage("fine-tune", "search") / "best", tmp_path / "search")
    figures = [{"mrr": 60.0, "accuracy_at_1": 40.0}, {"accuracy": 70.0}]
    rows = [{"split": "dev", "rows": 9, "metrics": metrics, "by": "the builder"} for metrics in figures]
    (tmp_path / "search" / "card.json").write_text(json.dumps({"evaluations": rows}), encoding="utf-8")
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(TASKS.replace('kind = "ranking"', 'kind = "ranking"\ncheckpoint = "search"'), encoding="utf-8")
    monkeypatch.setattr(build_all, "ASSETS", tmp_path)
    arguments = ["--tasks", "search", "--tasks-file", str(tasks), "--cache", str(tmp_path / "cache")]
    assert build_all.main([*arguments, "--output", str(tmp_path / "models")]) == 0
    (variant,) = Pipeline.load(tmp_path / "models", "search").manifest.variants
    assert [e.metrics for e in variant.evaluations] == figures[:1]


def test_bad_lines_are_told(made: Place, tmp_path: Path, one_line: Callable[..., str]) -> None:
    folder = tmp_path / "data" / "search"
    folder.mkdir(parents=True)
    good = json.dumps(which_names_one("dev", 1)[0])
    (folder / "dev.json").write_text(good, encoding="utf-8")
    (folder / "train.json").write_text(f'{good}\n{{"query": "q", "candidates": ["a"], "positives": [1]}}', "utf-8")
    place = replace(made, data_dir=tmp_path / "data", root=tmp_path)
    one_line(place.build(task="search"), "train.json:2: 1 is no index of one of 1 candidates")


def test_the_tasks_that_ship() -> None:
    tasks = load_tasks()
    ranking, pair = tasks["faq_ranking"], tasks["afqmc"]
    assert (ranking.checkpoint, ranking.labels) == (pair.checkpoint, pair.labels)
    embedding, similarity = tasks["sentence_embedding"], tasks["stsb_zh"]
    assert embedding.checkpoint == similarity.checkpoint
    for name in ("dimension", "pooling"):
        assert embedding.options[name] == similarity.options[name]
