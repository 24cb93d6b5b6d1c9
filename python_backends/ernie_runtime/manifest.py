"""The manifest: everything about a task that is data, written by the builders, read by all the rest.

One `manifest.json` lies in the version directory of a task's tokenizer, postprocessor and ensembles (the same
bytes), and travels to clients in the ensemble's config parameter `manifest`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import ManifestError

SCHEMA = 1
OVERFLOW = ("window", "truncate")


@dataclass(frozen=True)
class Label:
    """One output class: `id` as the data writes it, `name` as answers show it."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How a text is cut for the encoder; lengths in tokens unless said otherwise."""

    max_length: int  # a window, special tokens included
    doc_stride: int  # distance between the starts of two windows of one text
    overflow: str = "window"  # a longer text is cut into windows, or truncated to one
    max_chars: int = 20_000  # a longer text is refused with INVALID_ARG

    def __post_init__(self) -> None:
        for name in ("max_length", "doc_stride", "max_chars"):
            if type(value := getattr(self, name)) is not int:
                raise ManifestError(f"{name} {value!r} is not a whole number")
        if not 4 <= self.max_length <= 4096:
            raise ManifestError(f"max_length {self.max_length} is outside 4..4096")
        if not 1 <= self.doc_stride <= self.max_length - 2:
            raise ManifestError(
                f"doc_stride {self.doc_stride} is outside 1..{self.max_length - 2} (max_length less [CLS] and [SEP])"
            )
        if self.overflow not in OVERFLOW:
            raise ManifestError(f"overflow {self.overflow!r} is none of {', '.join(OVERFLOW)}")
        if self.max_chars < 1:
            raise ManifestError(f"max_chars {self.max_chars} is below 1")


OWN_SPLITS = ("dev", "sample")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A measured quality figure: `metrics` on `rows` texts of `split`, through the serving code or as told in `by`.

    split: one of OWN_SPLITS, or the name of a transfer set, which was never trained on.
    """

    split: str
    rows: int
    metrics: Mapping[str, float]
    by: str


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One precision or size of the encoder, served as `<task>_encoder_<name>`."""

    name: str
    engine: str  # Triton backend name
    file: str  # what the engine is given, in the encoder's version directory
    bytes: int  # of all files that the engine reads
    sha256: str  # of `file`
    max_abs_error: float  # of the exported graph against the framework's logits, on real texts
    evaluations: tuple[Evaluation, ...] = ()
    weights: str = ""  # the file beside `file` that holds the weights, where the engine's format has two
    weights_sha256: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)  # parameters of the engine's model, as in config.pbtxt
    made: Mapping[str, Any] = field(default_factory=dict)  # how: width, precision, calibration, sensitivity
    gate: Mapping[str, Any] = field(default_factory=dict)  # what it had to pass, the figures, and whether it did
    speed: Mapping[str, Any] = field(default_factory=dict)  # measured beside the other variants, in one run
    batching: Mapping[str, Any] = field(default_factory=dict)  # calibrated: how the engine stand-ins run it


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A task as published."""

    task: str
    kind: str
    title: str
    version: int
    labels: tuple[Label, ...]
    limits: Limits
    vocabulary_size: int
    vocabulary_sha256: str
    variants: tuple[Variant, ...]
    recommended: str
    main_metric: str
    made_by: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # a kind's own data: thresholds, trees
    examples: tuple[tuple[str, ...], ...] = ()  # texts to try the task with, one an input
    refused: tuple[Variant, ...] = ()  # built and measured, kept out by the gate: their `gate` says why
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ManifestError(f"manifest schema {self.schema} is not {SCHEMA}: rebuild the task with this version")
        names = [v.name for v in self.variants]
        if self.recommended not in names:
            raise ManifestError(
                f"recommended variant {self.recommended!r} is none of {', '.join(names) or 'no variants'}"
            )
        ids = [label.id for label in self.labels]
        if len(set(ids)) != len(ids) or len({label.name for label in self.labels}) != len(ids):
            raise ManifestError("two labels have the same id or the same name")

    def variant(self, name: str) -> Variant:
        """The variant called `name`; ManifestError where there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise ManifestError(
            f"task {self.task} has no variant {name!r}; it has {', '.join(v.name for v in self.variants)}"
        )

    def compared(self) -> dict[str, Evaluation]:
        """By variant, the evaluation to show it by: of the main metric, never of a transfer set, and on the largest
        set that all variants (refused ones too) were measured on; those that were not measured are missing."""
        found = {
            variant.name: {(e.split, e.rows): e for e in variant.evaluations if self._is_own(e)}
            for variant in (*self.variants, *self.refused)
        }
        measured = {name: own for name, own in found.items() if own}
        common = set.intersection(*(set(own) for own in measured.values())) if measured else set()
        best = max(common, key=lambda key: key[1], default=None)
        return {name: own[best] if best else list(own.values())[-1] for name, own in measured.items()}

    def compared_on(self) -> str:
        """What the evaluations of `compared` were made on, for a person."""
        return "; ".join(sorted({f"{e.split}, {e.rows:,} rows" for e in self.compared().values()})) or "not measured"

    def _is_own(self, evaluation: Evaluation) -> bool:
        return evaluation.split in OWN_SPLITS and self.main_metric in evaluation.metrics

    def to_json(self) -> str:
        """Deterministic, readable JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "manifest.json") -> Manifest:
        """Parse and validate; ManifestError names `where` and the fault."""
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise ManifestError(f"{where}: not JSON ({error})") from None
        if not isinstance(raw, dict):
            raise ManifestError(f"{where}: expected a JSON object")
        if (schema := raw.get("schema")) != SCHEMA:  # first: another schema may have any fields
            raise ManifestError(f"{where}: schema {schema} is not {SCHEMA}: publish the task again with this version")
        try:
            raw["labels"] = tuple(Label(**label) for label in raw["labels"])
            raw["limits"] = Limits(**raw["limits"])
            for name in ("variants", "refused"):
                raw[name] = tuple(
                    Variant(**{**v, "evaluations": tuple(Evaluation(**e) for e in v["evaluations"])})
                    for v in (raw[name] if name == "variants" else raw.get(name, ()))
                )
            raw["examples"] = tuple(tuple(texts) for texts in raw.get("examples", ()))
            return cls(**raw)
        except KeyError as error:
            raise ManifestError(f"{where}: field {error} is missing") from None
        except TypeError as error:
            raise ManifestError(f"{where}: {str(error).replace('.__init__()', '')}") from None
        except ManifestError as error:
            raise ManifestError(f"{where}: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read a manifest file; ManifestError where it is missing or wrong."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ManifestError(f"{path}: no such file; publish the task again with the builder") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: cannot be read ({error})") from None
        return cls.from_json(text, str(path))
