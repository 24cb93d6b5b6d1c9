"""run.json: what was measured, with which settings, on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from ernie_runtime.json_types import Json, JsonObject

from ..machine import Machine
from .settings import SweepSettings

SCHEMA = 1


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=_Dataclass)


def from_fields(cls: type[T], document: Json, **changes: Any) -> T:
    """A flat dataclass of a JSON object; keys that it has no field for are ignored.

    Errors: TypeError for a field that is missing.
    """
    names = {f.name for f in fields(cls)}
    return cls(**{**{name: value for name, value in document.items() if name in names}, **changes})


@dataclass(frozen=True, kw_only=True)
class TextsDescription:
    """The texts that were sent; tokens are those of a text, all of its windows together."""

    source: str
    texts: int
    skipped: int = 0  # of the source, that the task cannot answer
    windows: int
    tokens_mean: float
    tokens_max: int
    tokens_p50: int
    tokens_p99: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class VariantDescription:
    """A measured variant."""

    engine: str
    precision: str
    bytes: int  # of the encoder's files
    sha256: str = ""
    figure: float | None  # the task's metric on its own rows (Manifest.compared)
    drop: float | None  # points lost against fp32
    ratio: float | None = None  # the encoder's speed-up at its best batch size, as the build measured it


@dataclass(frozen=True, kw_only=True)
class TaskDescription:
    """A measured task."""

    kind: str
    title: str
    version: int
    metric: str
    recommended: str  # variant
    max_length: int  # tokens in a window
    texts: TextsDescription
    variants: Mapping[str, VariantDescription]

    @classmethod
    def from_json(cls, document: Json) -> TaskDescription:
        """As run.json has it."""
        variants = {name: from_fields(VariantDescription, variant) for name, variant in document["variants"].items()}
        return from_fields(cls, document, texts=from_fields(TextsDescription, document["texts"]), variants=variants)


@dataclass(frozen=True, kw_only=True)
class CheckedAnswers:
    """How a variant's answers are checked."""

    texts_checked: int
    tolerance: float  # of a score
    may_differ: float  # share of the answers that may be wrong
    in_perf_analyzer: Sequence[str]  # outputs that perf_analyzer compares


@dataclass(frozen=True, kw_only=True)
class ServerDescription:
    """What the server says of itself."""

    name: str = ""
    version: str
    extensions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """All of run.json."""

    settings: SweepSettings
    tasks: Mapping[str, TaskDescription]
    machine: Machine
    versions: Mapping[str, str]
    server: ServerDescription | None = None  # None: only the bare encoder was measured
    checked: Mapping[str, CheckedAnswers] = field(default_factory=dict)  # by ensemble
    computed_in: Mapping[str, str] = field(default_factory=dict)  # by ensemble: the server's precision, if not its own

    def to_json(self) -> JsonObject:
        """Keys in a fixed order, parts that are not known left out."""
        document: JsonObject = {"schema": SCHEMA, "settings": self.settings.to_json()}
        document["tasks"] = {name: asdict(task) for name, task in self.tasks.items()}
        document |= {"machine": asdict(self.machine), "versions": dict(self.versions)}
        if self.server is not None:
            document["server"] = asdict(self.server)
        document["checked"] = {model: asdict(checked) for model, checked in self.checked.items()}
        if self.computed_in:
            document["computed_in"] = dict(self.computed_in)
        return document

    @classmethod
    def from_json(cls, document: Json) -> RunDescription:
        """As `to_json` wrote it. Errors: KeyError, TypeError or AttributeError where something is missing."""
        server = document.get("server")
        return cls(
            settings=SweepSettings.from_json(document["settings"]),
            tasks={name: TaskDescription.from_json(task) for name, task in document["tasks"].items()},
            machine=from_fields(Machine, document["machine"]),
            versions=document["versions"],
            server=from_fields(ServerDescription, server) if server is not None else None,
            checked={m: from_fields(CheckedAnswers, c) for m, c in document.get("checked", {}).items()},
            computed_in=document.get("computed_in", {}),
        )
