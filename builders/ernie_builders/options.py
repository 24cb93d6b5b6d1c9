"""The command line of builders/build_all.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from .compat.choice import add_option as add_compat
from .config.tasks import PROFILES, TASKS_FILE
from .console import seed
from .presets.presets import PUBLISHED
from .presets.shipped import SHIPPED

DESCRIPTION = "Build tasks into a Triton model repository: `python builders/build_all.py`, or `ernie-triton build`."
OTHERS = "Encoders and small models: `ernie-triton build pretrain | distill | convert-encoder --help`."
STAGES = ("data", "finetune", "export", "evaluate", "publish")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="ernie-triton build", description=DESCRIPTION, epilog=OTHERS)
    p.add_argument("--tasks", default="all", help="names from the tasks file, joined by commas (default: all)")
    p.add_argument(
        "--tasks-file",
        type=Path,
        default=TASKS_FILE,
        help="TOML file with the tasks (default: builders/ernie_builders/tasks.toml)",
    )
    p.add_argument(
        "--profile",
        choices=PROFILES,
        default="demo",
        help="demo: checkpoints and samples that ship, no training where a checkpoint ships; full: train on --data-dir",
    )
    p.add_argument(
        "--data-dir",
        type=Path,
        help="folder with each task's data folder (or its NAME.tar.xz); needed by --profile full",
    )
    p.add_argument(
        "--base-model",
        default="",
        help="`embedded`, `shipped:TASK` (the encoder of a checkpoint that ships), a PaddleNLP name "
        "(ernie-3.0-medium-zh), a local PaddleNLP or Hugging Face directory, or "
        "random:LAYERSxHIDDENxHEADS[:VOCABULARY]",
    )
    p.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="TASK=DIR",
        help="publish this fine-tuned checkpoint for the task, without training; may be repeated",
    )
    p.add_argument(
        "--output", type=Path, default=Path("model_repository"), help="the model repository (default: %(default)s)"
    )
    p.add_argument(
        "--cache", type=Path, default=Path("build"), help="where finished stages are kept (default: %(default)s)"
    )
    p.add_argument("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    p.add_argument("--devices", default="", help="fine-tune on several devices, e.g. 0,1 (paddle.distributed.launch)")
    p.add_argument("--seed", type=seed, default=0)
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a hyperparameter, e.g. epochs=5, learning_rate=1e-4",
    )
    p.add_argument(
        "--preset",
        default="",
        metavar="NAME",
        help="train with published hyperparameters: tnews, cmrc2018, cola, ... (without --tasks: for that task), or "
        f"`{PUBLISHED}`: each task takes its own; --set wins; `--preset all --dry-run` lists them; `{SHIPPED}`: the "
        "checkpoints that ship, trained again (with --save-checkpoint, --keep-better)",
    )
    p.add_argument(
        "--variants",
        default="",
        metavar="NAMES",
        help="precisions and sizes to build, e.g. fp32,int8,dynamic8-e8 (default: those of the tasks file)",
    )
    p.add_argument(
        "--pick",
        default="",
        metavar="NAME",
        help="the variant behind the task's plain name: a name, fastest or smallest (default: fp32); fastest and "
        "smallest build candidates of their own where neither --variants nor the tasks file names any",
    )
    p.add_argument("--max-drop", type=float, help="points of the main metric that a variant may lose")
    p.add_argument("--force", action="store_true", help="publish what the gate refuses too; the manifest says so")
    p.add_argument(
        "--fused",
        action="store_true",
        help="publish each task as TASK_fused too: tokenizer, encoder and postprocessor in one process "
        '(in a tasks file: pipeline = "fused")',
    )
    add_compat(p)
    p.add_argument("--dry-run", action="store_true", help="print the plan; download, train and write nothing")
    p.add_argument("--until", choices=STAGES, default="publish", help="stop after this stage")
    p.add_argument(
        "--save-checkpoint",
        type=Path,
        help="also write each trained checkpoint, with its card, to DIR/TASK (as small as the dev metric allows)",
    )
    p.add_argument(
        "--keep-better",
        action="store_true",
        help="with --save-checkpoint: what DIR/TASK has stays where the new one is worse on dev, for that task or "
        "another that has its weights; a table of all before and after is in CACHE/retrained.md",
    )
    return p
