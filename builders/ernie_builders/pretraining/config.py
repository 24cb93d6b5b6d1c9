"""What a pre-training is asked to do: settings, text, pace and the card's words, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ernie_runtime.json_types import JsonObject

from ..errors import ConfigError

FORMATS = ("text", "ids", "packed")
SENTENCE_TASKS = ("nsp", "sop", "reorder", "distance")
AMP = ("none", "fp16", "bf16")
STARTS = ("random", "warm")
LEAST_LENGTH = 8  # tokens: two segments, their separators and a little text
NANO = "4x312x12"  # the shape of ERNIE 3.0 Nano and of the encoder that ships
NOT_STATED = "not stated"


def option(name: str) -> str:
    """A field's option on the command line: `--batch-tokens`."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Stretch:
    """A part of the training, with sequences of one length."""

    length: int  # tokens of a sequence, special ones included
    share: float  # of all steps


def parse_lengths(text: str) -> tuple[Stretch, ...]:
    """`128:0.9,512:0.1`, or a single length; the shares must sum to 1. ConfigError."""
    stretches = []
    for item in text.split(","):
        length, _, share = item.partition(":")
        try:
            stretches.append(Stretch(int(length), float(share) if share else 1.0))
        except ValueError:
            raise ConfigError(f"--lengths {text}: expected LENGTH:SHARE,..., such as 128:0.9,512:0.1") from None
    shortest = min(stretch.length for stretch in stretches)
    if shortest < LEAST_LENGTH:
        raise ConfigError(f"--lengths {text}: {shortest} tokens are too few, {LEAST_LENGTH} is the least")
    if any(stretch.share <= 0 for stretch in stretches) or abs(sum(stretch.share for stretch in stretches) - 1) > 1e-6:
        raise ConfigError(f"--lengths {text}: the shares must be above 0 and sum to 1")
    return tuple(stretches)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """All settings that decide the weights, besides the text; only a run with the same ones may resume a state."""

    steps: int = 10_000  # optimizer steps
    lengths: tuple[Stretch, ...] = (Stretch(128, 0.9), Stretch(512, 0.1))
    batch_tokens: int = 4096  # in a batch on one device, padding included; a step has accumulate x devices batches
    accumulate: int = 1
    learning_rate: float = 5e-4
    warmup: float = 0.03  # share of all steps
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    beta2: float = 0.98
    dropout: float = 0.0
    mask_rate: float = 0.15  # share of the units (words, phrases)
    sentence_tasks: tuple[str, ...] = ()  # of SENTENCE_TASKS; in each epoch a document goes to one of them
    amp: str = "none"
    seed: int = 0
    held_out_tokens: int = 400_000  # from the end of the text without a held-out file; at most a tenth of it
    eval_tokens: int = 65_536  # of the held-out text, to evaluate on

    def __post_init__(self) -> None:
        """ConfigError names the option."""
        for name in ("steps", "accumulate", "eval_tokens", "held_out_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{option(name)} {getattr(self, name)}: must be above 0")
        for name, low, high in (("mask_rate", 0.0, 1.0), ("dropout", -1e-9, 1.0), ("warmup", -1e-9, 1.0)):
            if not low < getattr(self, name) < high:
                raise ConfigError(f"{option(name)} {getattr(self, name)}: must lie between 0 and 1")
        if self.learning_rate <= 0:
            raise ConfigError(f"--learning-rate {self.learning_rate}: must be above 0")
        if self.amp not in AMP:
            raise ConfigError(f"--amp {self.amp}: expected {', '.join(AMP)}")
        unknown = [name for name in self.sentence_tasks if name not in SENTENCE_TASKS]
        if unknown:
            raise ConfigError(f"--sentence-tasks {unknown[0]}: expected some of {', '.join(SENTENCE_TASKS)}")
        longest = max(stretch.length for stretch in self.lengths)
        if self.batch_tokens < longest:
            raise ConfigError(f"--batch-tokens {self.batch_tokens}: holds no sequence of {longest} tokens (--lengths)")

    def rows(self, length: int) -> int:
        """Number of sequences in a batch on one device."""
        return max(1, self.batch_tokens // length)

    def stretch_at(self, step: int) -> int:
        """Index of the stretch in `lengths` that a step is in."""
        end = 0.0
        for number, stretch in enumerate(self.lengths):
            end += stretch.share
            if step < round(end * self.steps):
                return number
        return len(self.lengths) - 1

    def to_json(self) -> JsonObject:
        """As JSON data."""
        return asdict(self)

    def difference(self, other: JsonObject) -> str:
        """The first setting in which another run's JSON differs: `learning_rate 0.001, here 0.0005`; empty if none."""
        settings = {
            **asdict(self),
            "lengths": list(map(asdict, self.lengths)),
            "sentence_tasks": list(self.sentence_tasks),
        }
        for name, value in settings.items():
            if name in other and other[name] != value:
                return f"{name} {other[name]}, here {value}"
        return ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the text comes from and how it is cut into units."""

    data: tuple[Path, ...]
    format: str = "text"  # one of FORMATS
    held_out: Path | None = None  # a file of the same format; None: the end of `data`
    vocabulary: Path | None = None  # vocab.txt; None: that of the initial weights
    vocabulary_size: int = 0  # entries to keep, the most frequent ones of the text; 0: all
    segmenter: str = "jieba"
    phrases: Path | None = None  # a file with phrases to mask whole


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When a run logs, evaluates, saves and stops; changes no weight."""

    log_every: int = 50  # steps
    eval_every: int = 500  # steps
    save_every: int = 500  # steps
    stop_after: float = math.inf  # minutes from the start of this piece of the run

    def __post_init__(self) -> None:
        """ConfigError names the option."""
        for name in ("log_every", "eval_every", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{option(name)} {getattr(self, name)}: must be above 0")


@dataclass(frozen=True, kw_only=True)
class About:
    """What the card says and only the user knows."""

    text: str = NOT_STATED
    licence: str = NOT_STATED
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class PretrainRequest:
    """One command: what to train, from what, where, and how the encoder is stored."""

    config: PretrainConfig
    source: Source
    output: Path
    shape: str = NANO  # LAYERSxHIDDENxHEADS, without `init`
    init: str = ""  # an encoder as --base-model names it; empty: weights of `shape`
    start: str = "random"  # one of STARTS, without `init`
    bits: int = 16  # of the stored weights, 16 or 32
    device: str = "cpu"
    devices: str = ""  # numbers joined by commas: one process each; empty: this process alone
    pace: Pace = field(default_factory=Pace)
    about: About = field(default_factory=About)

    def __post_init__(self) -> None:
        """ConfigError names the option."""
        if self.start == "warm" and self.init:
            raise ConfigError("--start warm: is for a run without --init")
        if self.config.amp != "none" and not self.device.startswith("gpu"):
            raise ConfigError(f"--amp {self.config.amp}: mixed precision needs --device gpu; on a CPU it gains nothing")
