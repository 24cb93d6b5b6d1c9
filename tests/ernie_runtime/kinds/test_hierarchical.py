"""Labels in a tree: numbers in, closed sets of labels and their paths out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ernie_runtime.errors import EngineError, InvalidItem
from ernie_runtime.kinds import Answer, WindowOutput, get_kind
from ernie_runtime.kinds.hierarchical_classification import LabelTree, sigmoid
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import ON_CPU
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import Document

MakeManifest = Callable[..., Manifest]
KIND = "hierarchical_classification"
NAMES = ("人生", "人生##结婚", "人生##离婚", "灾害", "灾害##地震")
DEEP = ("a##b##c", "a", "x", "a##b", "a##b##c##d")  # children may stand before their parents


@pytest.fixture
def events(make_manifest: MakeManifest) -> Manifest:
    return make_manifest(KIND, NAMES)


def logit(*probabilities: float) -> np.ndarray:
    p = np.array(probabilities)
    return np.log(p / (1 - p)).astype(np.float32)


def decode(manifest: Manifest, *texts: Sequence[np.ndarray]) -> list[Answer]:
    """Answers for texts, each given as its windows' logits."""
    get_kind(KIND).check(manifest)
    outputs = [[WindowOutput(np.zeros((5, 2), np.int32), {"logits": row}) for row in rows] for rows in texts]
    return get_kind(KIND).decode(
        [Document(text="", tokens=3, windows=len(rows), truncated=False) for rows in texts], outputs, manifest
    )


def labels(answer: Answer) -> list[str]:
    return [row["label"] for row in answer.result["labels"]]


def test_one_path(events: Manifest) -> None:
    (answer,) = decode(events, [logit(0.9, 0.8, 0.1, 0.2, 0.1)])
    assert answer.result == {
        "labels": [
            {"label": "人生", "level": 1, "score": pytest.approx(0.9, abs=1e-6)},
            {"label": "人生##结婚", "level": 2, "score": pytest.approx(0.8, abs=1e-6)},
        ],
        "paths": [["人生", "结婚"]],
    }
    np.testing.assert_allclose(answer.numeric["SCORES"], [0.9, 0.8, 0.1, 0.2, 0.1], atol=1e-6)
    json.dumps(answer.result)


def test_every_text_of_a_batch_has_its_own_labels(events: Manifest) -> None:
    rows = [
        logit(0.9, 0.8, 0.1, 0.2, 0.1),
        logit(0.1, 0.1, 0.1, 0.1, 0.1),
        logit(0.1, 0.1, 0.1, 0.7, 0.9),
        logit(0.9, 0.2, 0.9, 0.9, 0.2),
    ]
    together = decode(events, *([row] for row in rows))
    assert [answer.result["paths"] for answer in together] == [
        [["人生", "结婚"]],
        [],
        [["灾害", "地震"]],
        [["人生", "离婚"], ["灾害"]],
    ]
    for row, answer in zip(rows, together, strict=True):
        (single,) = decode(events, [row])
        assert single.result == answer.result
    assert decode(events) == []


def test_nothing_above_its_threshold(events: Manifest) -> None:
    (answer,) = decode(events, [logit(0.49, 0.49, 0.1, 0.49, 0.4)])
    assert answer.result == {"labels": [], "paths": []}
    assert answer.numeric["SCORES"].max() == pytest.approx(0.49)


def test_a_score_at_its_threshold_is_kept(make_manifest: MakeManifest) -> None:
    """0.7 is no float32: the comparison must not fall to the digits behind."""
    manifest = make_manifest(KIND, NAMES, options={"thresholds": {"人生": 0.7, "灾害": 1, "人生##离婚": 0.0}})
    tie = logit(0.7, 0.1, 0.1, 0.1, 0.5)
    answer = decode(make_manifest(KIND, NAMES, options={"thresholds": {"人生": 0.7}}), [tie])[0]
    assert answer.numeric["SCORES"][0] == np.float32(0.7), "the case is not the one meant"
    assert labels(answer) == ["人生", "灾害", "灾害##地震"]
    assert labels(decode(manifest, [tie])[0]) == ["人生", "人生##离婚", "灾害", "灾害##地震"], "0 keeps at any score"
    below = decode(make_manifest(KIND, NAMES, options={"thresholds": {"人生": 0.7}}), [tie - np.float32(1e-5)])[0]
    assert labels(below) == []


