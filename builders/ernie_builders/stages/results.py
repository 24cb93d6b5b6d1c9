"""The results of the stages: what each leaves besides files, and its JSON in done.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeVar

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.manifest import Evaluation

from ..metrics.row_metric import Loss

R = TypeVar("R", bound="Result")
BY = "this build, through the serving code"


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of the results. In JSON each field has its own name; a field at its default is left out."""

    def to_json(self) -> JsonObject:
        """JSON data that `from_json` reads back."""
        return _changed(self)

    @classmethod
    def from_json(cls: type[R], raw: Json) -> R:
        """The result of a finished stage; unknown keys are ignored."""
        return cls(**_known(cls, raw))


@dataclass(frozen=True, kw_only=True)
class SplitFigures:
    """Figures of one split of the data; lengths are those of whole texts, in tokens."""

    rows: int
    tokens_median: int
    tokens_p99: int
    tokens_max: int
    over_one_window_percent: float
    unknown_percent: float  # of all tokens
    unserved: int = 0  # rows that no server would answer, so that nothing is trained on them
    unserved_first: Sequence[str] = ()  # the first of them: line and reason
    repairs: Sequence[str] = ()  # what was not taken from the file as it is: how many, what, the first lines


@dataclass(frozen=True, kw_only=True)
class DataRead(Result):
    """Labelled text in one form for all formats; no split if there is no data."""

    splits: Mapping[str, SplitFigures] = field(default_factory=dict)  # train, dev

    def rows(self, split: str) -> int:
        """Number of rows; 0 if there is no such split."""
        return self.splits[split].rows if split in self.splits else 0

    def to_json(self) -> JsonObject:
        """Split -> figures."""
        return {name: _changed(figures) for name, figures in self.splits.items()}

    @classmethod
    def from_json(cls, raw: Json) -> DataRead:
        """From what `to_json` writes."""
        return cls(splits={name: SplitFigures(**_known(SplitFigures, figures)) for name, figures in raw.items()})


@dataclass(frozen=True, kw_only=True)
class FineTuned(Result):
    """A checkpoint in `best` in the stage's folder; the other fields are set if it was trained."""

    trained: bool
    source: str = ""  # name of the checkpoint that it was taken or distilled from
    main: str = ""  # name of the main metric
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the best evaluation, on held-out training rows
    loss: float = 0.0  # at the best evaluation
    batch: int = 0  # at which it was
    batches: int = 0  # trained on in all
    seconds: int = 0  # of training
    weights: int = 0  # number of weights, of a variant that was distilled

    def to_json(self) -> JsonObject:
        """Metrics are beside the other fields, and `source` is called `from`."""
        raw = _changed(self)
        metrics, source = raw.pop("metrics", {}), raw.pop("source", "")
        return {**({"from": source} if source else {}), **metrics, **raw}

    @classmethod
    def from_json(cls, raw: Json) -> FineTuned:
        """From what `to_json` writes; keys that are no fields are metrics."""
        names = {f.name for f in fields(cls)} - {"metrics", "source"}
        metrics = {name: value for name, value in raw.items() if name not in names and name != "from"}
        values = {name: value for name, value in raw.items() if name in names}
        return cls(source=raw.get("from", ""), metrics=metrics, **values)


@dataclass(frozen=True, kw_only=True)
class Exported(Result):
    """A graph that an engine runs, with tokenizer.json beside it."""

    max_abs_error: float  # of any output of the FP32 graph, against Paddle's
    texts: int  # that were compared
    engine: str
    file: str
    bytes: int  # of all its files
    sha256: str
    settings: Mapping[str, str] = field(default_factory=dict)  # parameters of the engine
    weights: str = ""  # file beside the graph, where the format has two
    weights_sha256: str = ""
    made: Json = field(default_factory=dict)  # how a variant was made, as in its manifest


@dataclass(frozen=True, kw_only=True)
class TransferFigures:
    """The evaluation on the task's test set or on a transfer set, which were never trained on."""

    rows: int
    metrics: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)  # standard errors of the metrics
    in_train: int = 0  # rows whose texts are trained on too


@dataclass(frozen=True, kw_only=True)
class Evaluated(Result):
    """Metrics in percent on the dev rows, through the serving code; `rows` is 0 if there is no labelled text."""

    rows: int
    split: str  # dev, or sample for the small set that ships
    metrics: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)  # standard errors of the metrics
    loss: Loss | None = None  # of a variant: what it loses of the main metric against fp32, on the same rows
    main: str = ""  # name of the main metric
    shown: Sequence[str] = ()  # names of the metrics that the stage's line shows
    transfer: Mapping[str, TransferFigures] = field(default_factory=dict)  # by name of the set; test is the task's own
    in_train: int = 0  # rows whose texts are trained on too
    in_train_lines: Sequence[int] = ()  # where the first of them are
    wrong: int = 0  # rows with a wrong prediction
    wrong_file: str = ""  # has those rows, with the expected and the predicted answer
    classes_file: str = ""  # has precision, recall and F1 by class
    texts_per_second: int = 0

    @property
    def value(self) -> float:
        """The main metric, in points."""
        return self.metrics[self.main]

    @property
    def evaluation(self) -> Evaluation:
        """Of the dev rows, as a manifest has it."""
        return self.evaluations()[0]

    def evaluations(self, by: str = BY) -> list[Evaluation]:
        """As manifests and cards have them: of the dev rows, then of the transfer sets."""
        own = TransferFigures(rows=self.rows, metrics=self.metrics, errors=self.errors)
        return [
            Evaluation(split=name, rows=figures.rows, metrics=figures.metrics, by=by, errors=figures.errors)
            for name, figures in {self.split: own, **self.transfer}.items()
        ]

    @classmethod
    def from_json(cls, raw: Json) -> Evaluated:
        """From what `to_json` writes."""
        transfer = {name: TransferFigures(**figures) for name, figures in raw.get("transfer", {}).items()}
        loss = Loss(**raw["loss"]) if raw.get("loss") else None
        return cls(**{**_known(cls, raw), "transfer": transfer, "loss": loss})


@dataclass(frozen=True, kw_only=True)
class Measured(Result):
    """Speed and memory of the variants, measured side by side by `compression.measure`."""

    variants: Mapping[str, Json]
    machine: Json
    rounds: int
    texts: int

    def speed(self, variant: str) -> JsonObject:
        """As the variant's `speed` in the manifest."""
        return {**self.variants[variant], "machine": self.machine, "rounds": self.rounds, "texts": self.texts}


@dataclass(frozen=True, kw_only=True)
class Published(Result):
    """A version of every model of the task."""

    task: str
    version: int
    models: Sequence[str]
    output: str  # the repository
    recommended: str
    refused: Sequence[str]  # a line for each variant that the gate refused


def _changed(value: Any) -> JsonObject:
    """The fields that have no default, or are not at it."""
    raw = asdict(value)
    return {f.name: raw[f.name] for f in fields(value) if f.default is MISSING or raw[f.name] != f.default}


def _known(cls: type, raw: Json) -> JsonObject:
    names: Iterable[str] = {f.name for f in fields(cls)}
    return {name: value for name, value in raw.items() if name in names}
