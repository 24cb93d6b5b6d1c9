"""The answer of `sniff`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths of whole texts, in characters; where an item has several texts, of all of them together."""

    median: int
    p99: int
    longest: int


@dataclass(frozen=True, kw_only=True)
class SniffedFile:
    """One file of a data set."""

    path: Path
    rows: int
    repairs: tuple[str, ...] = ()  # a line for each kind of repair or omission


@dataclass(frozen=True, kw_only=True)
class Sniffed:
    """What `sniff` found; enough to write the table of a task."""

    container: str  # for a person: "CSV (;, GB18030)", "JSON lines", "a datasets folder", ...
    format: str  # [tasks.NAME.data] format
    fields: Mapping[str, str]  # [tasks.NAME.data] fields
    kind: str  # the likely kind of task
    reasons: tuple[str, ...]  # why these columns and this kind, a line each
    files: Mapping[str, SniffedFile]  # by split: "train", and "dev" and "test" where there are such files
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label as in the data -> rows that have it, in the order for the task: classes, intents, or entity types."""
    names: Mapping[str, str] = field(default_factory=dict)  # label -> readable name, where the data has one
    tags: tuple[str, ...] = ()  # token classification: the labels of the task, O first
    slots: Mapping[str, int] = field(default_factory=dict)  # intent and slots: slot type -> how often
    max_score: float = 0.0  # similarity: the highest score
    label_file: Path | None = None  # label.txt and the like beside the data, which `labels` follow
    lengths: Lengths | None = None
    examples: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    """Label -> up to two items (a text per input); "" for kinds without labels."""
    other_columns: tuple[str, ...] = ()  # columns that were not taken
