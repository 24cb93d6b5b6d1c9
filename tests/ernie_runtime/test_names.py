"""The names of a task's models: what is published under them, a client and a server find."""

from __future__ import annotations

from ernie_runtime import names


def test_the_models_of_a_task() -> None:
    assert names.tokenizer_model("tnews") == "tnews_tokenizer"
    assert names.encoder_model("tnews", "ort-fp32") == "tnews_encoder_ort-fp32"
    assert names.postprocess_model("tnews") == "tnews_postprocess"
    assert names.variant_ensemble("tnews", "ort-fp32") == "tnews_ort-fp32"


def test_the_task_of_a_tokenizer() -> None:
    assert names.tokenizer_task(names.tokenizer_model("a_tokenizer_b")) == "a_tokenizer_b"
    assert names.tokenizer_task("tnews_postprocess") is None


def test_an_encoder_is_found_by_the_prefix_of_its_task() -> None:
    assert names.encoder_model("tnews", "int8").removeprefix(names.encoder_prefix("tnews")) == "int8"
