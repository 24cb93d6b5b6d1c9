"""The manifest: all data about a task, written by the builders and read by everything else.

`manifest.json` lies, with the same bytes, in the version directories of a task's tokenizer, postprocessor and
ensembles; clients get it from the parameter `manifest` of the ensemble's configuration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import Faults, ManifestError
from .json_types import Json

SCHEMA = 1
OVERFLOW = ("window", "truncate")


@dataclass(frozen=True)
class Label:
    """One output class: `id` as in the data, `name` as in answers."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How texts are cut into windows; lengths are in tokens unless said otherwise."""

    max_length: int  # of a window, special tokens included
    doc_stride: int  # distance between the starts of two windows of one text
    overflow: str = "window"  # "window": a longer text is cut into windows; "truncate": into one
    max_chars: int = 20_000  # a longer text is refused with INVALID_ARG

    def __post_init__(self) -> None:
        faults = Faults()
        whole = {name for name in ("max_length", "doc_stride", "max_chars") if type(getattr(self, name)) is int}
        for name in ("max_length", "doc_stride", "max_chars"):
            if name not in whole:
                faults.lines.append(f"{name} {getattr(self, name)!r} is not a whole number")
        fits = "max_length" in whole and 4 <= self.max_length <= 4096
        if "max_length" in whole and not fits:
            faults.lines.append(f"max_length {self.max_length} is outside 4..4096")
        longest = self.max_length - 2 if fits else 4094  # of a stride
        if "doc_stride" in whole and not 1 <= self.doc_stride <= longest:
            why = " (max_length less [CLS] and [SEP])" if fits else ""
            faults.lines.append(f"doc_stride {self.doc_stride} is outside 1..{longest}{why}")
        if self.overflow not in OVERFLOW:
            faults.lines.append(f"overflow {self.overflow!r} is none of {', '.join(OVERFLOW)}")
        if "max_chars" in whole and self.max_chars < 1:
            faults.lines.append(f"max_chars {self.max_chars} is below 1")
        faults.check()


OWN_SPLITS = ("dev", "sample")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Measured quality: `metrics` on `rows` texts of `split`, measured by the serving code or as `by` says.

    split: one of OWN_SPLITS, or the name of a transfer set, on which the model was never trained.
    """

    split: str
    rows: int
    metrics: Mapping[str, float]
    by: str
    errors: Mapping[str, float] = field(default_factory=dict)  # standard errors by metric, where they are known


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One precision or size of the encoder, served as `<task>_encoder_<name>`."""

    name: str
    engine: str  # name of its Triton backend
    file: str  # what the engine loads, in the encoder's version directory
    bytes: int  # size of all files that the engine reads
    sha256: str  # of `file`
    max_abs_error: float  # between the exported graph's logits and the framework's, on real texts
    evaluations: tuple[Evaluation, ...] = ()
    weights: str = ""  # the file with the weights, where the engine's format has two files
    weights_sha256: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)  # parameters of the model in config.pbtxt
    made: Json = field(default_factory=dict)  # how it was made: width, precision, calibration, sensitivity
    gate: Json = field(default_factory=dict)  # the required figures, the measured ones, and the verdict
    speed: Json = field(default_factory=dict)  # measured in the same run as the other variants'
    batching: Json = field(default_factory=dict)  # calibrated: how the Python backends batch it


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A published task."""

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
    made_by: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)  # data of the kind: thresholds, slots
    examples: tuple[tuple[str, ...], ...] = ()  # items to try the task with, one text per input
    refused: tuple[Variant, ...] = ()  # built and measured, but refused by the gate; their `gate` says why
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ManifestError(f"manifest schema {self.schema} is not {SCHEMA}: rebuild the task with this version")
        faults = Faults()
        names = [v.name for v in self.variants]
        if self.recommended not in names:
            faults.lines.append(
                f"recommended variant {self.recommended!r} is none of {', '.join(names) or 'no variants'}"
            )
        ids = [label.id for label in self.labels]
        if len(set(ids)) != len(ids) or len({label.name for label in self.labels}) != len(ids):
            faults.lines.append("two labels have the same id or the same name")
        faults.check()

    def variant(self, name: str) -> Variant:
        """The variant called `name`; ManifestError where there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise ManifestError(
            f"task {self.task} has no variant {name!r}; it has {', '.join(v.name for v in self.variants)}"
        )

    def compared(self) -> dict[str, Evaluation]:
        """For each variant, refused ones too, the evaluation to compare it by; variants without one are missing.

        It is of the main metric, never of a transfer set, and on the largest set that all variants were measured on.
        """
        evaluations = {
            variant.name: {(e.split, e.rows): e for e in variant.evaluations if self._is_comparable(e)}
            for variant in (*self.variants, *self.refused)
        }
        measured = {name: by_set for name, by_set in evaluations.items() if by_set}
        common_sets = set.intersection(*(set(by_set) for by_set in measured.values())) if measured else set()
        largest = max(common_sets, key=lambda split_rows: split_rows[1], default=None)
        return {name: by_set[largest] if largest else list(by_set.values())[-1] for name, by_set in measured.items()}

    def compared_on(self) -> str:
        """The sets that the evaluations of `compared` were measured on, for a person."""
        return "; ".join(sorted({f"{e.split}, {e.rows:,} rows" for e in self.compared().values()})) or "not measured"

    def _is_comparable(self, evaluation: Evaluation) -> bool:
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
        except RecursionError:
            raise ManifestError(f"{where}: nested too deep") from None
        if not isinstance(raw, dict):
            raise ManifestError(f"{where}: expected a JSON object")
        if (schema := raw.get("schema")) != SCHEMA:  # checked first: another schema may have other fields
            raise ManifestError(f"{where}: schema {schema} is not {SCHEMA}: publish the task again with this version")
        faults, parts = Faults(), dict[str, Any]()
        for name, parse in _PARTS.items():
            if name not in raw and name in _OPTIONAL:
                continue
            with faults.collect(where), _readable():
                parts[name] = parse(raw[name])
        faults.check()
        with faults.collect(where), _readable():
            return cls(**{**raw, **parts})
        raise ManifestError(*faults.lines)

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


@contextmanager
def _readable() -> Iterator[None]:
    """Turns what Python says of a missing, unknown or misplaced field into a ManifestError."""
    try:
        yield
    except KeyError as error:
        raise ManifestError(f"field {error} is missing") from None
    except TypeError as error:
        raise ManifestError(str(error).replace(".__init__()", "")) from None


def _evaluations(raw: Json) -> tuple[Evaluation, ...]:
    return tuple(Evaluation(**evaluation) for evaluation in raw["evaluations"])


def _variants(raw: Sequence[Json]) -> tuple[Variant, ...]:
    return tuple(Variant(**{**variant, "evaluations": _evaluations(variant)}) for variant in raw)


_PARTS: Mapping[str, Callable[[Any], object]] = {
    "labels": lambda raw: tuple(Label(**label) for label in raw),
    "limits": lambda raw: Limits(**raw),
    "variants": _variants,
    "refused": _variants,
    "examples": lambda raw: tuple(tuple(texts) for texts in raw),
}
"""The fields of manifest.json that are more than JSON: how each is read."""
_OPTIONAL = {"refused", "examples"}
