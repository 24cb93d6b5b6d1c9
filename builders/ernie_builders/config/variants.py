"""The name of a variant is its recipe: `w0.75-int8` is three quarters of the width, in 8 bits.

    wF     width: this part of every layer's attention heads and FFN neurons (w0.75, w0.5)
    dN     depth: this many layers, from the lowest on, evenly spread
    vN     vocabulary: the N entries that the training text uses most (above what there is: padded, for a comparison)
    fp32 | bf16 | int8 | qat8 | dynamic8     what the encoder computes in (fp32 where the name says nothing)
    fN     with int8: the N parts of the encoder that lose most in 8 bits stay in float (compress/sensitivity.py)
    e8     the word table in 8 bits
    ort | ov | paddle     ONNX Runtime, OpenVINO or Paddle Inference, where the precision can run in several

PaddleNLP's names of compression strategies are read too: `dynabert+ptq` is `w0.75-int8`, `dynabert+qat+embeddings`
`w0.75-qat8-e8`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ernie_runtime.engines import ENGINES, engines_for

from ..errors import ConfigError

SHORT_NAMES = {spec.short_name: spec for spec in ENGINES.values()}
PRECISIONS = (
    "fp32",
    "bf16",
    "int8",  # ranges from calibration texts
    "qat8",  # ranges learnt in training
    "dynamic8",
)
STRATEGIES = {"dynabert": "w0.75", "ptq": "int8", "qat": "qat8", "embeddings": "e8"}
PARTS = re.compile(
    r"(?P<width>w0?\.\d+)|(?P<depth>d[1-9]\d*)|(?P<vocabulary>v[1-9]\d*)"
    rf"|(?P<precision>{'|'.join(PRECISIONS)})|(?P<engine>{'|'.join(SHORT_NAMES)})"
    r"|(?P<embeddings>e8)|(?P<floats>f[1-9]\d*)"
)


PICKS = ("fastest", "smallest")  # what may be recommended besides a name
CALIBRATIONS = ("min-max", "moving-average", "percentile", "entropy")  # the last in ONNX Runtime only


@dataclass(frozen=True)
class CompressConfig:
    """How a task's variants are made, and what one may cost."""

    max_drop: float = 0.5  # points of the main metric that a published variant may lose against the task's first one
    calibration: str = "moving-average"  # how ranges of activations are found
    epochs: float = 1.0  # of distilling a pruned model from the full one
    learning_rate: float = 2e-4
    batch_size: int = 32
    min_count: int = 1  # vocabulary pruning keeps entries that the training text has so many times at least
    importance_rows: int = 2000  # training texts, all windows of each, that importance of heads and neurons is found on

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 100:
            raise ConfigError(f"compress.max_drop is {self.max_drop}; it must be at least 0 and below 100 points")
        for name in ("epochs", "learning_rate", "batch_size", "min_count", "importance_rows"):
            if not 0 < getattr(self, name) < 1e9:
                raise ConfigError(f"compress.{name} is {getattr(self, name)}; it must be above 0")
        if self.calibration not in CALIBRATIONS:
            raise ConfigError(f"compress.calibration {self.calibration!r} is none of {', '.join(CALIBRATIONS)}")


@dataclass(frozen=True)
class Recipe:
    """How a variant is made from the fine-tuned model."""

    name: str = "fp32"
    width: float = 1.0  # part of the attention heads and FFN neurons
    depth: int = 0  # layers; 0: all
    vocabulary: int = 0  # entries; 0: all
    precision: str = "fp32"
    embeddings: bool = False  # the word table in 8 bits
    floats: int = 0  # parts of the encoder that stay in float, the most sensitive ones
    engine: str = "onnxruntime"  # Triton backend

    @property
    def pruned(self) -> bool:
        """Whether it needs weights of its own; variants of one width and depth share them."""
        return (self.width, self.depth) != (FULL.width, FULL.depth)

    @property
    def needs_text(self) -> bool:
        """Whether it is made with training text: to distil, to calibrate on, or to count words in."""
        return self.pruned or self.vocabulary > 0 or self.precision in ("int8", "qat8")

    @property
    def converted(self) -> bool:
        """Whether the exported FP32 graph is changed or goes to another engine than ONNX Runtime."""
        return self.vocabulary > 0 or self.precision != "fp32" or self.embeddings or self.engine != FULL.engine

    @property
    def settings(self) -> dict[str, str]:
        """Parameters of the engine's model."""
        return dict(ENGINES[self.engine].settings.get(self.precision, {}))


FULL = Recipe()


def parse(name: str) -> Recipe:
    """The recipe that a name stands for; ConfigError where it stands for none."""
    text = "-".join(STRATEGIES.get(part, part) for part in name.split("+"))
    found: dict[str, str] = {}
    for part in text.split("-"):
        match = PARTS.fullmatch(part)
        if match is None or match.lastgroup is None:
            raise ConfigError(
                f"variant {name!r}: {part!r} is none of w0.75 (width), d3 (layers), v6000 (vocabulary), "
                f"{', '.join(PRECISIONS)}, e8, {', '.join(SHORT_NAMES)}, {', '.join(STRATEGIES)} (joined by +)"
            )
        if match.lastgroup in found:
            raise ConfigError(f"variant {name!r}: names its {match.lastgroup} twice")
        found[match.lastgroup] = part
    precision = found.get("precision", "fp32")
    engines = [spec.short_name for spec in engines_for(precision)]
    engine = found.get("engine", engines[0])
    if engine not in engines:
        raise ConfigError(f"variant {name!r}: {precision} runs in {' or '.join(engines)}, not in {engine}")
    floats = int(found.get("floats", "f0")[1:])
    if floats and precision != "int8":
        raise ConfigError(f"variant {name!r}: f{floats} goes with int8")
    width = float(found.get("width", "w1.0")[1:])
    if not 0 < width <= 1:
        raise ConfigError(f"variant {name!r}: a width is above 0 and below 1")
    return Recipe(
        text,
        width,
        int(found.get("depth", "d0")[1:]),
        int(found.get("vocabulary", "v0")[1:]),
        precision,
        "embeddings" in found,
        floats,
        SHORT_NAMES[engine].backend,
    )


def check_variants(names: Sequence[str], calibration: str = CALIBRATIONS[0]) -> None:
    """ConfigError where a list of variants is empty, or holds a name that is no recipe, or one recipe twice.

    calibration: how ranges of activations are found; not every engine's quantiser knows every way.
    """
    if not names:
        raise ConfigError("names none; `fp32` is the plain one")
    recipes = [parse(name) for name in names]
    if recipes[0] != FULL:
        raise ConfigError(f"{', '.join(names)}: fp32 must be the first, it is the measure of the others")
    if len({recipe.name for recipe in recipes}) != len(recipes):
        raise ConfigError(f"{', '.join(names)}: one of them twice")
    for recipe in recipes:
        if calibration == "entropy" and recipe.precision == "int8" and recipe.engine != FULL.engine:
            raise ConfigError(
                f"variant {recipe.name!r}: compress.calibration `entropy` is ONNX Runtime's: {recipe.name}-ort"
            )
