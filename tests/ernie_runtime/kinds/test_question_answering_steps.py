"""Reading comprehension through the three steps: the answers of one process, alone and in company."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ernie_runtime.errors import InvalidItem
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..reading import HARD, TRADITIONAL, ManifestOf, engine

POOL: list[tuple[bytes, bytes]] = [
    *((f"第{i}个问题？".encode(), text.encode()) for i, (text, _) in enumerate(HARD)),
    ("在哪裡？".encode(), TRADITIONAL.encode() * 3),
    ("谁？".encode(), "长文章".encode() * 60),
]
REASONS = {("", "答"): "the question is empty", ("问", ""): "the context is empty"}


@pytest.mark.parametrize("buckets", [(), (16, 32)], ids=["ragged", "buckets"])
@pytest.mark.parametrize("conversion", ["", "t2s"])
def test_the_three_steps_answer_as_one_process(
    qa_manifest: ManifestOf, tokenizer: ErnieTokenizer, tmp_path: Path, buckets: tuple[int, ...], conversion: str
) -> None:
    manifest = qa_manifest(script=conversion, no_answer_threshold=0.3)
    pipeline = Pipeline(manifest, tokenizer, engine)
    rng = random.Random(3)
    invalid = [tuple(text.encode() for text in item) for item in REASONS]
    requests = [[rng.choice([*POOL, *invalid]) for _ in range(rng.randint(1, 4))] for _ in range(40)]
    step = TokenizerStep(manifest, tokenizer, buckets)
    assert step.inputs == ("QUESTION", "CONTEXT")
    columns = [
        {n: strings(list(c)) for n, c in zip(step.inputs, zip(*items, strict=True), strict=True)} for items in requests
    ]
    tokenized = step.run(columns)
    alive: list[Any] = [outcome for outcome in tokenized if not isinstance(outcome, InvalidItem)]
    post = PostprocessStep(manifest)
    encoded: list[Any] = EncoderStep(
        engine, [s.name for s in post.specs if s.per_token], Batching(token_budget=200, max_rows=4)
    ).run(alive)
    served = iter(post.run([{**t, **e} for t, e in zip(alive, encoded, strict=True)]))
    answered = 0
    for items, outcome in zip(requests, tokenized, strict=True):
        expected = pipeline.predict([tuple(item) for item in items])
        if isinstance(outcome, InvalidItem):
            assert all(isinstance(answer, str) for answer in expected)
            continue
        final: Any = next(served)
        assert set(final) == {"RESULT"}
        for answer, raw in zip(expected, final["RESULT"][:, 0], strict=True):
            result = json.loads(raw)
            if isinstance(answer, str):
                assert answer in REASONS.values() and answer in result["error"]["message"]
            else:
                answered += bool(answer.result["answers"])
                assert result == answer.result
                assert {"answers", "no_answer_score", "tokens", "windows", "truncated"} == set(result)
    assert answered > 30


def test_answers_do_not_depend_on_the_batch(qa_manifest: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    """Many contexts decoded together: each has the answers that it has by itself."""
    pipeline = Pipeline(qa_manifest(), tokenizer, engine)
    together = pipeline.predict([tuple(item) for item in POOL])
    for item, answer in zip(POOL, together, strict=True):
        (single,) = pipeline.predict([tuple(item)])
        assert not isinstance(answer, str) and not isinstance(single, str) and answer.result == single.result
