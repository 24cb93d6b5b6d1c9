"""The three steps on arrays: what each takes, gives, and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_runtime.engines import Tensors
from ernie_runtime.errors import InvalidItem, ManifestError
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.token_classification import TokenClassification
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep, real_lengths
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import MAX_WINDOWS

from ..requests_toy import BUCKETS, CLASSES, TAGS, VALID_TEXTS, engine_of, per_token_of, request_of, tagger

MakeManifest = Callable[..., Manifest]


@pytest.fixture(params=["sequence_classification", "token_classification"])
def manifest(request: pytest.FixtureRequest, make_manifest: MakeManifest) -> Manifest:
    labels = TAGS if request.param == "token_classification" else CLASSES
    return make_manifest(request.param, labels, max_length=16, doc_stride=5, max_chars=300)


@pytest.mark.parametrize(
    ("characters", "buckets", "length"),
    [
        (1, (), 3),
        (1, BUCKETS, 8),
        (6, BUCKETS, 8),
        (7, BUCKETS, 12),
        (14, BUCKETS, 16),
        (99, BUCKETS, 16),
        (9, (4,), 11),
    ],
)
def test_tokenizer_outputs(
    manifest: Manifest, tokenizer: ErnieTokenizer, characters: int, buckets: tuple[int, ...], length: int
) -> None:
    outcome: Any = TokenizerStep(manifest, tokenizer, buckets).run([request_of("中" * characters, "国")])[0]
    rows = len(outcome["WINDOW"])
    per_token = manifest.kind == "token_classification"
    assert set(outcome) == {"input_ids", "token_type_ids", "WINDOW", "ITEM"} | ({"OFFSETS"} if per_token else set())
    for name in ("input_ids", "token_type_ids"):
        assert outcome[name].shape == (rows, length) and outcome[name].dtype == np.int64
    assert outcome["WINDOW"].dtype == np.int32
    assert outcome["WINDOW"][:, 0].tolist() == [0] * (rows - 1) + [1]
    for ids, (_, real) in zip(outcome["input_ids"], outcome["WINDOW"], strict=True):
        assert ids[0] == tokenizer.cls_id and ids[real - 1] == tokenizer.sep_id and not ids[real:].any()
    items = outcome["ITEM"][:, 0].tolist()
    assert [bool(item) for item in items] == [True] + [False] * (rows - 2) + [True]
    assert json.loads(items[0])["windows"] == rows - 1
    if per_token:
        assert outcome["OFFSETS"].shape == (rows, length, 2) and outcome["OFFSETS"].dtype == np.int32
        assert json.loads(items[-1])["text"] == "国"


def test_a_request_is_tokenized_the_same_alone_and_in_a_batch(manifest: Manifest, tokenizer: ErnieTokenizer) -> None:
    step = TokenizerStep(manifest, tokenizer)
    requests = [request_of(*VALID_TEXTS[i:], b"") for i in range(len(VALID_TEXTS))]
    for request, together in zip(requests, step.run(requests), strict=True):
        single: Any = step.run([request])[0]
        assert not isinstance(together, InvalidItem) and set(together) == set(single)
        assert all(together[name].tolist() == single[name].tolist() for name in single)


def test_a_kind_decodes_only_real_tokens(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    """Nothing of padding, by either way; all windows of a text, in order."""
    decoded: list[list[list[int]]] = []

    class Spy(TokenClassification):
        def decode(self, documents: Any, outputs: Any, manifest: Manifest) -> list[Answer]:
            for windows in outputs:
                assert all(len(w.offsets) == len(w.tensors["logits"]) for w in windows)
                decoded.append([w.offsets[1:-1, 0].tolist() for w in windows])
            return super().decode(documents, outputs, manifest)

    manifest = make_manifest(labels=TAGS, max_length=6, doc_stride=3)
    step, pipeline = PostprocessStep(manifest), Pipeline(manifest, tokenizer, tagger)
    step.kind = pipeline.kind = Spy()
    windows = [[[0]], [[0, 1, 2, 3], [1, 2, 3, 4]], [[0, 1]]]
    pipeline.predict([("好",), ("中国人民好",), ("",), ("坏人",)])
    assert decoded == windows
    decoded.clear()
    tokenized: Any = TokenizerStep(manifest, tokenizer, (16,)).run([request_of("好", "中国人民好", "", "坏人")])[0]
    step.run([{**tokenized, **tagger(tokenized)}])
    assert decoded == windows


def test_too_many_windows(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest(labels=TAGS, max_length=4, doc_stride=1)
    just_enough, too_many = "中" * (MAX_WINDOWS + 1), "中" * (MAX_WINDOWS + 2)
    outcomes = TokenizerStep(manifest, tokenizer).run([request_of("好"), request_of(too_many), request_of(just_enough)])
    assert not isinstance(outcomes[0], InvalidItem) and not isinstance(outcomes[2], InvalidItem)
    assert len(outcomes[2]["input_ids"]) == MAX_WINDOWS
    assert isinstance(outcomes[1], InvalidItem)
    assert "item 0: the text needs 1,025 windows, a request can have 1,024" in str(outcomes[1])
    half = "中" * (MAX_WINDOWS // 2 + 2)
    (outcome,) = TokenizerStep(manifest, tokenizer).run([request_of(half, half)])
    assert "needs 1,026 windows, at most 1,024: send fewer texts" in str(outcome)
    step = TokenizerStep(manifest, tokenizer, max_windows=8)
    fits, fails = step.run([request_of("中" * 9), request_of("中" * 10)])
    assert not isinstance(fits, InvalidItem) and len(fits["input_ids"]) == 8
    assert str(fails) == "the request needs 9 windows, at most 8: send a shorter text"


def test_of_many_faults_the_first_are_named(manifest: Manifest, tokenizer: ErnieTokenizer) -> None:
    (outcome,) = TokenizerStep(manifest, tokenizer).run([request_of(*[b"\xff"] * 23)])
    assert "item 19: " in str(outcome) and "item 20: " not in str(outcome) and "and 3 more" in str(outcome)


def test_the_tokenizer_reads_its_version_directory(
    manifest: Manifest, tokenizer: ErnieTokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    (tmp_path / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    with pytest.raises(ManifestError, match=r"tokenizer\.json: not the vocabulary"):
        TokenizerStep.load(tmp_path, {})
    manifest = replace(manifest, vocabulary_sha256=tokenizer.fingerprint)
    (tmp_path / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    for buckets, length in (("8,12,16", 8), ("", 3)):
        step = TokenizerStep.load(tmp_path, {"buckets": buckets} if buckets else {})
        outcome: Any = step.run([request_of("好")])[0]
        assert step.inputs == ("TEXT",) and outcome["input_ids"].shape == (1, length)
        assert step.max_windows == MAX_WINDOWS
    assert TokenizerStep.load(tmp_path, {"max_windows": "8"}).max_windows == 8
    assert PostprocessStep.load(tmp_path, {}).manifest == manifest


def test_the_encoder_cuts_runs_and_scatters() -> None:
    """Per-token outputs are zero behind a row's end; each row is seen without the padding of its request."""
    shapes: list[tuple[int, ...]] = []

    def engine(tensors: Tensors) -> Tensors:
        ids = tensors["input_ids"]
        shapes.append(ids.shape)
        logits = np.stack([ids, ids * 0 + 7], 2).astype(np.float32)
        return {"logits": logits, "pooled": ids.sum(1, keepdims=True).astype(np.float32)}

    rng = np.random.default_rng(2)
    requests, lengths = [], []
    for rows in (1, 3, 7, 2):
        real = rng.integers(1, 20, rows)
        ids = np.where(np.arange(24) < real[:, None], rng.integers(1, 99, (rows, 24)), 0)
        requests.append({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})
        lengths.append(real)
    outcomes: list[Any] = EncoderStep(engine, ["logits"], Batching(token_budget=40, max_rows=4)).run(requests)
    for request, real, outcome in zip(requests, lengths, outcomes, strict=True):
        ids = request["input_ids"]
        assert outcome["logits"].shape == (*ids.shape, 2)
        assert outcome["pooled"][:, 0].tolist() == ids.sum(1).tolist()
        assert outcome["logits"][:, :, 0].tolist() == ids.tolist()
        inside = np.arange(24) < real[:, None]
        assert (outcome["logits"][:, :, 1] == np.where(inside, 7, 0)).all()
    assert max(length for _, length in shapes) == max(int(real.max()) for real in lengths) < 24
    assert all(rows == 1 or (rows <= 4 and rows * length <= 40) for rows, length in shapes)


def test_real_lengths() -> None:
    rows = np.array([[1, 5, 2, 0, 0], [1, 0, 2, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 2], [1, 0, 0, 0, 0]])
    assert real_lengths(rows).tolist() == [3, 3, 1, 5, 1]


def test_a_request_that_starts_in_the_middle_of_a_text_gets_no_answer(
    manifest: Manifest, tokenizer: ErnieTokenizer
) -> None:
    """Only who calls the postprocessor itself can send one; its rows must not go to another's text."""
    tokenized: list[Any] = TokenizerStep(manifest, tokenizer).run([request_of("好"), request_of("中" * 40)])
    encoded: list[Any] = EncoderStep(
        engine_of(manifest), per_token_of(manifest), Batching(token_budget=60, max_rows=5)
    ).run(tokenized)
    short_request, long_request = ({**t, **e} for t, e in zip(tokenized, encoded, strict=True))
    headless = {name: array[1:] for name, array in long_request.items()}
    with pytest.raises(ValueError, match="out of order"):
        PostprocessStep(manifest).run([short_request, headless])
