"""Lint of what TensorRT is given: each way in which an engine would be refused, built anew, or ungated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ernie_builders.repository.tensorrt_config import CACHE_PATH, PRECISION

from .breaks import AGAIN, TOKENIZER, Break, Case, config, edit, remove

FILE = "news_encoder_fp32/configs/tensorrt.pbtxt"


def parameter(name: str, value: str) -> Break:
    """Change a parameter of the provider."""

    def change(message: Any) -> None:
        message.optimization.execution_accelerators.gpu_execution_accelerator[0].parameters[name] = value

    return config(FILE, change)


def shape(rows: int, tokens: int) -> str:
    return f"input_ids:{rows}x{tokens},token_type_ids:{rows}x{tokens}"


CASES: dict[str, Case] = {
    "no provider": Case(
        config(FILE, lambda c: c.ClearField("optimization")), FILE, "has no execution accelerator tensorrt", AGAIN
    ),
    "precision": Case(
        parameter(PRECISION, "FP16"),
        FILE,
        "precision_mode is FP16, but the gate has judged variant fp32 in FP32",
        AGAIN,
    ),
    "no cache": Case(parameter("trt_engine_cache_enable", "0"), FILE, "engines are not cached", AGAIN),
    "lost cache": Case(parameter(CACHE_PATH, "/tmp/tensorrt"), FILE, "engines are cached in '/tmp/tensorrt'", AGAIN),
    "no profile": Case(parameter("trt_profile_max_shapes", "input_ids:8"), FILE, "are not all given", AGAIN),
    "order": Case(parameter("trt_profile_opt_shapes", shape(2000, 24)), FILE, "not in the order min, opt, max", AGAIN),
    "rows": Case(
        parameter("trt_profile_max_shapes", shape(512, 32)),
        FILE,
        "takes 1 to 1024 rows, the profile 1 to 512",
        AGAIN,
    ),
    "warm-up": Case(
        parameter("trt_profile_min_shapes", shape(1, 17)),
        FILE,
        "model_warmup example_0 has 16 tokens, the profile 17 to 32",
        AGAIN,
    ),
    "bucket": Case(
        edit(TOKENIZER, '"16,24,32"', '"8,24,32"'),
        FILE,
        "the tokenizer's bucket 8 has 8 tokens, the profile 16 to 32",
        AGAIN,
    ),
    "no buckets": Case(
        config(TOKENIZER, lambda c: c.parameters.pop("buckets")), FILE, "the tokenizer does not pad to buckets", AGAIN
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_tensorrt_would_refuse_is_found(case: str, lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES[case].check(lint_root, capsys)


def test_a_repository_without_it_is_sound(lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A variant that TensorRT cannot run has none."""
    from ernie_builders.lint.repository import main

    remove(FILE)(lint_root)
    assert main([str(lint_root)]) == 0, capsys.readouterr().out
