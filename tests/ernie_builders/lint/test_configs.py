"""Lint of configurations, and of the files that they name: each way to break them is found, with file and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_builders.repository import model_config

from .breaks import AGAIN, CONFIG, ENSEMBLE, ONNX, POST, RAGGED, Case, config, edit, move, remove, write

CASES: dict[str, Case] = {
    # configurations
    "not pbtxt": Case(edit(CONFIG, "max_batch_size", "max_batch_sizes"), CONFIG, "line 3: no ModelConfig", AGAIN),
    "flavour not pbtxt": Case(write(RAGGED, b"input {"), RAGGED, "line 1: no ModelConfig", AGAIN),
    "not UTF-8": Case(write(CONFIG, b"\xff"), CONFIG, "not UTF-8", AGAIN),
    "no config": Case(remove(CONFIG), CONFIG, "missing", AGAIN),
    "name": Case(
        edit(RAGGED, "news_encoder_fp32", "news_encoder"), RAGGED, "name is 'news_encoder'", "rename the folder"
    ),
    "no backend": Case(edit(POST, 'backend: "ernie_postprocess"', ""), POST, "backend is missing", "set backend to"),
    "backend": Case(edit(POST, '"ernie_postprocess"', '"torch"'), POST, "unknown backend 'torch'", "onnxruntime"),
    "platform": Case(
        edit(POST, 'backend: "ernie_postprocess"', 'platform: "onnxruntime_onnx"'),
        POST,
        "unknown platform 'onnxruntime_onnx'",
        "set backend to",
    ),
    "no ensemble": Case(config(ENSEMBLE, lambda c: c.ClearField("platform")), ENSEMBLE, "ensemble_scheduling", AGAIN),
    "no batch": Case(edit(RAGGED, "max_batch_size: 256", ""), RAGGED, "max_batch_size is 0", AGAIN),
    "arena": Case(
        config(CONFIG, lambda c: c.parameters.pop("enable_mem_arena")),
        CONFIG,
        "enable_mem_arena is not 0, so the memory of the largest batch is kept for good",
        AGAIN,
    ),
    "spinning": Case(
        config(CONFIG, lambda c: c.parameters.pop("intra_op_thread_count")),
        CONFIG,
        "intra_op_thread_count is all cores in each of several instances, whose threads spin against each other",
        "set one of them to 1",
    ),
    # files
    "no version": Case(remove("news_postprocess/1"), "news_postprocess", "no version directory", AGAIN),
    "version no number": Case(move("news/1", "news/v1"), "news", "no version directory whose name is a number", AGAIN),
    "no graph": Case(remove(ONNX), ONNX, "missing, config.pbtxt names it", AGAIN),
    "no tokenizer": Case(
        remove("news_tokenizer/1/tokenizer.json"),
        "news_tokenizer/1/tokenizer.json",
        "missing, config.pbtxt names it",
        AGAIN,
    ),
    "no manifest": Case(
        remove("news_postprocess/1/manifest.json"), "news_postprocess/1/manifest.json", "missing", AGAIN
    ),
    "warm-up missing": Case(
        remove("news_tokenizer/warmup/TEXT_0"),
        "news_tokenizer/warmup/TEXT_0",
        "missing (model_warmup example_0, input TEXT)",
        AGAIN,
    ),
    "warm-up size": Case(
        write("news_encoder_fp32/warmup/input_ids_0", bytes(127)),
        "news_encoder_fp32/warmup/input_ids_0",
        "127 bytes, TYPE_INT64 [16] takes 128",
        AGAIN,
    ),
    "warm-up strings": Case(
        write("news_tokenizer/warmup/TEXT_0", b"\x06\0\0\0abc"),
        "news_tokenizer/warmup/TEXT_0",
        "length prefixes end at byte 10 of 7",
        AGAIN,
    ),
    "warm-up string count": Case(
        write("news_tokenizer/warmup/TEXT_0", b"\x01\0\0\0a\0\0\0\0"),
        "news_tokenizer/warmup/TEXT_0",
        "holds 2 strings, [1] takes 1",
        AGAIN,
    ),
    "warm-up input": Case(
        config(CONFIG, lambda c: c.model_warmup[0].inputs.pop("input_ids")),
        CONFIG,
        "model_warmup example_0 lacks input input_ids",
        AGAIN,
    ),
    "warm-up dtype": Case(
        config(
            CONFIG, lambda c: setattr(c.model_warmup[0].inputs["input_ids"], "data_type", model_config.pb.TYPE_INT32)
        ),
        CONFIG,
        "model_warmup gives input input_ids TYPE_INT32 [16]",
        AGAIN,
    ),
    "warm-up unused": Case(write("news/warmup/TEXT_9"), "news/warmup/TEXT_9", "no model_warmup names it", "delete it"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_configuration_is_found(case: str, lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES[case].check(lint_root, capsys)
