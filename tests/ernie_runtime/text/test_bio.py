"""The best legal tag sequence against brute force, and the spans it means."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ernie_runtime.errors import ManifestError
from ernie_runtime.text.bio import TagSet, parse_tag

SINGLE_TYPE = TagSet(("O", "B-X", "I-X"))
MIXED = TagSet(("B-X", "I-Y", "O", "B-Y", "I-X"))  # another order, as a checkpoint may have it


BIOES = TagSet(("O", "S-X", "B-X", "I-X", "E-X"))
BMES = TagSet(("E_X", "B_X", "M_X", "S_X", "O"))
HALF = TagSet(("O", "B-X", "E-X", "S-X", "B-Y"))  # X has no I-, Y is single tokens


def legal(tags: TagSet, path: tuple[int, ...]) -> bool:
    """By a regular expression of whole spans: another way than the matrix of what may follow what."""
    kinds = {tag[2:] for tag in tags.tags if tag != "O"}
    closed = {kind for kind in kinds if any(tag[0] == "E" and tag[2:] == kind for tag in tags.tags)}
    span = [f"B{k}(I{k})*E{k}|S{k}" if k in closed else f"B{k}(I{k})*|S{k}" for k in sorted(kinds)]
    written = "".join(tags.tags[column].replace("-", "").replace("_", "").replace("M", "I") for column in path)
    return re.fullmatch(f"({'|'.join(['O', *span])})*", written) is not None


def brute_force(tags: TagSet, scores: np.ndarray) -> float:
    """The largest sum of scores over all legal paths."""
    rows = range(len(scores))
    paths = product(range(len(tags.tags)), repeat=len(scores))
    return max(float(scores[rows, path].sum()) for path in paths if legal(tags, path))


@pytest.mark.parametrize("tags", [SINGLE_TYPE, MIXED, TagSet(("O", "B-X", "B-Y", "I-Y")), BIOES, BMES, HALF])
@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(data=st.data())
def test_best_path_is_the_best_of_all_legal_paths(tags: TagSet, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 5 if len(tags.tags) < 5 else 4))
    # Quarters: ties are common, and sums are exact.
    quarters = st.integers(-12, 0).map(lambda n: n / 4)
    scores = data.draw(arrays(np.float32, (length, len(tags.tags)), elements=quarters))
    path = tuple(tags.best_path(scores).tolist())
    assert legal(tags, path)
    assert scores[range(length), path].sum() == brute_force(tags, scores)


def test_best_path_of_random_log_probabilities() -> None:
    rng = np.random.default_rng(3)
    repaired = 0
    for _ in range(150):
        logits = rng.normal(0, 4, (rng.integers(1, 5), 5))
        scores = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
        path = tuple(MIXED.best_path(scores).tolist())
        repaired += path != tuple(scores.argmax(1).tolist())
        assert legal(MIXED, path)
        assert scores[range(len(scores)), path].sum() == pytest.approx(brute_force(MIXED, scores), abs=1e-5)
    assert repaired > 50


def test_best_path_of_a_long_hopeless_text_stays_legal() -> None:
    scores = np.full((20_000, 3), -69.0, np.float32)
    scores[:, 2] = -0.001  # I-X everywhere
    path = SINGLE_TYPE.best_path(scores)
    assert path.tolist() == [1] + [2] * 19_999


def test_best_path_of_nothing() -> None:
    assert SINGLE_TYPE.best_path(np.zeros((0, 3), np.float32)).tolist() == []
    assert SINGLE_TYPE.spans([]) == []


@pytest.mark.parametrize(
    ("scores", "path"),
    [
        ([[0, 0, 0]], [0]),  # ties go to the first tag
        ([[0, 0, 1]], [0]),  # I cannot start: O and B tie
        ([[0, 1, 5]], [1]),
        ([[2, 0, 0], [0, 0, 5]], [1, 2]),  # a B is worth its cost for the I that follows
        ([[9, 0, 0], [4, 0, 5]], [0, 0]),  # and here it is not
    ],
)
def test_best_path_by_hand(scores: list[list[float]], path: list[int]) -> None:
    assert SINGLE_TYPE.best_path(np.array(scores, np.float32)).tolist() == path


@pytest.mark.parametrize(
    ("path", "spans"),
    [
        ("O O", []),
        ("B-X", [(0, 1, "X")]),
        ("B-X I-X", [(0, 2, "X")]),
        ("B-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),
        ("B-X I-X B-Y", [(0, 2, "X"), (2, 3, "Y")]),
        ("O B-Y I-Y O B-X", [(1, 3, "Y"), (4, 5, "X")]),
    ],
)
def test_spans(path: str, spans: list[tuple[int, int, str]]) -> None:
    assert MIXED.spans([MIXED.index[tag] for tag in path.split()]) == spans


@pytest.mark.parametrize("tags", [BIOES, BMES, TagSet(("O", "B-X", "I-X", "L-X", "U-X"))])
def test_spans_of_closed_types(tags: TagSet) -> None:
    roles = {role: column for (role, _), column in tags.column.items()}
    path = [roles[role] for role in "SOBIESBE"]
    assert tags.spans(path) == [(0, 1, "X"), (2, 5, "X"), (5, 6, "X"), (6, 8, "X")]
    assert not tags.follows[roles["B"], roles["O"]] and not tags.ends[roles["I"]]
    # A word of two tokens stays whole, by a span of two or by none.
    scores = np.full((2, 5), -9.0)
    scores[0, roles["S"]], scores[0, roles["B"]], scores[1, roles["O"]], scores[1, roles["E"]] = -1, -2, -1, -2
    assert tags.best_path(scores).tolist() == [roles["S"], roles["O"]]
    assert tags.best_path(scores, np.array([False, True])).tolist() == [roles["B"], roles["E"]]


def test_tag_sets() -> None:
    assert TagSet.of_types(["PER", "a-b"]).tags == ("O", "B-PER", "I-PER", "B-a-b", "I-a-b")
    tags = TagSet.of_types(["a", "a-b"])
    assert not tags.follows[tags.index["B-a"], tags.index["I-a-b"]]
    assert tags.follows[tags.index["I-a-b"], tags.index["I-a-b"]]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (("B-X", "I-X"), "no 'O'"),
        (("O", "X"), "'X' is neither"),
        (("O", "B"), "'B' is neither"),
        (("O", "B-"), "'B-' is neither"),
        (("O", "X-X"), "'X-X' is neither"),
        (("O", "E-X"), "'E-X' has no B-X"),
        (("O", "B_X", "E_X"), "'B_X' has E-X beside it, and no tag S"),
        (("O", "B-X", "B_X"), "'B-X' is there in two spellings"),
        (("O", "B-X", "I-Y"), "'I-Y' has no B-Y"),
    ],
)
def test_tags_that_are_not_bio(tags: tuple[str, ...], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        TagSet(tags)


@pytest.mark.parametrize(
    ("tag", "role", "kind"),
    [("PER-B", "B", "PER"), ("人名_M", "I", "人名"), ("B-S", "B", "S"), ("work-of-art-E", "E", "work-of-art")],
)
def test_a_type_may_stand_before_the_role(tag: str, role: str, kind: str) -> None:
    assert parse_tag(tag) == (role, kind)
    assert TagSet(("O", "PER-B", "PER-I")).parts == TagSet(("O", "B-PER", "I-PER")).parts