def test_a_kept_child_brings_its_parent(events: Manifest) -> None:
    (answer,) = decode(events, [logit(0.1, 0.1, 0.8, 0.3, 0.4)])
    assert [(row["label"], row["score"]) for row in answer.result["labels"]] == [
        ("人生", pytest.approx(0.8, abs=1e-6)),
        ("人生##离婚", pytest.approx(0.8, abs=1e-6)),
    ]
    np.testing.assert_allclose(answer.numeric["SCORES"], [0.8, 0.1, 0.8, 0.4, 0.4], atol=1e-6)


def test_thresholds_are_each_label_s_own(make_manifest: MakeManifest) -> None:
    manifest = make_manifest(KIND, NAMES, options={"thresholds": {"人生##结婚": 0.2, "灾害": 0.95}})
    (answer,) = decode(manifest, [logit(0.3, 0.25, 0.25, 0.9, 0.45)])
    assert labels(answer) == ["人生", "人生##结婚"]
    (answer,) = decode(manifest, [logit(0.3, 0.1, 0.1, 0.9, 0.6)])
    assert labels(answer) == ["灾害", "灾害##地震"], "the child is kept by the 0.5 of labels without a threshold"


def test_a_deep_tree_is_closed_to_its_top(make_manifest: MakeManifest) -> None:
    tree = LabelTree.of(DEEP)
    assert (tree.parents, tree.levels) == ((3, -1, -1, 1, 0), (3, 1, 1, 2, 4))
    (answer,) = decode(make_manifest(KIND, DEEP), [logit(0.1, 0.2, 0.6, 0.1, 0.9)])
    rows = [(row["label"], row["level"], round(row["score"], 3)) for row in answer.result["labels"]]
    assert rows == [("a", 1, 0.9), ("a##b", 2, 0.9), ("a##b##c", 3, 0.9), ("a##b##c##d", 4, 0.9), ("x", 1, 0.6)]
    assert answer.result["paths"] == [["a", "b", "c", "d"], ["x"]]
    (answer,) = decode(make_manifest(KIND, DEEP), [logit(0.6, 0.2, 0.1, 0.1, 0.4)])
    assert answer.result["paths"] == [["a", "b", "c"]]


def test_order_is_the_tree_s_with_the_best_first(events: Manifest) -> None:
    (answer,) = decode(events, [logit(0.7, 0.6, 0.65, 0.9, 0.55)])
    assert labels(answer) == ["灾害", "灾害##地震", "人生", "人生##离婚", "人生##结婚"]
    assert answer.result["paths"] == [["灾害", "地震"], ["人生", "离婚"], ["人生", "结婚"]]
    (answer,) = decode(events, [logit(*[0.75] * 5)])
    assert labels(answer) == list(NAMES), "ties go by the manifest's order"


