"""The command line of `ernie-triton build pretrain`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ernie_runtime.command_line import CommandLine

from ..console import seed
from .config import (
    AMP,
    FORMATS,
    NANO,
    NOT_STATED,
    SENTENCE_TASKS,
    STARTS,
    About,
    Pace,
    PretrainConfig,
    PretrainRequest,
    Source,
    option,
    parse_lengths,
)
from .corpus.words import SEGMENTERS

DESCRIPTION = """Pre-train an ERNIE encoder: masked language model with whole words and phrases hidden, and sentence
tasks beside it. The same command resumes a run that was stopped or killed, to the same result."""
DEFAULT = "default: %(default)s"
HELP = {
    "learning_rate": "at its peak",
    "warmup": "share of the steps in which the learning rate rises",
    "weight_decay": "of AdamW",
    "max_grad_norm": "gradients are clipped to this norm",
    "beta2": "of AdamW",
    "dropout": "probability",
    "mask_rate": "share of the words and phrases to mask",
    "log_every": "steps between rows of log.jsonl",
    "eval_every": "steps between held-out figures",
    "save_every": "steps between saved states",
}
PATHS = ("--output", "--data", "--held-out", "--vocab", "--phrases", "--init")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    config, pace = PretrainConfig(), Pace()
    p = CommandLine(prog="ernie-triton build pretrain", description=DESCRIPTION)
    p.add_argument("--output", type=Path, required=True, help="folder for encoder/, state/, log.jsonl and log.svg")
    _add_text(p.add_argument_group("text"), config)
    encoder = p.add_argument_group("encoder")
    encoder.add_argument("--shape", default=NANO, metavar="LAYERSxHIDDENxHEADS", help=DEFAULT)
    encoder.add_argument(
        "--init", default="", metavar="MODEL", help="start from a directory, `embedded`, shipped:TASK, ..."
    )
    encoder.add_argument(
        "--start", choices=STARTS, default="random", help="without --init: warm begins from co-occurrences of the text"
    )
    encoder.add_argument("--bits", type=int, choices=(16, 32), default=16, help="of the weights in encoder/")
    _add_learning(p.add_argument_group("learning"), config)
    run = p.add_argument_group("run")
    run.add_argument("--device", default="cpu", help=f"cpu, gpu or gpu:N ({DEFAULT})")
    run.add_argument("--devices", default="", help="several, e.g. 0,1 (paddle.distributed.launch)")
    for name in ("log_every", "eval_every", "save_every"):
        run.add_argument(
            option(name), type=int, default=getattr(pace, name), metavar="STEPS", help=f"{HELP[name]} ({DEFAULT})"
        )
    run.add_argument(
        "--stop-after",
        type=float,
        default=pace.stop_after,
        metavar="MINUTES",
        help="save and stop after this time; the same command resumes (default: never)",
    )
    card = p.add_argument_group("card")
    card.add_argument("--text", default=NOT_STATED, help="what the text is, for the card")
    card.add_argument("--licence", default=NOT_STATED, help="the text's licences, for the card")
    p.add_argument("--json", action="store_true", help="print one object: the encoder, and how far the run is")
    return p


def _add_text(group: argparse._ArgumentGroup, config: PretrainConfig) -> None:
    group.add_argument("--data", type=Path, nargs="+", required=True, metavar="PATH", help="files, or folders of them")
    group.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text: UTF-8, a paragraph a line, a blank line between documents; ids: ERNIE 1.0's lines `token ids; "
        "sentence ids; positions; word bounds; label`; packed: a folder with tokens.u16(.xz) and vocab.txt",
    )
    group.add_argument("--held-out", type=Path, metavar="FILE", help="held-out text (default: the end of --data)")
    group.add_argument(
        "--held-out-tokens",
        type=int,
        default=config.held_out_tokens,
        help=f"without --held-out; at most a tenth of the text ({DEFAULT})",
    )
    group.add_argument(
        "--eval-tokens", type=int, default=config.eval_tokens, help=f"held-out tokens to evaluate on ({DEFAULT})"
    )
    group.add_argument("--vocab", type=Path, help="vocab.txt (default: that of --init, or the embedded encoder's)")
    group.add_argument(
        "--vocab-size", type=int, default=0, metavar="N", help="keep the N entries that the text uses most"
    )
    group.add_argument("--segmenter", choices=SEGMENTERS, default="jieba", help=f"finds the words ({DEFAULT})")
    group.add_argument("--phrases", type=Path, metavar="FILE", help="phrases to mask whole, one a line")


def _add_learning(group: argparse._ArgumentGroup, config: PretrainConfig) -> None:
    group.add_argument("--steps", type=int, default=config.steps, help=f"optimizer steps ({DEFAULT})")
    group.add_argument(
        "--lengths",
        default="128:0.9,512:0.1",
        metavar="LENGTH:SHARE,...",
        help=f"tokens of a sequence, and for which share of the steps, in this order ({DEFAULT})",
    )
    group.add_argument(
        "--sentence-tasks", default="", metavar="NAMES", help=f"of {', '.join(SENTENCE_TASKS)}, joined by commas"
    )
    group.add_argument(
        "--batch-tokens",
        type=int,
        default=config.batch_tokens,
        help=f"tokens of a batch on one device, padding included ({DEFAULT})",
    )
    group.add_argument(
        "--accumulate", type=int, default=config.accumulate, help=f"batches per step and device ({DEFAULT})"
    )
    for name in ("learning_rate", "warmup", "weight_decay", "max_grad_norm", "beta2", "dropout", "mask_rate"):
        group.add_argument(option(name), type=float, default=getattr(config, name), help=f"{HELP[name]} ({DEFAULT})")
    group.add_argument("--amp", choices=AMP, default=config.amp, help=f"mixed precision on a GPU ({DEFAULT})")
    group.add_argument("--seed", type=seed, default=0, help="of all random numbers")


def request_of(args: argparse.Namespace, words: Sequence[str]) -> PretrainRequest:
    """What the parsed command line `words` asks for; ConfigError names the option that is wrong."""
    values = vars(args)
    given = {field.name: values[field.name] for field in fields(PretrainConfig) if field.name in values}
    given["lengths"] = parse_lengths(args.lengths)
    given["sentence_tasks"] = tuple(name.strip() for name in args.sentence_tasks.split(",") if name.strip())
    return PretrainRequest(
        config=PretrainConfig(**given),
        source=Source(
            data=tuple(args.data),
            format=args.format,
            held_out=args.held_out,
            vocabulary=args.vocab,
            vocabulary_size=args.vocab_size,
            segmenter=args.segmenter,
            phrases=args.phrases,
        ),
        output=args.output,
        shape=args.shape,
        init=args.init,
        start=args.start,
        bits=args.bits,
        device=args.device,
        devices=args.devices,
        pace=Pace(**{field.name: values[field.name] for field in fields(Pace)}),
        about=About(text=args.text, licence=args.licence, command=shown_command(words)),
    )


def shown_command(words: Sequence[str]) -> str:
    """The command for the card: files by their last name, never a path of this machine; not how it prints."""
    shown, is_path = [], False
    for word in words:
        if word == "--json":
            continue
        if word.startswith("--"):
            name, sign, value = word.partition("=")
            is_path = name in PATHS
            shown.append(f"{name}={Path(value).name}" if sign and is_path else word)
        else:
            shown.append(Path(word).name if is_path else word)
    return f"ernie-triton build pretrain {shlex.join(shown)}"
