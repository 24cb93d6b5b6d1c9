"""The name of a variant is its recipe: `w0.75-int8` has three quarters of the width and computes in 8 bits.

    wF     width: this share of the attention heads and FFN neurons in every layer (w0.75, w0.5)
    dN     depth: this many layers, evenly spread
    vN     vocabulary: the N entries most frequent in the training text (more than there are: padded, to compare with)
    fp32 | fp16 | bf16 | int8 | qat8 | dynamic8     precision of the encoder (default: fp32)
    fN     with int8: the N most sensitive parts of the encoder stay in float (compression/sensitivity.py)
    e8     the word embeddings in 8 bits
    trt    with int8 or qat8: as TensorRT takes it, activations signed and symmetric; runs in ONNX Runtime too
    ort | ov | paddle     ONNX Runtime, OpenVINO or Paddle Inference, where several can run the precision

PaddleNLP's names of compression strategies are accepted too: `dynabert+ptq` is `w0.75-int8`, and
`dynabert+qat+embeddings` is `w0.75-qat8-e8`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ernie_runtime.engines import ENGINES, engines_for

from ..errors import ConfigError
from .schema import Faults

SHORT_NAMES = {spec.short_name: spec for spec in ENGINES.values()}
PRECISIONS = (
    "fp32",
    "fp16",
    "bf16",
    "int8",  # ranges from calibration texts
    "qat8",  # ranges learnt in training
    "dynamic8",
)
TENSORRT = "trt"
STRATEGIES = {"dynabert": "w0.75", "ptq": "int8", "qat": "qat8", "embeddings": "e8"}
PARTS = re.compile(
    r"(?P<width>w0?\.\d+)|(?P<depth>d[1-9]\d*)|(?P<vocabulary>v[1-9]\d*)"
    rf"|(?P<precision>{'|'.join(PRECISIONS)})|(?P<engine>{'|'.join(SHORT_NAMES)})"
    rf"|(?P<embeddings>e8)|(?P<floats>f[1-9]\d*)|(?P<symmetric>{TENSORRT})"
)


PICKS = ("fastest", "smallest")  # what --pick takes besides a variant's name
CALIBRATIONS = ("min-max", "moving-average", "percentile", "entropy")  # the last one in ONNX Runtime only


@dataclass(frozen=True, kw_only=True)
class CompressConfig:
    """How a task's variants are made, and how much accuracy one may lose."""

    max_drop: float = 0.5  # points of the main metric that a published variant may lose against the baseline
    calibration: str = "moving-average"  # how the ranges of activations are determined
    epochs: float = 1.0  # of distilling a pruned model from the full one
    learning_rate: float = 2e-4
    batch_size: int = 32  # rows
    min_count: int = 1  # vocabulary pruning keeps entries that occur at least this often in the training text
    importance_rows: int = 2000  # training texts (all windows) that the importance of heads and neurons is measured on

    def __post_init__(self) -> None:
        faults = Faults()
        if not 0 <= self.max_drop < 100:
            faults.lines.append(f"compress.max_drop is {self.max_drop}; it must be at least 0 and below 100 points")
        for name in ("epochs", "learning_rate", "batch_size", "min_count", "importance_rows"):
            if not 0 < getattr(self, name) < 1e9:
                faults.lines.append(f"compress.{name} is {getattr(self, name)}; it must be above 0")
        if self.calibration not in CALIBRATIONS:
            faults.lines.append(f"compress.calibration {self.calibration!r} is none of {', '.join(CALIBRATIONS)}")
        faults.check()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a variant is made from the fine-tuned model."""

    name: str = "fp32"
    width: float = 1.0  # share of the attention heads and FFN neurons
    depth: int = 0  # layers; 0: all
    vocabulary: int = 0  # entries; 0: all
    precision: str = "fp32"
    embeddings: bool = False  # the word embeddings in 8 bits
    floats: int = 0  # how many parts of the encoder stay in float, the most sensitive first
    symmetric: bool = False  # activations in int8 with zero point 0, not in uint8
    engine: str = "onnxruntime"  # Triton backend

    @property
    def pruned(self) -> bool:
        """Whether it has weights of its own; variants of the same width and depth share them."""
        return (self.width, self.depth) != (FULL.width, FULL.depth)

    @property
    def needs_text(self) -> bool:
        """Whether making it needs training text: for distilling, calibrating, or counting words."""
        return self.pruned or self.vocabulary > 0 or self.precision in ("int8", "qat8")

    @property
    def converted(self) -> bool:
        """Whether the exported FP32 graph is changed, or runs in another engine than ONNX Runtime."""
        return self.vocabulary > 0 or self.precision != "fp32" or self.embeddings or self.engine != FULL.engine

    @property
    def settings(self) -> dict[str, str]:
        """Parameters of the Triton model, for the engine."""
        return dict(ENGINES[self.engine].settings.get(self.precision, {}))


FULL = Recipe()


def parse_variant(name: str) -> Recipe:
    """The recipe that a variant's name describes; ConfigError where it describes none."""
    text = "-".join(STRATEGIES.get(part, part) for part in name.split("+"))
    parts: dict[str, str] = {}
    for part in text.split("-"):
        match = PARTS.fullmatch(part)
        if match is None or match.lastgroup is None:
            raise ConfigError(
                f"variant {name!r}: {part!r} is none of w0.75 (width), d3 (layers), v6000 (vocabulary), "
                f"{', '.join(PRECISIONS)}, e8, {TENSORRT}, {', '.join(SHORT_NAMES)}, "
                f"{', '.join(STRATEGIES)} (joined by +)"
            )
        if match.lastgroup in parts:
            raise ConfigError(f"variant {name!r}: names its {match.lastgroup} twice")
        parts[match.lastgroup] = part
    precision = parts.get("precision", "fp32")
    engines = [spec.short_name for spec in engines_for(precision)]
    if "symmetric" in parts:
        if precision not in ("int8", "qat8"):
            raise ConfigError(f"variant {name!r}: {TENSORRT} goes with int8 or qat8")
        engines = [ENGINES[FULL.engine].short_name]
    if "embeddings" in parts and ("symmetric" in parts or precision == "fp16"):
        raise ConfigError(f"variant {name!r}: e8 does not go with fp16 or {TENSORRT}, whose graphs are for GPUs")
    engine = parts.get("engine", engines[0])
    if engine not in engines:
        raise ConfigError(f"variant {name!r}: {precision} runs in {' or '.join(engines)}, not in {engine}")
    floats = int(parts.get("floats", "f0")[1:])
    if floats and precision != "int8":
        raise ConfigError(f"variant {name!r}: f{floats} goes with int8")
    width = float(parts.get("width", "w1.0")[1:])
    if not 0 < width <= 1:
        raise ConfigError(f"variant {name!r}: a width is above 0 and below 1")
    return Recipe(
        name=text,
        width=width,
        depth=int(parts.get("depth", "d0")[1:]),
        vocabulary=int(parts.get("vocabulary", "v0")[1:]),
        precision=precision,
        embeddings="embeddings" in parts,
        floats=floats,
        symmetric="symmetric" in parts,
        engine=SHORT_NAMES[engine].backend,
    )


def check_variants(names: Sequence[str], calibration: str = CALIBRATIONS[0]) -> None:
    """ConfigError where a list of variants is empty, does not begin with fp32, or has a wrong or duplicate name.

    calibration: one of CALIBRATIONS; not every engine's quantizer supports each.
    """
    if not names:
        raise ConfigError("names none; `fp32` is the plain one")
    recipes = [parse_variant(name) for name in names]
    if recipes[0] != FULL:
        raise ConfigError(f"{', '.join(names)}: fp32 must come first: it is the baseline")
    if len({recipe.name for recipe in recipes}) != len(recipes):
        raise ConfigError(f"{', '.join(names)}: one of them twice")
    for recipe in recipes:
        if calibration == "entropy" and recipe.precision == "int8" and recipe.engine != FULL.engine:
            raise ConfigError(
                f"variant {recipe.name!r}: compress.calibration `entropy` is ONNX Runtime's: {recipe.name}-ort"
            )