def test_random_answers_are_closed_trees(make_manifest: MakeManifest) -> None:
    rng = np.random.default_rng(3)
    names = tuple(f"{a}{b}{c}" for a in "pqr" for b in ("", "##1", "##2") for c in ("", "##x", "##y") if b or not c)
    manifest = make_manifest(KIND, names, options={"thresholds": {n: float(rng.random()) for n in names}})
    label_count = 0
    for _ in range(50):
        windows = [rng.normal(-1, 2, len(names)).astype(np.float32) for _ in range(rng.integers(1, 4))]
        (answer,) = decode(manifest, windows)
        scores = {row["label"]: row["score"] for row in answer.result["labels"]}
        label_count += len(scores)
        for name, score in scores.items():
            parent = name.rpartition("##")[0]
            assert not parent or scores[parent] >= score
            assert score == pytest.approx(answer.numeric["SCORES"][names.index(name)], abs=1e-6)
        paths = ["##".join(path) for path in answer.result["paths"]]
        assert set(paths) == {n for n in scores if not any(descendant.startswith(f"{n}##") for descendant in scores)}
        order = {label: i for i, label in enumerate(scores)}
        assert all(order[n.rpartition("##")[0]] < order[n] for n in scores if "##" in n)
    assert label_count > 100


def test_a_long_text_has_what_any_of_its_windows_has(events: Manifest) -> None:
    first, second = logit(0.9, 0.8, 0.1, 0.1, 0.1), logit(0.1, 0.1, 0.1, 0.6, 0.7)
    without_labels = logit(0.1, 0.1, 0.1, 0.1, 0.1)
    long, short = decode(events, [first, without_labels, second], [without_labels])
    assert long.result["paths"] == [["人生", "结婚"], ["灾害", "地震"]]
    np.testing.assert_allclose(long.numeric["SCORES"], [0.9, 0.8, 0.1, 0.7, 0.7], atol=1e-6)
    assert short.result["paths"] == []


def test_sigmoid() -> None:
    values = sigmoid(np.array([-1e4, -2.0, 0.0, 2.0, 1e4], np.float32))
    np.testing.assert_allclose(values, [0, 0.11920292, 0.5, 0.88079708, 1], atol=1e-7)
    assert values.dtype == np.float32
    assert values[1] + values[3] == pytest.approx(1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_give_no_answer(events: Manifest, value: float) -> None:
    with pytest.raises(EngineError, match="not finite"):
        decode(events, [np.array([0, 0, value, 0, 0], np.float32)])


def served(manifest: Manifest, tokenizer: ErnieTokenizer, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """The three steps on one request; the encoder says of a window what its first character stands for."""

    def engine(tensors: Any) -> dict[str, np.ndarray]:
        first = tensors["input_ids"][:, 1]
        signs = {tokenizer([sign])[0].ids[0]: row for row, sign in enumerate("婚震")}
        table = np.stack([logit(0.9, 0.8, 0.1, 0.1, 0.1), logit(0.1, 0.1, 0.1, 0.2, 0.7), logit(*[0.1] * 5)])
        return {"logits": table[[signs.get(token, 2) for token in first.tolist()]]}

    passed: Any = {"TEXT": strings([text.encode() for text in texts])}
    for step in (
        TokenizerStep(manifest, tokenizer),
        EncoderStep(engine, [], ON_CPU),
        PostprocessStep(manifest),
    ):
        (result,) = step.run([{name: passed[name] for name in step.inputs}])
        assert not isinstance(result, InvalidItem)
        passed |= result
    return dict(passed)


def test_through_the_steps(events: Manifest, tokenizer: ErnieTokenizer) -> None:
    long = "震" + "天" * 30
    out = served(events, tokenizer, ["婚礼", "", "天气", long, "婚"])
    results = [json.loads(row) for row in out["RESULT"][:, 0]]
    assert [row.get("paths") for row in results] == [
        [["人生", "结婚"]],
        None,
        [],
        [["灾害", "地震"]],
        [["人生", "结婚"]],
    ]
    assert results[1]["error"]["message"] == "item 1: the text is empty"
    assert (results[3]["windows"], results[3]["tokens"], results[3]["truncated"]) == (4, 31, False)
    assert out["SCORES"].shape == (5, 5)
    assert out["SCORES"].dtype == np.float32
    assert out["SCORES"][1].tolist() == [0] * 5
    np.testing.assert_allclose(out["SCORES"][3], [0.1, 0.1, 0.1, 0.7, 0.7], atol=1e-6)
