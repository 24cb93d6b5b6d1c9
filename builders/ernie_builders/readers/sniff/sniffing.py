"""Look at a file or folder of labelled text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ernie_runtime.kinds.hierarchical_classification import parents_of
from ernie_runtime.text.bio import parse_tag

from ...errors import DataError
from .. import Example, get_reader, has_columns
from ..files.folder import parts_of
from ..files.lines import lines
from ..files.report import Report
from ..files.table import open_table
from ..files.tags import SEPARATOR
from .folder import data_set, label_lines
from .guess import Guess, guess
from .sniffed import Lengths, Sniffed, SniffedFile

EXAMPLES = 2  # for each label


def sniff(path: Path, group: str = "") -> Sniffed:
    """What a file or folder is; DataError (what, where, what to do) where no reader can read it.

    Every row is read as a build would read it, so a fault in the data is a DataError here too. group: a column whose
    rows belong together, see `Example.group`.
    """
    files = data_set(path)
    train = files.files["train"]
    named = label_lines(files.label_file) if files.label_file else []
    found = guess(train, [label for label, _ in named])
    if group:
        found = _grouped(found, group, train)
    sniffed, examples = {}, dict[str, list[Example]]()
    for split, file in files.files.items():
        report = Report()
        try:
            examples[split] = list(get_reader(found.format)(file, found.fields, split, report))
        except DataError:
            if split != "test":  # often without labels
                raise
            continue
        sniffed[split] = SniffedFile(path=file, rows=len(examples[split]), repairs=tuple(report))
    if not examples["train"]:
        raise DataError(f"{train}: no rows")
    counts = Counter(label for rows in examples.values() for row in rows for label in labels_of(row, found.kind))
    labels, names, label_file = _ordered(counts, named, found, train)
    slots = Counter(
        slot for row in examples["train"] if found.kind == "intent_slots" for _, _, slot, _ in row.target["slots"]
    )
    return Sniffed(
        container=found.container,
        format=found.format,
        fields=found.fields,
        kind=found.kind,
        reasons=found.reasons,
        files=sniffed,
        labels=labels,
        names=names,
        tags=_tags(labels, _roles(found, train)) if found.kind == "token_classification" else (),
        slots=dict(sorted(slots.items())),
        max_score=max((row.target for rows in examples.values() for row in rows), default=0.0)
        if found.kind == "similarity"
        else 0.0,
        label_file=files.label_file if label_file else None,
        lengths=_lengths(examples["train"]),
        examples=_examples(examples["train"], found.kind, labels),
        other_columns=found.other_columns,
    )


def _grouped(found: Guess, group: str, train: Path) -> Guess:
    if not has_columns(found.format):
        raise DataError(f"{train}: {found.container} has no columns to group rows by")
    if group not in found.other_columns:
        used = "is a text or the label" if group in found.fields.values() else "is not there"
        others = ", ".join(found.other_columns) or "none"
        raise DataError(f"{train}: the column {group!r} to group rows by {used}; others are {others}")
    unused = tuple(column for column in found.other_columns if column != group)
    return replace(found, fields={**found.fields, "group": group}, other_columns=unused)


def labels_of(row: Example, kind: str) -> list[str]:
    """The classes of an example, each once: labels with their parents, types of entities, the intent."""
    target = row.target
    if kind in ("sequence_classification", "pair_classification"):
        return [target]
    if kind == "hierarchical_classification":
        return sorted({name for label in target for name in (*parents_of(label), label)})
    if kind == "token_classification":
        return sorted({kind for _, _, kind in target})
    return [target["intent"]] if kind == "intent_slots" else []


def _ordered(
    counts: Mapping[str, int], named: Sequence[tuple[str, str]], found: Guess, train: Path
) -> tuple[dict[str, int], dict[str, str], bool]:
    """(rows by label in the order for the task, readable names, whether the label file gave the order)."""
    numbers = all(label.isdecimal() for label in counts)
    ordered = sorted(counts, key=lambda label: (int(label), "") if numbers else (0, label))
    listed = [label for label, _ in named]
    if counts and set(counts) <= {*listed, *(parent for label in listed for parent in parents_of(label))}:
        with_parents = dict.fromkeys(part for label in listed for part in (*parents_of(label), label))
        return {label: counts.get(label, 0) for label in with_parents}, {k: v for k, v in named if v}, True
    if named and numbers and counts and max(map(int, counts)) < len(named):  # names in the order of the numbers
        return {str(i): counts.get(str(i), 0) for i in range(len(named))}, dict(
            (str(i), label) for i, label in enumerate(listed)
        ), True  # fmt: skip
    if found.class_names and numbers:
        all_labels = [str(i) for i in range(len(found.class_names))]
        return {i: counts.get(i, 0) for i in all_labels}, dict(zip(all_labels, found.class_names, strict=True)), False
    names = _readable(found, train) if found.name_column else {}
    return {label: counts[label] for label in ordered}, names, False


def _readable(found: Guess, train: Path) -> dict[str, str]:
    """Label -> name, where a column names each label in one way and no two labels alike."""
    names: dict[str, set[str]] = {}
    for _, row in (row for part in parts_of(train) for row in open_table(part, Report()).rows):
        name = row.get(found.name_column)
        if isinstance(name, str):
            names.setdefault(str(row.get(found.fields["label"])), set()).add(name)
    one = {label: next(iter(values)) for label, values in names.items() if len(values) == 1}
    return one if len(one) == len(names) == len(set(one.values())) else {}


def _roles(found: Guess, train: Path) -> set[str]:
    """The roles of the tags in a file of tags, for a task with the same scheme."""
    tags: set[str] = set()
    if found.format == "bio_columns":
        for _, line in (line for part in parts_of(train) for line in lines(part, Report())):
            tags.add(line.replace(SEPARATOR, "\t").replace(" ", "\t").rstrip().rpartition("\t")[2])
    tags = {tag for tag in tags if tag and tag[0] in "BIESMLU" and tag[1:2] in ("-", "_")}
    return {parse_tag(tag)[0] for tag in tags}


def _tags(types: Iterable[str], roles: set[str]) -> tuple[str, ...]:
    """O, and the tags of each type: BIO, or BIOES where the file has it."""
    prefixes = "BIES" if roles & {"E", "S"} else "BI"
    return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in prefixes))


def _lengths(examples: Sequence[Example]) -> Lengths:
    lengths = np.array([sum(map(len, example.texts)) for example in examples])
    p99 = int(np.percentile(lengths, 99))
    return Lengths(median=int(np.median(lengths)), p99=p99, longest=int(lengths.max()))


def _examples(
    examples: Sequence[Example], kind: str, labels: Mapping[str, int]
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Two items for each label, or for "" where the kind has none."""
    found: dict[str, list[tuple[str, ...]]] = {label: [] for label in labels} or {"": []}
    for example in examples:
        for label in labels_of(example, kind) or [""]:
            items = found.get(label)
            is_new = items is not None and len(items) < EXAMPLES and example.texts not in items
            if items is not None and is_new and all(text.strip() for text in example.texts):
                items.append(example.texts)
    return {label: tuple(items) for label, items in found.items() if items or label}
