"""One run: prepare the text, train, leave an encoder."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ernie_runtime.errors import ErnieError

from ..console import say
from ..errors import ConfigError
from ..framework import import_paddle
from ..training.launch import is_worker, launch
from .config import About, PretrainConfig, Source, parse_lengths
from .corpus.prepare import FOLDER, find_start, find_vocabulary, prepare, start_key
from .encoder import save_encoder
from .masking import Vocabulary
from .state import ENCODER
from .warm_start import warm_start

PATHS = ("--output", "--data", "--held-out", "--vocab", "--phrases", "--init")


def config_of(args: argparse.Namespace) -> PretrainConfig:
    """ConfigError names the option that is wrong."""
    given = {f.name: getattr(args, f.name) for f in fields(PretrainConfig) if hasattr(args, f.name)}
    given["lengths"] = parse_lengths(args.lengths)
    given["sentence_tasks"] = tuple(name.strip() for name in args.sentence_tasks.split(",") if name.strip())
    return PretrainConfig(**given)


def source_of(args: argparse.Namespace) -> Source:
    """Where the text is."""
    return Source(
        tuple(args.data),
        args.format,
        args.held_out,
        args.vocab,
        args.vocab_size,
        args.segmenter,
        args.phrases,
    )


def shown_command(words: Sequence[str]) -> str:
    """The command for the card: files by their last name, never a path of this machine."""
    found, of_path = [], False
    for word in words:
        if word.startswith("--"):
            name, sign, value = word.partition("=")
            of_path = name in PATHS
            found.append(f"{name}={Path(value).name}" if sign and of_path else word)
        else:
            found.append(Path(word).name if of_path else word)
    return f"ernie-triton build pretrain {shlex.join(found)}"


def pretrain(args: argparse.Namespace, words: Sequence[str]) -> None:
    """Everything behind the command line; BuildError, or ErnieError of a vocabulary."""
    config, source, output = config_of(args), source_of(args), args.output
    for name in ("log_every", "eval_every", "save_every"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {getattr(args, name)}: must be above 0")
    if args.start == "warm" and args.init:
        raise ConfigError("--start warm: is for a run without --init")
    import_paddle(args.device)
    if config.amp != "none" and not args.device.startswith("gpu"):
        raise ConfigError(f"--amp {config.amp}: mixed precision needs --device gpu; on a CPU it gains nothing")
    output.mkdir(parents=True, exist_ok=True)
    try:
        vocabulary = find_vocabulary(source, args.init, output)
    except ErnieError as error:
        raise ConfigError(f"--vocab: {error}") from None
    prepared = prepare(source, config, vocabulary, output)
    start = find_start(args.init, args.shape, vocabulary, config.seed)
    if args.start == "warm":
        special = Vocabulary.of(prepared.tokenizer).is_special
        start = warm_start(start, prepared.corpus, special, config.seed, output / FOLDER / prepared.key)
    if args.devices and not is_worker():
        launch(args.devices, args.device, list(words), output)
        return
    from .trainer import Job, Pace, Trainer

    job = Job(
        config,
        start,
        prepared.tokenizer,
        prepared.corpus,
        prepared.held_out,
        output,
        f"{prepared.key} {start_key(start)}",
        args.device,
        Pace(args.log_every, args.eval_every, args.save_every, args.stop_after),
    )
    about = About(args.text, args.licence, shown_command(words))

    def saved(trainer: Any) -> None:
        save_encoder(trainer, about, vocabulary, args.bits)

    progress = Trainer(job, saved).run()
    if progress.step < config.steps:
        say(
            f"    stopped after {args.stop_after:g} minutes at step {progress.step:,} of {config.steps:,}; "
            "the same command goes on"
        )
    else:
        say(f"    done: {config.steps:,} steps, {progress.tokens:,} tokens; the encoder is {output / ENCODER}")
