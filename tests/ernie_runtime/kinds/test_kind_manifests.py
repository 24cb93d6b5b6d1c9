"""Manifests that do not fit their kind: refused by one line that names the task and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ernie_runtime.errors import ManifestError
from ernie_runtime.kinds import get_kind, kind_names
from ernie_runtime.kinds.fill_mask import options_of
from ernie_runtime.manifest import Manifest

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "the", "ing", "##ing", "##er", "[unused7]", "##", "好"]
QUESTIONS = {"max_answer_tokens": 8, "max_question_tokens": 8}
VALID_FIELDS: dict[str, dict[str, Any]] = {
    "sequence_classification": {"labels": ("a", "b")},
    "pair_classification": {"labels": ("a", "b")},
    "token_classification": {"labels": ("O", "B-PER", "I-PER")},
    "question_answering": {"labels": (), "max_length": 32, "doc_stride": 8, "options": QUESTIONS},
    "intent_slots": {"labels": ("OTHERS", "music.play"), "options": {"slots": ["song"]}},
    "hierarchical_classification": {"labels": ("人生", "人生##结婚", "人生##离婚", "灾害", "灾害##地震")},
    "embedding": {"labels": (), "options": {"dimension": 2}},
    "similarity": {"labels": (), "options": {"dimension": 2}},
    "pair_embedding": {"labels": (), "options": {"dimension": 2}},
    "token_embedding": {"labels": (), "overflow": "truncate", "options": {"dimension": 2}},
    "fill_mask": {"labels": (), "vocabulary_size": len(WORDS), "options": options_of(WORDS)},
    "ranking": {"labels": ("0", "1"), "overflow": "truncate"},
}
FAULTS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "embedding": [
        ({"options": {}}, "options.dimension is None; it must be the length of an embedding"),
        ({"options": {"dimension": 2, "pooling": "max"}}, "pooling 'max' is none of cls, mean, first_last_mean"),
        ({"options": {"dimension": 2, "normalize": 1}}, "options.normalize is 1; it must be true or false"),
        ({"options": {"dimension": 2, "reduce": "svd"}}, "options.reduce is 'svd'; it may be 'pca'"),
        ({"options": {"dimension": 2, "prefixes": "query: "}}, "options.prefixes is 'query: '; it must name texts"),
        ({"options": {"dimension": 2, "prefixes": {"query": ""}}}, "options.prefixes is {'query': ''}; it must name"),
        (
            {"options": {"dimension": 2, "prefixes": {"query": "q: "}, "prefix": "passage"}},
            "options.prefix is 'passage'; options.prefixes has query",
        ),
        ({"options": {"dimension": 2, "prefix": ["query"]}}, "options.prefix is ['query']; options.prefixes has none"),
        ({"options": {"dimension": 2, "normalise": False}}, "options.normalise is none of dimension, pooling"),
    ],
    "similarity": [
        ({"options": {"dimension": 0}}, "options.dimension is 0"),
        ({"options": {"dimension": True}}, "options.dimension is True"),
        ({"options": {"dimension": "312"}}, "options.dimension is '312'"),
        ({"options": {"dimension": 2, "max_score": 0}}, "options.max_score is 0; it must be the score"),
        ({"options": {"dimension": 2, "max_score": float("inf")}}, "options.max_score is inf"),
        ({"options": {"dimension": 2, "max_score": "5"}}, "options.max_score is '5'"),
    ],
    "pair_embedding": [
        ({"options": {"dimension": 2, "prefix": "query"}}, "options.prefix is none of dimension, pooling, normalize"),
        ({"max_length": 4, "doc_stride": 1}, "max_length 4 has no room for two texts"),
    ],
    "token_embedding": [
        ({"overflow": "window"}, 'token_embedding reads one window of a text: set limits.overflow = "truncate"'),
        ({"options": {"dimension": 2, "pooling": "cls"}}, "options.pooling is none of dimension, normalize, prefixes"),
    ],
    "hierarchical_classification": [
        ({"labels": ("a",)}, "at least two labels"),
        ({"labels": ("a", "b##c")}, "label 'b##c' needs its parent 'b' among the labels"),
        ({"labels": ("a", "a##b##c")}, "label 'a##b##c' needs its parent 'a##b'"),
        ({"labels": ("a", "a##")}, "label 'a##' has an empty part"),
        ({"labels": ("a", "##b")}, "label '##b' has an empty part"),
        ({"labels": ("a", "a## ")}, "has an empty part"),
        ({"options": {"threshold": 0.3}}, "options 'threshold' are none of thresholds, threshold_choice"),
        ({"options": {"thresholds": 0.3}}, "thresholds must be a table label = number"),
        ({"options": {"thresholds": {"死亡": 0.3}}}, "thresholds: '死亡' is none of the 5 labels"),
        ({"options": {"thresholds": {"人生": 1.5}}}, "thresholds: '人生' is 1.5; a threshold is a number from 0 to 1"),
        ({"options": {"thresholds": {"人生": -0.1}}}, "a threshold is a number from 0 to 1"),
        ({"options": {"thresholds": {"人生": "0.3"}}}, "thresholds: '人生' is '0.3'"),
        ({"options": {"thresholds": {"人生": True}}}, "thresholds: '人生' is True"),
        ({"options": {"thresholds": {"人生": float("nan")}}}, "thresholds: '人生' is nan"),
    ],
    "fill_mask": [
        ({"options": {"top_k": 0}}, "option top_k is 0, expected 1 to 100"),
        ({"options": {"top_k": 101}}, "option top_k is 101"),
        ({"options": {"top_k": True}}, "option top_k is True"),
        ({"options": {"topk": 5}}, "options.topk is none of top_k, tokens"),
        ({"options": {}}, "option tokens has 0 lines, the vocabulary 12: publish the task again"),
        ({"options": options_of(WORDS[1:])}, "option tokens has 11 lines, the vocabulary 12"),
        ({"options": {"tokens": WORDS}}, "option tokens has 0 lines"),
        ({"overflow": "truncate"}, 'needs overflow "window": a mask may come late'),
    ],
    "ranking": [
        ({"labels": ("0", "1", "2")}, "ranking needs two labels"),
        ({"overflow": "window"}, 'set limits.overflow = "truncate"'),
        ({"options": {"max_candidates": 0}}, "options.max_candidates is 0; it must be from 1 to 1,024"),
        ({"options": {"max_candidates": 2000}}, "options.max_candidates is 2000"),
        ({"options": {"max_candidates": "9"}}, "options.max_candidates is '9'"),
        ({"options": {"candidates": 9}}, "options.candidates is none of max_candidates, pooling"),
    ],
    "intent_slots": [
        ({"labels": ("a",), "options": {"slots": ["x"]}}, "needs at least two labels, its intents"),
        ({"options": {}}, "needs options.slots, a list of the slot types"),
        ({"options": {"slots": []}}, "needs options.slots"),
        ({"options": {"slots": "song"}}, "needs options.slots"),
        ({"options": {"slots": ["song", ""]}}, "needs options.slots"),
        ({"options": {"slots": ["song", 5]}}, "needs options.slots"),
        ({"options": {"slots": ["song", "song"]}}, "names a slot type twice"),
        ({"options": {"slots": ["song"], "values": ["x"]}}, "options.values must be a table"),
        ({"options": {"slots": ["song"], "values": {"song": "x"}}}, "options.values must be a table"),
        ({"options": {"slots": ["song"], "values": {"singer": {}}}}, "has 'singer', which options.slots has not"),
        (
            {"options": {"slots": ["song"], "values": {"song": {"a": 5}}}},
            "options.values.song has a value that is not a",
        ),
    ],
    "question_answering": [
        ({"options": {**QUESTIONS, **{"n_best": 0}}}, "options.n_best is 0; it must be a whole number from 1"),
        ({"options": {**QUESTIONS, **{"n_best": True}}}, "options.n_best is True"),
        ({"options": {**QUESTIONS, **{"max_answer_tokens": 2.5}}}, "options.max_answer_tokens is 2.5"),
        ({"options": {**QUESTIONS, **{"max_question_tokens": "9"}}}, "options.max_question_tokens is '9'"),
        ({"options": {**QUESTIONS, **{"script": "s2t"}}}, "options.script 's2t' is none of t2s, or empty"),
        ({"options": {**QUESTIONS, **{"script": None}}}, "options.script None is none of t2s, or empty"),
        (
            {"options": {**QUESTIONS, **{"no_answer_threshold": 1.5}}},
            "options.no_answer_threshold is 1.5; it must be a probability",
        ),
        ({"options": {**QUESTIONS, **{"no_answer_threshold": float("nan")}}}, "options.no_answer_threshold is nan"),
        ({"options": {**QUESTIONS, **{"no_answer_threshold": "0.5"}}}, "options.no_answer_threshold is '0.5'"),
        ({"options": {**QUESTIONS, **{"nbest": 3}}}, "unknown option 'nbest'; known are n_best, max_answer_tokens"),
        (
            {"options": {**QUESTIONS, **{"max_answer_tokens": 14}}},
            "an answer of max_answer_tokens 14 may lie whole in no window",
        ),
        (
            {"options": {**QUESTIONS, **{"max_question_tokens": 14}}},
            "a window holds 15 tokens of the context, and windows start 8 apart",
        ),
    ],
}


@pytest.mark.parametrize("kind", kind_names())
def test_a_good_one(make_manifest: Callable[..., Manifest], kind: str) -> None:
    get_kind(kind).check(make_manifest(kind, **VALID_FIELDS[kind]))


@pytest.mark.parametrize(("kind", "fields", "says"), [(kind, *row) for kind, rows in FAULTS.items() for row in rows])
def test_a_manifest_that_does_not_fit_its_kind_is_refused(
    make_manifest: Callable[..., Manifest], kind: str, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(ManifestError) as raised:
        get_kind(kind).check(make_manifest(kind, **{**VALID_FIELDS[kind], **fields}))
    message = str(raised.value)
    assert message.startswith("task toy: ") and says in message and "\n" not in message


@pytest.mark.parametrize(
    ("kind", "options", "found"),
    [
        ("similarity", {"dimension": 0, "pooling": "x", "colour": 1, "max_score": -1}, 4),
        (
            "intent_slots",
            {"slots": ["song"], "values": {"a": {}, "b": {}}, "slots_of": {"x": ["song"]}, "colour": 1},
            4,
        ),
        ("question_answering", {"n_best": 0, "max_answer_tokens": 0, "script": "s2t", "colour": 1}, 4),
    ],
)
def test_all_faults_at_once(
    make_manifest: Callable[..., Manifest], kind: str, options: dict[str, Any], found: int
) -> None:
    with pytest.raises(ManifestError) as raised:
        get_kind(kind).check(make_manifest(kind, **{**VALID_FIELDS[kind], "options": options}))
    assert len(raised.value.lines) == found
