"""Configurations and commands for TensorRT; the engines themselves need a GPU and are not built here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ernie_builders.lint.repository import lint
from ernie_builders.repository import tensorrt
from ernie_builders.repository.tensorrt_config import tensorrt_config, tensorrt_precision
from ernie_runtime.repository import task_manifest

from ..places import Place, copied


def run(place: Place, *arguments: str) -> int:
    return tensorrt.main([str(place.output), "topics", "--compute", "7.5", *arguments])


def test_provider_configuration(finished: Place) -> None:
    text = (finished.output / "topics_encoder_fp32" / "configs" / "tensorrt.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, pb.ModelConfig())
    assert config.backend == "onnxruntime"
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert accelerator.parameters["precision_mode"] == "FP32"  # the variant's own
    assert accelerator.parameters["trt_engine_cache_path"] == "/var/cache/ernie-triton/topics_encoder_fp32-1"
    assert accelerator.parameters["trt_profile_min_shapes"] == "input_ids:1x10,token_type_ids:1x10"
    assert accelerator.parameters["trt_profile_opt_shapes"] == "input_ids:32x18,token_type_ids:32x18"  # the median: 17
    assert accelerator.parameters["trt_profile_max_shapes"] == "input_ids:1024x32,token_type_ids:1024x32"
    assert config.max_batch_size == 1024  # 32,768 tokens in rows of 32
    assert all(request.inputs["input_ids"].dims[0] in (10, 18) for request in config.model_warmup)  # padded to buckets
    assert not lint(finished.output)[0]
    made_by = task_manifest(finished.output, "topics").made_by
    assert made_by["not_run"] == ["configs/tensorrt.pbtxt"]
    tokenizer = (finished.output / "topics_tokenizer" / "config.pbtxt").read_text(encoding="utf-8")
    lengths = text_format.Parse(tokenizer, pb.ModelConfig()).parameters["buckets"].string_value
    assert lengths.split(",")[0] == "10" and lengths.endswith(",32")  # those of the data's windows, see made_by
    assert sum(made_by["window_lengths"].values()) == 60 and 0 < made_by["expected_padding"] <= 0.08


def test_dry_run(finished: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finished, "--dry-run") == 0
    command, _, text = capsys.readouterr().out.partition("\n")
    assert command.startswith("trtexec --onnx=")
    assert "--minShapes=input_ids:1x10,token_type_ids:1x10" in command
    assert "--fp16" not in command and "--int8" not in command  # of an FP32 graph
    config = text_format.Parse(text, pb.ModelConfig())
    assert dict(config.cc_model_filenames) == {"7.5": "model_cc75.plan"}
    assert config.platform == "tensorrt_plan"


def test_plans_of_several_gpus(finished: Place, tmp_path: Path) -> None:
    """A stand-in for trtexec that only writes its output file: what is tested is what becomes of it."""
    place = copied(finished, tmp_path)
    assert place.build() == 0
    program = tmp_path / "trtexec"
    program.write_text('#!/bin/sh\nfor a in "$@"; do case $a in --saveEngine=*) : > "${a#*=}";; esac; done\n')
    program.chmod(0o755)
    for capability in ("7.5", "8.6"):
        assert run(place, "--compute", capability, "--trtexec", str(program)) == 0
    model = place.output / "topics_encoder_fp32"
    config = text_format.Parse((model / tensorrt.PLAN).read_text(encoding="utf-8"), pb.ModelConfig())
    assert dict(config.cc_model_filenames) == {"7.5": "model_cc75.plan", "8.6": "model_cc86.plan"}
    assert (model / "1" / "model_cc86.plan").is_file()


@pytest.mark.parametrize(
    ("name", "made", "precision", "flags"),
    [
        ("fp32", {}, "FP32", []),
        ("fp16", {"precision": "fp16"}, "FP16", ["--fp16"]),
        ("int8-trt", {"precision": "int8", "symmetric": True}, "INT8", ["--int8"]),
        ("qat8-trt", {"precision": "qat8", "symmetric": True}, "INT8", ["--int8"]),
        ("int8-ort", {"precision": "int8"}, "", None),
        ("dynamic8", {"precision": "dynamic8"}, "", None),
        ("fp32-e8-ort", {"precision": "fp32"}, "", None),
    ],
)
def test_each_variant_runs_in_its_own_precision(
    finished: Place, name: str, made: dict[str, Any], precision: str, flags: list[str] | None
) -> None:
    manifest = task_manifest(finished.output, "topics")
    variant = replace(manifest.variants[0], name=name, made=made)
    assert tensorrt_precision(variant) == precision
    if flags is None:
        return
    arguments = tensorrt.arguments(manifest, Path("model.onnx"), Path("model.plan"), precision)
    assert [word for word in arguments if word in ("--fp16", "--int8")] == flags
    assert tensorrt_config(manifest, variant).max_batch_size == 1024


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--compute", "T4"), "--compute T4: expected a number such as 7.5"),
        (("--variant", "int4"), "has no variant 'int4'"),
        (("--trtexec", "no-such-program"), "no program no-such-program: run this in NVIDIA's TensorRT image"),
    ],
)
def test_a_fault_is_one_line(
    finished: Place, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(finished, *arguments) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
