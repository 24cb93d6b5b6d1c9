"""Build TensorRT plans for a published task, on a machine with the GPU they are for.

    python -m ernie_builders.repository.tensorrt model_repository tnews --compute 7.5 \
        [--variant fp32] [--precision fp16] [--dry-run]

Writes T_encoder_V/N/model_cc75.plan with `trtexec` (of NVIDIA's TensorRT image) and T_encoder_V/configs/plan.pbtxt,
which names each plan by the GPU's compute capability (`cc_model_filenames`): `tritonserver --model-config-name=plan`
serves them. One plan per capability; run it again on each kind of GPU. Not run by this project (no GPU at hand): the
command and the configuration are tested, the plan is not.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.engines import engine_spec
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import encoder_model
from ernie_runtime.repository import newest_version, task_manifest

from ..console import run_command
from ..errors import PublishError
from ..filesystem import write_file
from . import model_config

PLAN = "configs/plan.pbtxt"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m ernie_builders.repository.tensorrt", description="Build a TensorRT plan of an encoder."
    )
    p.add_argument("repository", type=Path)
    p.add_argument("task")
    p.add_argument("--variant", default="fp32")
    p.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp16", help="int8: for graphs in 8 bits")
    p.add_argument(
        "--compute", required=True, metavar="X.Y", help="the GPU's compute capability: T4 7.5, A10 8.6, L4 8.9"
    )
    p.add_argument("--trtexec", default="trtexec", help="the program, where it is not on PATH")
    p.add_argument("--dry-run", action="store_true", help="print the command and the configuration, run nothing")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage."""
    args = parser().parse_args(argv)
    return run_command("ernie_builders.repository.tensorrt", lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Build the plan and its configuration."""
    if not re.fullmatch(r"\d+\.\d", args.compute):
        raise PublishError(f"--compute {args.compute}: expected a number such as 7.5")
    manifest = task_manifest(args.repository, args.task)
    variant = manifest.variant(args.variant)
    if not engine_spec(variant.engine).reads_onnx:
        raise PublishError(f"task {args.task}, variant {variant.name}: runs in {variant.engine}, a plan needs ONNX")
    model = args.repository / encoder_model(args.task, variant.name)
    home = newest_version(model)
    plan = home / f"model_cc{args.compute.replace('.', '')}.plan"
    command = [args.trtexec, *arguments(manifest, home / variant.file, plan, args.precision)]
    if args.dry_run:
        sys.stdout.write(f"{shlex.join(command)}\n")
        sys.stdout.write(plan_config(manifest, variant, {args.compute: plan.name, **known_plans(model)}))
        return
    if shutil.which(args.trtexec) is None:
        raise PublishError(f"no program {args.trtexec}: run this in NVIDIA's TensorRT image, or give --trtexec")
    if subprocess.run(command, check=False).returncode != 0 or not plan.is_file():
        raise PublishError(f"{plan}: trtexec failed; its last lines above say why")
    (model / "configs").mkdir(exist_ok=True)
    text = plan_config(manifest, variant, {**known_plans(model), args.compute: plan.name})
    write_file(model / PLAN, text)


def arguments(manifest: Manifest, onnx: Path, plan: Path, precision: str) -> list[str]:
    """What trtexec is given: one profile, see `triton_config.profile`."""
    found = [f"--onnx={onnx}", f"--saveEngine={plan}"]
    for name, (rows, length) in model_config.profile(manifest).items():
        found.append(
            f"--{name}Shapes=" + ",".join(f"{tensor.name}:{rows}x{length}" for tensor in model_config.ENCODER_INPUTS)
        )
    return found + {"fp32": [], "fp16": ["--fp16"], "int8": ["--int8", "--fp16"]}[precision]


def plan_config(manifest: Manifest, variant: Variant, plans: dict[str, str]) -> str:
    """config.pbtxt of the encoder as TensorRT plans; plans: compute capability -> file."""
    config = model_config.encoder_config(manifest, variant, False)
    config.backend, config.platform = "tensorrt", "tensorrt_plan"
    config.default_model_filename = plans[max(plans, key=float)]
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_GPU, count=1)
    for capability, file in sorted(plans.items()):
        config.cc_model_filenames[capability] = file
    return model_config.to_text(config)


def known_plans(model: Path) -> dict[str, str]:
    """Compute capability -> file of the plans that the model has a configuration for."""
    if not (model / PLAN).is_file():
        return {}
    config = text_format.Parse((model / PLAN).read_text(encoding="utf-8"), pb.ModelConfig())
    return dict(config.cc_model_filenames)


if __name__ == "__main__":
    sys.exit(main())
