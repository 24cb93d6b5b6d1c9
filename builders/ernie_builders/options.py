"""The command line of a build, and the request that it makes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ernie_runtime.command_line import CommandLine

from .compat.choice import add_option as add_compat
from .config.tasks import PROFILES, TASKS_FILE
from .console import seed
from .errors import ConfigError
from .presets.overrides import Overrides, parse_set
from .presets.presets import ALL, PUBLISHED, SHIPPED
from .stages.request import STAGES, BuildRequest

DESCRIPTION = "Build tasks into a Triton model repository: `python builders/build_all.py`, or `ernie-triton build`."
OTHERS = "Encoders and small models: `ernie-triton build pretrain | distill | convert-encoder --help`."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandLine(prog="ernie-triton build", description=DESCRIPTION, epilog=OTHERS)
    p.add_argument("--tasks", default=ALL, help="names from the tasks file, joined by commas (default: all)")
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
        help="folder with the data folder of each task, or its NAME.tar.xz (default: the folder of a --tasks-file of "
        "your own)",
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
    p.add_argument("--repository", type=Path, default=Path("model_repository"), help="the model repository to write")
    p.add_argument("--output", type=Path, dest="repository", help=argparse.SUPPRESS)  # its name before
    p.add_argument(
        "--cache",
        type=Path,
        default=Path("build"),
        help="folder of finished stages, for later builds (default: %(default)s)",
    )
    p.add_argument("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    p.add_argument("--devices", default="", help="fine-tune on several devices, e.g. 0,1 (paddle.distributed.launch)")
    p.add_argument("--seed", type=seed, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a hyperparameter, e.g. epochs=5, learning_rate=1e-4",
    )
    p.add_argument(
        "--lora",
        metavar="RANK",
        help="train low-rank matrices beside the encoder's linear layers instead of the encoder (LoRA), e.g. 16; "
        "short for --set lora=RANK",
    )
    p.add_argument(
        "--group",
        default="",
        metavar="COLUMN",
        help="without a dev file: rows with the same value of this column (a session, a user) are held out together; "
        "short for fields.group of the task's data",
    )
    p.add_argument(
        "--preset",
        default="",
        metavar="NAME",
        help="train with published hyperparameters: tnews, cmrc2018, cola, ... (without --tasks: that task), or "
        f"`{PUBLISHED}`: those of each task; --set overrides them; `--preset all --dry-run` lists them; `{SHIPPED}`: "
        "as the checkpoints that ship are trained (`ernie-triton assets train` stores them)",
    )
    p.add_argument(
        "--variants",
        default="",
        metavar="NAMES",
        help="precisions and sizes to build, e.g. fp32,int8,dynamic8-e8 (default: as in the tasks file)",
    )
    p.add_argument(
        "--pick",
        default="",
        metavar="NAME",
        help="the variant that the task's plain name serves: a name, fastest or smallest (default: fp32); fastest and "
        "smallest build candidates of their own if neither --variants nor the tasks file names any",
    )
    p.add_argument(
        "--max-drop",
        type=float,
        help="points of the main metric that a variant may lose (default: the task's)",
    )
    p.add_argument("--force", action="store_true", help="also publish what the gate refuses; the manifest says so")
    add_compat(p)
    p.add_argument(
        "--json", action="store_true", help="print one object: what was published, or with --dry-run the plan"
    )
    p.add_argument("--dry-run", action="store_true", help="print the plan; download, train and write nothing")
    p.add_argument("--until", choices=STAGES, default=STAGES[-1], help="stop after this stage (default: %(default)s)")
    return p


def parse(words: Sequence[str]) -> BuildRequest:
    """The request of a command line; SystemExit for wrong usage, ConfigError for values that cannot be meant."""
    return request_from(parser().parse_args(words))


def request_from(args: argparse.Namespace) -> BuildRequest:
    """The request of a parsed command line; ConfigError where --set or --checkpoint cannot be read."""
    return BuildRequest(
        tasks=None if args.tasks == ALL else tuple(dict.fromkeys(_names(args.tasks))),
        tasks_file=args.tasks_file,
        profile=args.profile,
        data_dir=args.data_dir,
        overrides=Overrides(
            base_model=args.base_model,
            preset=args.preset,
            hyperparameters=parse_set([*args.set, *([] if args.lora is None else [f"lora={args.lora}"])]),
            variants=tuple(name.strip() for name in args.variants.split(",")) if args.variants else (),
            pick=args.pick,
            max_drop=args.max_drop,
            group=args.group,
        ),
        checkpoints=dict(map(_task_and_folder, args.checkpoint)),
        output=args.repository,
        cache=args.cache,
        device=args.device,
        devices=args.devices,
        seed=args.seed,
        until=args.until,
        force=args.force,
        compat=args.compat,
        dry_run=args.dry_run,
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _task_and_folder(text: str) -> tuple[str, Path]:
    task, sign, folder = text.partition("=")
    if not sign or not folder:
        raise ConfigError(f"--checkpoint {text}: expected TASK=DIR")
    return task, Path(folder)
