"""A vector per token: which tokens have one, their offsets, rows of a request; and a vector of two texts together."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ernie_runtime.engines import Tensors
from ernie_runtime.errors import EngineError
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer

MakeManifest = Callable[..., Manifest]
TEXTS = [
    "今天天气很好",
    "好",
    "",
    "打电话给18866668888",
    "北京大学的王小明教授昨天在上海出席了世界卫生组织的会议。" * 2,
]


def token_encoder(tensors: Tensors) -> Tensors:
    """A token's vector is (its id, its position, 1)."""
    ids = tensors["input_ids"]
    positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    return {"embeddings": np.stack([ids, positions, np.ones_like(ids)], -1).astype(np.float32)}


def served(manifest: Manifest, tokenizer: ErnieTokenizer, texts: list[str]) -> Any:
    request = {"TEXT": strings([text.encode() for text in texts])}
    tokenized: Any = TokenizerStep(manifest, tokenizer, (8, 16, 32)).run([request])[0]
    step = EncoderStep(token_encoder, ("embeddings",), Batching(token_budget=60, max_rows=2))
    encoded: Any = step.run([tokenized])[0]
    return PostprocessStep(manifest).run([{**tokenized, **encoded}])[0]


def token_manifest(make_manifest: MakeManifest, **options: Any) -> Manifest:
    return make_manifest("token_embedding", (), 24, 8, "truncate", options={"dimension": 3, **options})


def test_the_tokens_of_a_text_have_rows(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = token_manifest(make_manifest, normalize=False)
    outputs = served(manifest, tokenizer, TEXTS)
    answers = Pipeline(manifest, tokenizer, token_encoder).predict([(text,) for text in TEXTS])
    longest = 22  # the window without its special tokens
    assert outputs["EMBEDDINGS"].shape == (len(TEXTS), longest, 3) and outputs["EMBEDDINGS"].dtype == np.float32
    for i, (text, answer) in enumerate(zip(TEXTS, answers, strict=True)):
        result, rows = json.loads(outputs["RESULT"][i, 0]), outputs["EMBEDDINGS"][i]
        if isinstance(answer, str):
            assert answer == "the text is empty" and "error" in result and not rows.any()
            continue
        (tokens,) = tokenizer([text])
        count = min(len(tokens.ids), longest)
        assert result == answer.result
        assert result["offsets"] == tokens.offsets[:count].tolist()
        assert result["truncated"] is (len(tokens.ids) > longest)
        expected = np.stack([tokens.ids[:count], np.arange(1, count + 1), np.ones(count)], 1)
        assert np.array_equal(answer.numeric["EMBEDDINGS"], expected)
        assert np.array_equal(rows[:count], expected) and not rows[count:].any()


def test_rows_have_length_one_and_a_prefix_has_none(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = token_manifest(make_manifest, prefixes={"query": "天: "}, prefix="query")
    put, sent = Pipeline(manifest, tokenizer, token_encoder).predict([("今天",), ("天: 今天",)])
    assert not isinstance(put, str) and not isinstance(sent, str)
    assert put.result["offsets"] == [[0, 1], [1, 2]]
    assert sent.result["offsets"] == [[0, 1], [1, 2], [3, 4], [4, 5]]  # what was sent has rows
    assert np.array_equal(put.numeric["EMBEDDINGS"], sent.numeric["EMBEDDINGS"][2:])  # read the same way
    assert np.linalg.norm(sent.numeric["EMBEDDINGS"], axis=1) == pytest.approx(np.ones(4))


def test_numbers_that_are_not_finite_give_no_answer(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    def broken(tensors: Tensors) -> Tensors:
        return {"embeddings": token_encoder(tensors)["embeddings"] * np.float32(np.nan)}

    with pytest.raises(EngineError, match="not finite"):
        Pipeline(token_manifest(make_manifest), tokenizer, broken).predict([("好",)])


def test_two_texts_are_read_together(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    def encoder(tensors: Tensors) -> Tensors:
        ids, types = tensors["input_ids"], tensors["token_type_ids"]
        return {"embedding": np.stack([(ids * (types == 0)).sum(1), (ids * types).sum(1)], 1).astype(np.float32)}

    manifest = make_manifest("pair_embedding", (), options={"dimension": 2, "normalize": False})
    one, other, refused = Pipeline(manifest, tokenizer, encoder).predict([("今天", "好"), ("好", "今天"), ("好", "")])
    today, good = (tokenizer([text])[0].ids.sum() for text in ("今天", "好"))
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    assert not isinstance(one, str) and not isinstance(other, str)
    assert one.numeric["EMBEDDING"].tolist() == [cls + today + sep, good + sep]
    assert other.numeric["EMBEDDING"].tolist() == [cls + good + sep, today + sep]
    assert one.result["dimension"] == 2 and refused == "the second text is empty"
