"""The three steps one after the other: many requests at once, each with its own answers and its own errors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ernie_runtime.errors import InvalidItem
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..requests_toy import BUCKETS, CLASSES, TAGS, VALID_TEXTS, engine_of, per_token_of, request_of

MakeManifest = Callable[..., Manifest]


@pytest.fixture(params=["sequence_classification", "token_classification"])
def manifest(request: pytest.FixtureRequest, make_manifest: MakeManifest) -> Manifest:
    labels = TAGS if request.param == "token_classification" else CLASSES
    return make_manifest(request.param, labels, max_length=16, doc_stride=5, max_chars=300)


def serve(
    manifest: Manifest, tokenizer: ErnieTokenizer, requests: Sequence[Any], buckets: Sequence[int] = ()
) -> list[Any]:
    """What an ensemble does: requests that the tokenizer fails go no further."""
    outcomes: list[Any] = TokenizerStep(manifest, tokenizer, buckets).run(requests)
    alive = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, InvalidItem)]
    tokenized = [outcomes[i] for i in alive]
    encoded: list[Any] = EncoderStep(
        engine_of(manifest), per_token_of(manifest), Batching(token_budget=60, max_rows=5)
    ).run(tokenized)
    answers = PostprocessStep(manifest).run([{**t, **e} for t, e in zip(tokenized, encoded, strict=True)])
    for i, answer in zip(alive, answers, strict=True):
        outcomes[i] = answer
    return outcomes


def results_of(outcome: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in outcome["RESULT"][:, 0]]


REASONS = {
    b"": "the text is empty",
    b" \t ": "the text has only spaces or control characters",
    b"\0": "the text has only spaces or control characters",
    b"ab\xff": "the text is not UTF-8: invalid start byte at byte 2",
    "长".encode() * 301: "the text has 301 characters, this task takes at most 300",
}


def test_many_requests_good_and_bad(manifest: Manifest, tokenizer: ErnieTokenizer) -> None:
    rng = random.Random(7)
    pipeline = Pipeline(manifest, tokenizer, engine_of(manifest))
    single_answers = {text: pipeline.predict([(text,)])[0] for text in VALID_TEXTS}
    pool: list[str | bytes] = [*VALID_TEXTS, *REASONS]
    requests = [[rng.choice(pool) for _ in range(rng.randint(1, 5))] for _ in range(150)]
    outcomes = serve(manifest, tokenizer, [request_of(*texts) for texts in requests])
    refused = mixed = 0
    for texts, outcome in zip(requests, outcomes, strict=True):
        faults = {i: f"item {i}: {REASONS[t]}" for i, t in enumerate(texts) if isinstance(t, bytes)}
        if len(faults) == len(texts):
            refused += 1
            assert isinstance(outcome, InvalidItem)
            assert all(fault in str(outcome) for fault in faults.values())
            continue
        mixed += bool(faults)
        assert outcome["RESULT"].shape == (len(texts), 1) and outcome["RESULT"].dtype == object
        for i, (text, result) in enumerate(zip(texts, results_of(outcome), strict=True)):
            if isinstance(text, bytes):
                assert result == {"error": {"code": "INVALID_ARG", "message": faults[i]}}
                numeric: dict[str, float | int] = {"LABEL_ID": -1, "SCORE": 0.0}
            else:
                answer = single_answers[text]
                assert not isinstance(answer, str) and result == answer.result
                numeric = answer.numeric
            for name in outcome.keys() & numeric.keys():
                assert outcome[name].shape == (len(texts), 1)
                assert outcome[name][i, 0] == pytest.approx(numeric[name])
    assert refused >= 10 and mixed >= 40


def test_numeric_outputs(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest("sequence_classification", CLASSES)
    (outcome,) = serve(manifest, tokenizer, [request_of("好", "", "坏")])
    assert outcome["LABEL_ID"].dtype == np.int64 and outcome["SCORE"].dtype == np.float32
    for i, result in enumerate(results_of(outcome)):
        if i == 1:
            assert (outcome["LABEL_ID"][1, 0], outcome["SCORE"][1, 0]) == (-1, 0)
        else:
            assert result["label"] == CLASSES[outcome["LABEL_ID"][i, 0]]
            assert result["score"] == pytest.approx(outcome["SCORE"][i, 0], abs=1e-6)


def test_results_have_tokens_windows_truncated(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    for overflow, windows in (("window", 5), ("truncate", 1)):
        manifest = make_manifest("sequence_classification", CLASSES, 16, 5, overflow)
        (outcome,) = serve(manifest, tokenizer, [request_of("好", "好" * 30)])
        short, long = results_of(outcome)
        assert (short["tokens"], short["windows"], short["truncated"]) == (1, 1, False)
        assert (long["tokens"], long["windows"], long["truncated"]) == (30, windows, overflow == "truncate")


def test_padding_to_buckets_changes_no_answer(manifest: Manifest, tokenizer: ErnieTokenizer) -> None:
    requests = [request_of(*VALID_TEXTS[i : i + 2], b"") for i in range(len(VALID_TEXTS))]
    ragged, padded = serve(manifest, tokenizer, requests), serve(manifest, tokenizer, requests, BUCKETS)
    for a, b in zip(ragged, padded, strict=True):
        assert {name: array.tolist() for name, array in a.items()} == {
            name: array.tolist() for name, array in b.items()
        }


def test_pipeline_is_the_steps(manifest: Manifest, tokenizer: ErnieTokenizer) -> None:
    texts: list[str | bytes] = [*VALID_TEXTS, *REASONS, *VALID_TEXTS]
    items = [(text,) for text in texts]
    finished: list[int] = []
    pipeline = Pipeline(manifest, tokenizer, engine_of(manifest), Batching(token_budget=50, max_rows=3))
    answers = pipeline.predict(items, chunk=4, progress=finished.append)
    assert sum(finished) == len(answers) == len(items)
    (outcome,) = serve(manifest, tokenizer, [request_of(*[item for (item,) in items])])
    for (item,), answer, result in zip(items, answers, results_of(outcome), strict=True):
        if isinstance(item, bytes):
            assert answer == REASONS[item]
        else:
            assert not isinstance(answer, str) and answer.result == result
    assert pipeline.predict([]) == []
