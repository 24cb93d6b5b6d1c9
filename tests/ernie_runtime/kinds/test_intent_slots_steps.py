"""Intent and slots through the steps, and in one process."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ernie_runtime.engines import Tensors
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..utterances import INTENTS, KIND, SLOTS, TAGS, MakeManifest


class Caller:
    """An engine that hears a telephone number in every token that holds a digit, and a call where there is one."""

    def __init__(self, tokenizer: ErnieTokenizer) -> None:
        digits = [any(c.isdigit() for c in tokenizer.token(i)) for i in range(tokenizer.vocab_size)]
        self.digit = np.array(digits)

    def __call__(self, tensors: Tensors) -> Tensors:
        digit = self.digit[tensors["input_ids"]]
        slots = np.zeros((*digit.shape, len(TAGS.tags)), np.float32)
        begins = digit & ~np.roll(digit, 1, axis=1)
        slots[..., TAGS.index["O"]] = np.where(digit, 0, 9)
        slots[..., TAGS.index["B-phone_num"]] = np.where(begins, 9, 0)
        slots[..., TAGS.index["I-phone_num"]] = np.where(digit & ~begins, 9, 0)
        calls = digit.any(axis=1)
        return {
            "intent_logits": np.stack([9.0 * ~calls, 0 * calls, 9.0 * calls], 1).astype(np.float32),
            "slot_logits": slots,
        }


TEXTS = ["打电话给18866668888", "今天天气", "", "先拨打10086再拨打12306谢谢", "再见"]
PHONE_NUMBERS = [["18866668888"], [], None, ["10086", "12306"], []]


@pytest.mark.parametrize(("max_length", "doc_stride"), [(6, 3), (8, 2), (32, 16)])
def test_through_the_steps_and_in_one_process(
    make_manifest: MakeManifest, tokenizer: ErnieTokenizer, max_length: int, doc_stride: int
) -> None:
    """Windows start inside numbers; a text that is empty fails alone."""
    manifest = make_manifest(KIND.name, INTENTS, max_length, doc_stride, options={"slots": SLOTS})
    engine = Caller(tokenizer)
    request = {"TEXT": strings([text.encode() for text in TEXTS])}
    tokenized: Any = TokenizerStep(manifest, tokenizer).run([request])
    encoded: Any = EncoderStep(engine, ["slot_logits"], Batching(token_budget=64, max_rows=16)).run(tokenized)
    (outcome,) = PostprocessStep(manifest).run([{**tokenized[0], **encoded[0]}])
    assert isinstance(outcome, dict)
    assert outcome["LABEL_ID"].dtype == np.int64 and outcome["SCORE"].dtype == np.float32
    assert outcome["LABEL_ID"].shape == outcome["SCORE"].shape == (5, 1)
    results = [json.loads(raw) for raw in outcome["RESULT"][:, 0]]
    assert results[2]["error"]["code"] == "INVALID_ARG" and outcome["LABEL_ID"][2] == -1
    answers = Pipeline(manifest, tokenizer, engine).predict([(text,) for text in TEXTS])
    assert answers[2] == "the text is empty"
    for result, numbers, local, text, label in zip(
        results, PHONE_NUMBERS, answers, TEXTS, outcome["LABEL_ID"], strict=True
    ):
        if numbers is None or isinstance(local, str):
            continue
        assert [slot["text"] for slot in result["slots"]] == numbers
        assert all(text[slot["start"] : slot["end"]] == slot["text"] for slot in result["slots"])
        assert result == local.result
        assert result["windows"] == (1 if max_length == 32 else result["windows"]) and not result["truncated"]
        if result["windows"] == 1:
            assert label == (2 if numbers else 0)
