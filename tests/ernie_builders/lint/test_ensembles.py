"""Lint of what passes between the steps of an ensemble: tensors, types, shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_builders.repository import model_config

from .breaks import AGAIN, CONFIG, ENSEMBLE, POST, TOKENIZER, Case, both, config, edit, remove, step, tensor

CASES: dict[str, Case] = {
    "step missing": Case(
        both(remove("news_postprocess")), ENSEMBLE, "step news_postprocess is no model of this repository", AGAIN
    ),
    "step version": Case(
        config(ENSEMBLE, lambda c: setattr(step(1)(c), "model_version", 7)),
        ENSEMBLE,
        "step news_encoder_fp32 asks for version 7, there is [1]",
        "set model_version -1",
    ),
    "step batch": Case(
        edit(ENSEMBLE, "max_batch_size: 256", "max_batch_size: 257"),
        ENSEMBLE,
        "max_batch_size 257 is above its step news_tokenizer's 256",
        AGAIN,
    ),
    "windows": Case(
        edit("news_encoder_fp32/config.pbtxt", "max_batch_size: 1024", "max_batch_size: 512"),
        "news_tokenizer/config.pbtxt",
        "max_windows is 1024, but news_encoder_fp32 takes 512 rows",
        AGAIN,
    ),
    "no such input": Case(
        config(ENSEMBLE, lambda c: step(1)(c).input_map.update({"mask": "input_ids"})),
        ENSEMBLE,
        "step news_encoder_fp32 has no input mask",
        AGAIN,
    ),
    "input not mapped": Case(
        config(ENSEMBLE, lambda c: step(2)(c).input_map.pop("WINDOW")),
        ENSEMBLE,
        "step news_postprocess: its input WINDOW is not mapped",
        AGAIN,
    ),
    "no such output": Case(
        config(ENSEMBLE, lambda c: step(1)(c).output_map.update({"pooled": "pooled"})),
        ENSEMBLE,
        "step news_encoder_fp32 has no output pooled",
        AGAIN,
    ),
    "unused": Case(
        config(ENSEMBLE, lambda c: step(2)(c).input_map.pop("WINDOW")),
        ENSEMBLE,
        "tensor WINDOW of news_tokenizer is used by nothing",
        AGAIN,
    ),
    "unused input": Case(
        config(ENSEMBLE, lambda c: c.input.add(name="MORE", data_type=model_config.pb.TYPE_STRING, dims=[1])),
        ENSEMBLE,
        "tensor MORE of ensemble news is used by nothing",
        AGAIN,
    ),
    "undefined": Case(
        config(ENSEMBLE, lambda c: step(0)(c).output_map.pop("ITEM")),
        ENSEMBLE,
        "tensor ITEM (input ITEM of news_postprocess) is made by nothing",
        AGAIN,
    ),
    "made twice": Case(
        config(ENSEMBLE, lambda c: step(1)(c).output_map.update({"logits": "ITEM"})),
        ENSEMBLE,
        "tensor ITEM is made by news_tokenizer and news_encoder_fp32",
        AGAIN,
    ),
    "cycle": Case(
        config(ENSEMBLE, lambda c: step(0)(c).input_map.update({"TEXT": "RESULT"})),
        ENSEMBLE,
        "its steps wait for each other (news_",
        AGAIN,
    ),
    "dims between steps": Case(
        tensor(POST, "input", "logits", dims=[2]), POST, "input logits has dims [2], news_encoder_fp32 gives [3]", AGAIN
    ),
    "dims in a flavour": Case(
        tensor("news_fp32/configs/ragged.pbtxt", "output", "SCORE", dims=[3]),
        "news_fp32/configs/ragged.pbtxt",
        "output SCORE has dims [3], news_encoder_fp32 gives [1]",
        AGAIN,
    ),
    "rank between steps": Case(
        tensor("ner_postprocess/config.pbtxt", "input", "logits", dims=[3]),
        "ner_postprocess/config.pbtxt",
        "input logits has dims [3], ner_encoder_fp32 gives [-1, 3]",
        "publish ner again",
    ),
    "dtype between steps": Case(
        tensor(POST, "input", "WINDOW", data_type=model_config.pb.TYPE_INT64),
        POST,
        "input WINDOW is INT64, news_tokenizer gives INT32",
        AGAIN,
    ),
    "dtype into the first step": Case(
        tensor(TOKENIZER, "input", "TEXT", data_type=model_config.pb.TYPE_UINT8),
        TOKENIZER,
        "input TEXT is UINT8, ensemble news gives STRING",
        AGAIN,
    ),
    "dims out of the last step": Case(
        tensor(POST, "output", "SCORE", dims=[3]),
        ENSEMBLE,
        "output SCORE has dims [1], news_postprocess gives [3]",
        AGAIN,
    ),
    "batch dimension": Case(
        edit(POST, "max_batch_size: 1024", "max_batch_size: 0"),
        POST,
        "input logits has dims [3] (no batch dimension), news_encoder_fp32 gives [3]",
        AGAIN,
    ),
    "ragged and buckets": Case(
        config(CONFIG, lambda c: setattr(c.input[0], "allow_ragged_batch", True)),
        TOKENIZER,
        "parameter buckets pads requests, but news_encoder_fp32 takes ragged ones",
        "remove the parameter",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_ensemble_is_found(case: str, lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES[case].check(lint_root, capsys)
