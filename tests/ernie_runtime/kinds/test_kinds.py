"""Decoding by hand: numbers in, answers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ernie_runtime.errors import ErnieError, ManifestError
from ernie_runtime.kinds import WindowOutput, get_kind, kind_names
from ernie_runtime.kinds.token_classification import stitch
from ernie_runtime.manifest import Limits, Manifest
from ernie_runtime.numeric import softmax
from ernie_runtime.text.windows import Document, window_starts

MakeManifest = Callable[..., Manifest]
NAMES = (("100", "体育"), ("101", "财经"), ("102", "教育"))
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def classify(manifest: Manifest, *windows: tuple[int, Sequence[float] | np.ndarray]) -> Any:
    """The answer for windows given as (tokens, logits)."""
    outputs = [
        WindowOutput(np.zeros((n + 2, 2), np.int32), {"logits": np.array(row, np.float32)}) for n, row in windows
    ]
    document = Document(text="", tokens=1, windows=len(windows), truncated=False)
    (answer,) = get_kind("sequence_classification").decode([document], [outputs], manifest)
    return answer


@pytest.fixture
def classes(make_manifest: MakeManifest) -> Manifest:
    return make_manifest("sequence_classification", NAMES)


def test_kind_names() -> None:
    assert {"sequence_classification", "token_classification"} <= set(kind_names())
    for name in kind_names():
        assert get_kind(name).name == name


@pytest.mark.parametrize("name", ["", "token", "os", "..manifest", "__init__"])
def test_unknown_kind(name: str) -> None:
    with pytest.raises(ManifestError, match=r"is none of .*sequence_classification"):
        get_kind(name)


def test_one_window(classes: Manifest) -> None:
    answer = classify(classes, (3, np.log([0.2, 0.7, 0.1])))
    assert answer.result["label"] == "财经" and answer.result["score"] == pytest.approx(0.7, abs=1e-6)
    assert [top["label"] for top in answer.result["top"]] == ["财经", "体育", "教育"]
    assert answer.numeric["LABEL_ID"] == 1 and answer.numeric["SCORE"] == pytest.approx(0.7)


def test_ties_go_to_the_first_label(classes: Manifest) -> None:
    assert classify(classes, (3, [0, 0, 0])).result["label"] == "体育"
    answer = classify(classes, (3, [0, 4, 4]))
    assert answer.numeric["LABEL_ID"] == 1
    assert [top["label"] for top in answer.result["top"]] == ["财经", "教育", "体育"]


def test_windows_count_by_their_tokens(classes: Manifest) -> None:
    answer = classify(classes, (30, np.log([0.8, 0.1, 0.1])), (10, np.log([0.1, 0.1, 0.8])))
    scores = {top["label"]: top["score"] for top in answer.result["top"]}
    assert scores["体育"] == pytest.approx(0.75 * 0.8 + 0.25 * 0.1, abs=1e-6)
    assert scores["教育"] == pytest.approx(0.75 * 0.1 + 0.25 * 0.8, abs=1e-6)
    assert answer.result["label"] == "体育"


@pytest.mark.parametrize("logits", [[1e4, -1e4, 0.0], [-1e30, -1e30, -1e30], [88.0, 89.0, 90.0]])
def test_large_logits(classes: Manifest, logits: list[float]) -> None:
    answer = classify(classes, (3, logits), (5, logits))
    assert sum(top["score"] for top in answer.result["top"]) == pytest.approx(1, abs=1e-5)
    assert answer.numeric["LABEL_ID"] == int(np.argmax(logits))


def test_top_is_sorted_short_and_no_more_than_certain(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("sequence_classification", tuple(f"l{i}" for i in range(15)))
    rng = np.random.default_rng(5)
    for _ in range(50):
        windows = [(int(rng.integers(1, 126)), rng.normal(0, 3, 15)) for _ in range(rng.integers(1, 4))]
        answer = classify(manifest, *windows)
        top = answer.result["top"]
        scores = [row["score"] for row in top]
        assert len(top) == 5 == len({row["label"] for row in top})
        assert scores == sorted(scores, reverse=True) and 0 < sum(scores) <= 1 + 1e-5
        assert {"label": answer.result["label"], "score": answer.result["score"]} == top[0]
        assert top[0]["label"] == f"l{answer.numeric['LABEL_ID']}"
        assert answer.numeric["SCORE"] == pytest.approx(top[0]["score"], abs=1e-6)


def test_softmax() -> None:
    probabilities = softmax(np.random.default_rng(1).normal(0, 30, (4, 7, 9)).astype(np.float32))
    assert np.allclose(probabilities.sum(-1), 1, atol=1e-6) and (probabilities >= 0).all()
    assert softmax(np.array([0.0, -np.inf])).tolist() == [1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_give_no_answer(make_manifest: MakeManifest, value: float) -> None:
    """What an encoder in a precision too small for it says."""
    manifest = make_manifest("sequence_classification", NAMES)
    with pytest.raises(ErnieError, match="not finite"):
        classify(manifest, (3, [value] * 3))
    with pytest.raises(ErnieError, match="not finite"):
        entities(make_manifest(), "张三", np.full((2, 5), value))


def test_a_classifier_needs_two_labels(make_manifest: MakeManifest) -> None:
    with pytest.raises(ManifestError, match="at least two labels"):
        get_kind("sequence_classification").check(make_manifest("sequence_classification", ("a",)))
    with pytest.raises(ManifestError, match="'a' is neither"):
        get_kind("token_classification").check(make_manifest(labels=("O", "a")))


def with_ends(rows: np.ndarray) -> np.ndarray:
    """Rows of the tokens between those of [CLS] and [SEP], which shout."""
    loud = np.full((1, rows.shape[1]), 99.0, np.float32)
    return np.concatenate([loud, rows, loud]).astype(np.float32)


def cut(text: str, logits: np.ndarray, limits: Limits) -> list[WindowOutput]:
    """The windows of a text in which each character is a token."""
    room = limits.max_length - 2
    offsets = np.stack([np.arange(len(text)), np.arange(len(text)) + 1], 1)
    windows = []
    for start in window_starts(len(text), room, limits.doc_stride, limits.overflow):
        inner = slice(start, start + room)
        ends = np.zeros((1, 2), np.int32)
        windows.append(
            WindowOutput(
                np.concatenate([ends, offsets[inner], ends]).astype(np.int32),
                {"logits": with_ends(logits[inner])},
            )
        )
    return windows


def entities(manifest: Manifest, text: str, logits: np.ndarray) -> list[dict[str, Any]]:
    windows = cut(text, logits, manifest.limits)
    document = Document(text=text, tokens=len(text), windows=len(windows), truncated=False)
    (answer,) = get_kind("token_classification").decode([document], [windows], manifest)
    rows: list[dict[str, Any]] = answer.result["entities"]
    return rows


def logits_of(tags: str, sure: float = 0.9) -> np.ndarray:
    rows = np.full((len(tags.split()), len(TAGS)), (1 - sure) / (len(TAGS) - 1))
    for row, tag in zip(rows, tags.split(), strict=True):
        row[TAGS.index(tag)] = sure
    return np.log(rows)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O O O", []),
        ("B-PER I-PER O O", [("PER", 0, 2)]),
        ("O O B-LOC I-LOC", [("LOC", 2, 4)]),
        ("B-PER B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 2), ("PER", 2, 4)]),
        ("B-PER I-PER B-LOC I-LOC", [("PER", 0, 2), ("LOC", 2, 4)]),
        ("O O O B-LOC", [("LOC", 3, 4)]),
    ],
)
def test_entities(make_manifest: MakeManifest, tags: str, expected: list[tuple[str, int, int]]) -> None:
    decoded = entities(make_manifest(), "张三北京", logits_of(tags))
    assert [(e["label"], e["start"], e["end"]) for e in decoded] == expected
    assert [e["text"] for e in decoded] == ["张三北京"[start:end] for _, start, end in expected]
    assert all(e["score"] == pytest.approx(0.9, abs=1e-6) for e in decoded)


def test_an_entity_whose_beginning_is_unsure_is_repaired_not_lost(make_manifest: MakeManifest) -> None:
    logits = logits_of("O I-PER I-PER O")
    logits[1, TAGS.index("B-PER")] = np.log(0.09)
    (entity,) = entities(make_manifest(), "是张三的", logits)
    assert (entity["label"], entity["text"]) == ("PER", "张三")
    assert entity["score"] < 0.9  # the mean of the tags taken, not of the likeliest ones


@pytest.mark.parametrize("length", range(1, 40))
def test_an_entity_at_every_place_of_a_long_text(make_manifest: MakeManifest, length: int) -> None:
    manifest = make_manifest(labels=TAGS, max_length=10, doc_stride=3)
    text = "".join(chr(0x4E00 + i) for i in range(length))
    for size in (1, 2, 9, 20):
        for start in range(0, length - size + 1):
            tags = ["O"] * start + ["B-PER"] + ["I-PER"] * (size - 1) + ["O"] * (length - start - size)
            (entity,) = entities(manifest, text, logits_of(" ".join(tags)))
            assert (entity["start"], entity["end"], entity["text"]) == (
                start,
                start + size,
                text[start : start + size],
            )


@pytest.mark.parametrize(("max_length", "doc_stride"), [(4, 1), (4, 2), (5, 1), (10, 3), (10, 8), (34, 20)])
def test_stitch_takes_the_window_with_most_context(max_length: int, doc_stride: int) -> None:
    """Each window says its own number; heard is one that has the token farthest from its edges."""
    limits = Limits(max_length=max_length, doc_stride=doc_stride)
    room = max_length - 2
    for tokens in (1, room, room + 1, room + 2, 3 * room, 60):
        starts = window_starts(tokens, room, doc_stride, "window")
        windows = cut("字" * tokens, np.zeros((tokens, 1)), limits)
        for number, window in enumerate(windows):
            window.tensors["logits"][1:-1] = number
        values, offsets = stitch(
            Document(text="字" * tokens, tokens=tokens, windows=len(windows), truncated=False),
            windows,
            "logits",
            limits,
        )
        assert offsets.tolist() == [[i, i + 1] for i in range(tokens)]
        for token in range(tokens):
            context = {
                number: min(token - start, min(start + room, tokens) - 1 - token)
                for number, start in enumerate(starts)
                if start <= token < start + room
            }
            assert context[int(values[token, 0])] == max(context.values())


def test_nothing_but_special_tokens(make_manifest: MakeManifest) -> None:
    document = Document(text="", tokens=0, windows=1, truncated=False)
    window = WindowOutput(np.zeros((2, 2), np.int32), {"logits": np.full((2, 5), 9, np.float32)})
    (answer,) = get_kind("token_classification").decode([document], [[window]], make_manifest())
    assert answer.result["entities"] == []
    assert get_kind("token_classification").decode([], [], make_manifest()) == []
    assert get_kind("sequence_classification").decode([], [], make_manifest("sequence_classification", NAMES)) == []
