"""Build TensorRT plans for a published task, on a machine with the GPU they are for.

    python -m ernie_builders.repository.tensorrt model_repository tnews --compute 7.5 \
        [--variant fp16] [--dry-run]

Writes T_encoder_V/N/model_cc75.plan with `trtexec` (from NVIDIA's TensorRT image) and T_encoder_V/configs/plan.pbtxt,
which names a plan for each compute capability (`cc_model_filenames`); `tritonserver --model-config-name=plan` serves
them. The plan computes in the variant's own precision, which the gate has judged: --variant fp32, fp16 or int8-trt. Run
it on each kind of GPU. This project has not run it (no GPU at hand): the command and the configuration are
tested, the plan is not.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.command_line import CommandLine
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import encoder_model
from ernie_runtime.repository import newest_version, task_manifest

from ..console import run_command
from ..errors import PublishError
from ..filesystem import write_file
from . import model_config
from .tensorrt_config import profile, tensorrt_precision

PLAN = "configs/plan.pbtxt"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line."""

    repository: Path
    task: str
    variant: str
    compute: str  # the GPU's compute capability, "7.5"
    trtexec: str
    dry_run: bool


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    p = CommandLine(
        prog="python -m ernie_builders.repository.tensorrt", description="Build a TensorRT plan of an encoder."
    )
    p.add_argument("repository", type=Path, help="the model repository")
    p.add_argument("task", help="name of the task")
    p.add_argument("--variant", default="fp32", help="fp32, fp16, int8-trt or qat8-trt (default: %(default)s)")
    p.add_argument(
        "--compute", required=True, metavar="X.Y", help="the GPU's compute capability: T4 7.5, A10 8.6, L4 8.9"
    )
    p.add_argument("--trtexec", default="trtexec", help="the program, if it is not on PATH")
    p.add_argument("--dry-run", action="store_true", help="print the command and the configuration, run nothing")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage."""
    options = Options(**vars(parser().parse_args(argv)))
    return run_command("ernie_builders.repository.tensorrt", lambda: run(options))


def run(options: Options) -> None:
    """Build the plan and its configuration; PublishError if one of them cannot be made."""
    if not re.fullmatch(r"\d+\.\d", options.compute):
        raise PublishError(f"--compute {options.compute}: expected a number such as 7.5")
    manifest = task_manifest(options.repository, options.task)
    variant = manifest.variant(options.variant)
    precision = tensorrt_precision(variant)
    if not precision:
        raise PublishError(
            f"task {options.task}, variant {variant.name}: no graph for TensorRT; build fp32, fp16, int8-trt, qat8-trt"
        )
    model = options.repository / encoder_model(options.task, variant.name)
    version = newest_version(model)
    plan = version / f"model_cc{options.compute.replace('.', '')}.plan"
    command = [options.trtexec, *arguments(manifest, version / variant.file, plan, precision)]
    plans = {**published_plans(model), options.compute: plan.name}
    if options.dry_run:
        sys.stdout.write(f"{shlex.join(command)}\n{plan_config(manifest, variant, plans)}")
        return
    if shutil.which(options.trtexec) is None:
        raise PublishError(f"no program {options.trtexec}: run this in NVIDIA's TensorRT image, or give --trtexec")
    if subprocess.run(command, check=False).returncode != 0 or not plan.is_file():
        raise PublishError(f"{plan}: trtexec failed; its last lines above say why")
    (model / "configs").mkdir(exist_ok=True)
    write_file(model / PLAN, plan_config(manifest, variant, plans))


def arguments(manifest: Manifest, onnx: Path, plan: Path, precision: str) -> list[str]:
    """The arguments of trtexec, with one optimization profile (see `tensorrt_config.profile`)."""
    words = [f"--onnx={onnx}", f"--saveEngine={plan}"]
    words += [f"--{name}Shapes={shape}" for name, shape in profile(manifest).items()]
    return words + {"FP32": [], "FP16": ["--fp16"], "INT8": ["--int8"]}[precision]


def plan_config(manifest: Manifest, variant: Variant, plans: Mapping[str, str]) -> str:
    """The text of plan.pbtxt, the encoder as TensorRT plans; plans: compute capability -> file name."""
    config = model_config.encoder_config(manifest, variant)
    config.backend, config.platform = "tensorrt", "tensorrt_plan"
    config.default_model_filename = plans[max(plans, key=float)]
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_GPU, count=1)
    for capability, file in sorted(plans.items()):
        config.cc_model_filenames[capability] = file
    return model_config.to_text(config)


def published_plans(model: Path) -> dict[str, str]:
    """Compute capability -> file name, of the plans in the model's plan.pbtxt."""
    if not (model / PLAN).is_file():
        return {}
    config = text_format.Parse((model / PLAN).read_text(encoding="utf-8"), pb.ModelConfig())
    return dict(config.cc_model_filenames)


if __name__ == "__main__":
    sys.exit(main())
