"""The parts of the encoder that lose most accuracy in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ernie_builders.compression import onnx_int8, openvino_ir
from ernie_builders.compression.sensitivity import parts, sensitivity

from ..places import Place
from ..tiny import CONFIG

FEEDS = [{"input_ids": np.full((1, n), n)} for n in (2, 3, 5)]


def test_parts() -> None:
    groups = parts([f"m{i}" for i in range(14)], 2)
    assert list(groups) == [
        "layer 1 attention",
        "layer 1 feed-forward",
        "layer 2 attention",
        "layer 2 feed-forward",
        "head",
    ]
    assert groups["layer 2 attention"] == ["m6", "m7", "m8", "m9"]
    assert groups["head"] == ["m12", "m13"]
    assert "head" not in parts([f"m{i}" for i in range(12)], 2)


def test_the_worst_comes_first() -> None:
    groups = {"good": ["a"], "bad": ["b"]}

    def quantize(ignored: Sequence[str]):
        error = 0.5 if "b" not in ignored else 0.01
        return lambda feed: {"logits": feed["input_ids"][0] * (1 + error), "ids": feed["input_ids"]}

    errors = sensitivity(groups, quantize, lambda feed: {"logits": feed["input_ids"][0] * 1.0}, FEEDS)
    assert list(errors) == ["bad", "good"]
    assert errors["bad"] > 100 * errors["good"] > 0


def test_products_of_an_exported_model(finished: Place) -> None:
    source = finished.stage("export") / "model.onnx"
    in_layers = 6 * CONFIG["num_hidden_layers"]
    names = onnx_int8.products(source)
    assert len(names) == in_layers + 2  # pooler and classifier
    assert openvino_ir.products(openvino_ir.read_model(source)) == names
