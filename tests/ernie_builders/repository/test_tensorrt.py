"""Configurations and commands for TensorRT; the engines themselves need a GPU and are not built here."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ernie_builders.lint.repository import lint
from ernie_builders.repository import tensorrt
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
    assert accelerator.parameters["precision_mode"] == "FP16"
    assert accelerator.parameters["trt_profile_min_shapes"] == "input_ids:1x10,token_type_ids:1x10"
    assert accelerator.parameters["trt_profile_opt_shapes"] == "input_ids:8x18,token_type_ids:8x18"  # the median: 17
    assert accelerator.parameters["trt_profile_max_shapes"] == "input_ids:1024x32,token_type_ids:1024x32"
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
    assert command.endswith("--fp16")
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
