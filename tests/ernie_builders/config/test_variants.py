"""A variant's name is its recipe."""

from __future__ import annotations

import pytest

from ernie_builders.config.variants import FULL, CompressConfig, check_variants, parse_variant
from ernie_builders.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "engine", "precision", "embeddings"),
    [
        ("fp32", "onnxruntime", "fp32", False),
        ("fp32-ov", "openvino", "fp32", False),
        ("int8", "openvino", "int8", False),
        ("int8-ort", "onnxruntime", "int8", False),
        ("e8-int8-ort", "onnxruntime", "int8", True),
        ("dynamic8-e8", "onnxruntime", "dynamic8", True),
        ("bf16", "openvino", "bf16", False),
        ("fp16", "onnxruntime", "fp16", False),
        ("int8-trt", "onnxruntime", "int8", False),
        ("w0.5-qat8-trt", "onnxruntime", "qat8", False),
    ],
)
def test_names(name: str, engine: str, precision: str, embeddings: bool) -> None:
    recipe = parse_variant(name)
    assert (recipe.name, recipe.engine, recipe.precision, recipe.embeddings) == (name, engine, precision, embeddings)
    assert recipe.symmetric == name.endswith("-trt")
    assert recipe.converted == (name != "fp32")
    assert recipe.settings == ({"HINT_BF16": "YES"} if name == "bf16" else {})


def test_plain_fp32_is_the_full_model() -> None:
    assert parse_variant("fp32") == FULL


def test_strategies_as_paddlenlp_calls_them() -> None:
    assert parse_variant("ptq+embeddings") == parse_variant("int8-e8")
    assert parse_variant("ptq").name == "int8"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("int9", "'int9' is none of"),
        ("", "'' is none of"),
        ("int8-", "'' is none of"),
        ("int8-bf16", "names its precision twice"),
        ("dynamic8-ov", "dynamic8 runs in ort, not in ov"),
        ("bf16-ort", "bf16 runs in ov, not in ort"),
        ("fp16-ov", "fp16 runs in ort, not in ov"),
        ("int8-trt-ov", "int8 runs in ort, not in ov"),
        ("fp32-trt", "trt goes with int8 or qat8"),
        ("int8-trt-e8", "e8 does not go with fp16 or trt"),
        ("fp16-e8", "e8 does not go with fp16 or trt"),
    ],
)
def test_faulty_recipes(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parse_variant(name)
    assert repr(name) in str(error.value)


def test_lists_of_variants() -> None:
    check_variants(["fp32", "int8", "int8-ort"])
    check_variants(["fp32", "int8-ort"], "entropy")
    with pytest.raises(ConfigError, match="`entropy` is ONNX Runtime's: int8-ort"):
        check_variants(["fp32", "int8"], "entropy")
    for names, message in (([], "names none"), (["int8"], "fp32 must come first"), (["fp32", "int8", "ptq"], "twice")):
        with pytest.raises(ConfigError, match=message):
            check_variants(names)


def test_settings() -> None:
    with pytest.raises(ConfigError, match=r"max_drop is -1; it must be at least 0"):
        CompressConfig(max_drop=-1)
    with pytest.raises(ConfigError, match=r"calibration 'magic' is none of min-max, .*, entropy"):
        CompressConfig(calibration="magic")


def test_parts_that_stay_in_float() -> None:
    assert parse_variant("int8-f2").floats == 2
    assert parse_variant("int8").floats == 0
    with pytest.raises(ConfigError, match="f2 goes with int8"):
        parse_variant("bf16-f2")
