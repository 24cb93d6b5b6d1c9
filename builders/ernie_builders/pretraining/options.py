"""The command line of pretrain.py."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..console import seed
from .config import AMP, FORMATS, SENTENCE_TASKS, STARTS, PretrainConfig
from .corpus.words import SEGMENTERS

DESCRIPTION = """Pre-train an ERNIE encoder: masked language model with whole words and phrases hidden, and sentence
tasks beside it. The same command goes on with a run that was stopped or killed, to the same result."""
NANO = "4x312x12"  # of ERNIE 3.0 Nano and of the encoder that ships


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = PretrainConfig()
    p = argparse.ArgumentParser(prog="ernie-triton build pretrain", description=DESCRIPTION)
    p.add_argument("--output", type=Path, required=True, help="folder for encoder/, state/, log.jsonl and log.svg")
    text = p.add_argument_group("text")
    text.add_argument("--data", type=Path, nargs="+", required=True, metavar="PATH", help="files, or folders of them")
    text.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text: UTF-8, a paragraph a line, a blank line between documents; ids: ERNIE 1.0's lines `token ids; "
        "sentence ids; positions; word bounds; label`; packed: a folder with tokens.u16(.xz) and vocab.txt",
    )
    text.add_argument("--held-out", type=Path, metavar="FILE", help="held-out text (default: the end of --data)")
    text.add_argument("--held-out-tokens", type=int, default=own.held_out_tokens, help="default: %(default)s")
    text.add_argument("--eval-tokens", type=int, default=own.eval_tokens, help="held-out tokens that are looked at")
    text.add_argument("--vocab", type=Path, help="vocab.txt (default: of --init, or the embedded encoder's)")
    text.add_argument("--vocab-size", type=int, default=0, metavar="N", help="only the N entries that text uses most")
    text.add_argument("--segmenter", choices=SEGMENTERS, default="jieba", help="what finds words (default: jieba)")
    text.add_argument("--phrases", type=Path, metavar="FILE", help="phrases to hide whole, one a line")
    model = p.add_argument_group("encoder")
    model.add_argument("--shape", default=NANO, metavar="LAYERSxHIDDENxHEADS", help="default: %(default)s")
    model.add_argument(
        "--init", default="", metavar="MODEL", help="start from a directory, `embedded`, shipped:TASK, ..."
    )
    model.add_argument(
        "--start", choices=STARTS, default="random", help="without --init: warm begins from co-occurrences of the text"
    )
    model.add_argument("--bits", type=int, choices=(16, 32), default=16, help="of the weights in encoder/")
    learning = p.add_argument_group("learning")
    learning.add_argument("--steps", type=int, default=own.steps, help="optimizer steps (default: %(default)s)")
    learning.add_argument(
        "--lengths",
        default="128:0.9,512:0.1",
        metavar="LENGTH:SHARE,...",
        help="tokens of a sequence, and for which share of the steps, in this order (default: %(default)s)",
    )
    learning.add_argument(
        "--sentence-tasks", default="", metavar="NAMES", help=f"of {', '.join(SENTENCE_TASKS)}, joined by commas"
    )
    learning.add_argument(
        "--batch-tokens", type=int, default=own.batch_tokens, help="of a batch on one device (default: %(default)s)"
    )
    learning.add_argument(
        "--accumulate", type=int, default=own.accumulate, help="batches a step (default: %(default)s)"
    )
    for name in ("learning_rate", "warmup", "weight_decay", "max_grad_norm", "beta2", "dropout", "mask_rate"):
        learning.add_argument(
            f"--{name.replace('_', '-')}", type=float, default=getattr(own, name), help="default: %(default)s"
        )
    learning.add_argument("--amp", choices=AMP, default=own.amp, help="mixed precision on a GPU (default: %(default)s)")
    learning.add_argument("--seed", type=seed, default=0)
    pace = p.add_argument_group("pace")
    pace.add_argument("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    pace.add_argument("--devices", default="", help="several, e.g. 0,1 (paddle.distributed.launch)")
    pace.add_argument("--log-every", type=int, default=50, metavar="STEPS", help="default: %(default)s")
    pace.add_argument("--eval-every", type=int, default=500, metavar="STEPS", help="default: %(default)s")
    pace.add_argument("--save-every", type=int, default=500, metavar="STEPS", help="default: %(default)s")
    pace.add_argument(
        "--stop-after", type=float, default=math.inf, metavar="MINUTES", help="save and stop; the next piece goes on"
    )
    card = p.add_argument_group("card")
    card.add_argument("--text", default="not stated", help="what the text is, for the card")
    card.add_argument("--licence", default="not stated", help="the text's licences, for the card")
    return p
