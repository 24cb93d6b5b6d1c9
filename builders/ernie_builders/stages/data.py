"""Read and check the labelled text, and write it in one form for the later stages."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenizer import Tokenizer

from ..config.tasks import DataConfig, TaskConfig
from ..config.variants import parse_variant
from ..console import bar, say
from ..errors import ConfigError, DataError
from ..filesystem import hash_of, key_of
from ..kinds import get_builder_kind
from ..readers import Example, get_reader
from ..readers.files.folder import parts_of
from ..readers.files.holdout import SHARE, hold_out, smallest_group
from ..readers.files.report import Report
from .context import Context
from .draft import draft_manifest, tokenizer_for
from .results import DataRead, SplitFigures
from .seen import seen_data
from .stage import Finished, Output, Stage

FORMAT = 1  # raise it when the same files are read in another way
MAX_FAULTS = 5  # different ones that are listed of a file
FORMATS = {  # the same for one format
    # 2: quotes around cells, answers that are not in their place, spelling of tags.
    **dict.fromkeys(("bio_columns", "hierarchy_tsv", "labelled_tsv", "pair_scores", "squad_json"), 2),
}


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The files' bytes, how they are read, the labels, the vocabulary."""
    data = context.task.data
    files = {split: _hash_of(path) for split, path in _files(context).items()}
    return {
        "files": files,
        "format": data.format,
        "fields": dict(data.fields),
        "labels": [label.id for label in context.task.labels],
        **({"options": context.task.options} if context.task.options else {}),
        "kind": context.task.kind,
        "limits": vars(context.task.limits),
        "vocabulary": tokenizer_for(context.task, context.source.tokenizer).fingerprint,
        "reading": FORMATS.get(data.format, FORMAT),
        **({"held_out": context.seed} if holds_out(context.task, context.ready) else {}),
    }


def run(context: Context, finished: Finished, folder: Path) -> DataRead:
    """Write train.jsonl and dev.jsonl; rows, token lengths and the unknown-word rate."""
    tokenizer = tokenizer_for(context.task, context.source.tokenizer)
    kind, manifest = get_kind(context.task.kind), draft_manifest(context.task, tokenizer)
    check_examples(manifest, tokenizer)
    splits: dict[str, SplitFigures] = {}
    held_out: list[Example] = []
    groups: set[str] = set()  # of the training rows
    for split, path in _files(context).items():
        report = Report()
        if split == "dev" and held_out:
            examples = held_out
        else:
            examples = read_file(path, split, context.task.data, manifest, report)
        if split == "train" and holds_out(context.task, context.ready):
            examples, held_out = dev_rows(examples, path, context.seed)
            rows = len(examples) + len(held_out)
            whole = context.task.data.fields.get("group")
            shown = f", whole groups by {whole!r}" if whole else ""
            say(f"  no dev file: {len(held_out):,} of {rows:,} rows are held out to evaluate on{shown}")
        groups |= {example.group for example in examples if split == "train"} - {""}
        shared = [example.line for example in examples if split == "dev" and example.group in groups]
        for line in shared:
            report.add("rows of groups that are trained on too", line)
        if shared:
            say(f"{path}: {len(shared):,} dev rows are of groups that are trained on too", sys.stderr)
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as out:
            for e in examples:
                row = [e.texts, e.target, e.line, *([e.group] if e.group else [])]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        items = [e.texts for e in examples]
        chunks = [kind.documents(items[i : i + 1000], tokenizer, manifest) for i in range(0, len(items), 1000)]
        documents = [document for chunk, _ in chunks for document in chunk]
        unserved = [f"line {e.line}: {d.error}" for e, d in zip(examples, documents, strict=True) if d.error]
        if len(unserved) == len(examples):
            raise DataError(f"{path}: no row can be served; {unserved[0]}")
        ids = np.concatenate([window.input_ids for _, windows in chunks for window in windows])
        lengths = np.array([document.tokens for document in documents])
        several = float(np.mean([document.windows > 1 or document.truncated for document in documents]))
        splits[split] = SplitFigures(
            rows=len(examples),
            tokens_median=int(np.median(lengths)),
            tokens_p99=int(np.percentile(lengths, 99)),
            tokens_max=int(lengths.max()),
            over_one_window_percent=round(100 * several, 2),
            unknown_percent=round(100 * float(np.mean(ids == tokenizer.unk_id)), 3),
            unserved=len(unserved),
            unserved_first=unserved[:3],
            repairs=list(report),
        )
    return DataRead(splits=splits)


def _hash_of(path: Path) -> str:
    """Of a file or folder, and of a file whose shards lie beside it, of all."""
    parts = parts_of(path)
    return hash_of(path) if len(parts) == 1 or path.is_dir() else key_of([hash_of(part) for part in parts])


def check_examples(manifest: Manifest, tokenizer: Tokenizer) -> None:
    """ConfigError for examples of the task that no server would answer."""
    documents = get_kind(manifest.kind).documents(manifest.examples, tokenizer, manifest)[0]
    for example, document in zip(manifest.examples, documents, strict=True):
        if document.error is not None:
            raise ConfigError(f"tasks.{manifest.task}.examples: {example!r}: {document.error}")


def holds_out(task: TaskConfig, ready: bool) -> bool:
    """Whether dev rows are held out of the training file: there is no dev file, and the reader does not split it."""
    trains = not ready and get_builder_kind(task.kind).trains
    return trains and not task.data.dev and not task.data.splits_itself


def dev_rows(examples: list[Example], path: Path, seed: int) -> tuple[list[Example], list[Example]]:
    """(training rows, dev rows): a tenth, stratified; DataError where there are too few rows."""
    train, held_out = hold_out(examples, len(examples) // SHARE, seed, fewest=1)
    smallest = smallest_group(examples)
    if not held_out and smallest > len(examples) // SHARE > 0:
        raise DataError(
            f"{path}: nothing can be held out to evaluate on: a tenth are {len(examples) // SHARE:,} rows, and the "
            f"smallest group of rows that stay together has {smallest:,}: give a dev file ([tasks.NAME.data] dev)"
        )
    if not held_out:
        raise DataError(
            f"{path}: {len(examples)} rows are too few to hold out a tenth to evaluate on: give more, or a dev file "
            "([tasks.NAME.data] dev)"
        )
    return train, held_out


def line(result: DataRead) -> str:
    """Rows and lengths, and the rows that are left out because no server would answer them."""
    if not result.splits:
        return "no data at hand"
    return "; ".join(
        f"{split} {figures.rows:,} rows, {figures.tokens_median} tokens at the median, {figures.tokens_p99} at p99, "
        f"{figures.unknown_percent}% unknown{_unserved(figures)}"
        for split, figures in result.splits.items()
    )


def _unserved(figures: SplitFigures) -> str:
    if not figures.unserved:
        return ""
    more = ", ..." if figures.unserved > len(figures.unserved_first) else ""
    return f", {figures.unserved:,} that cannot be served ({', '.join(figures.unserved_first)}{more})"


def reads_train_text(task: TaskConfig) -> bool:
    """Whether something is made of training text, though the weights are not trained."""
    return any(parse_variant(name).needs_text for name in task.variants) or get_builder_kind(task.kind).derives_weights(
        task.options
    )


STAGE = Stage(name="data", result_type=DataRead, inputs=inputs, run=run, line=line)


def read_split(data: Output[DataRead], split: str) -> list[Example]:
    """The examples of a finished data stage; an empty list where it has no such split."""
    path = data.folder / f"{split}.jsonl"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as rows:
        return [Example(tuple(texts), *others) for texts, *others in map(json.loads, rows)]


def training_text(context: Context, finished: Finished) -> list[Example]:
    """The task's training rows, which making a variant needs; DataError where there are none."""
    train = read_split(finished.data, "train")
    if not train:
        raise DataError(
            f"task {context.task.name}, variant {context.recipe.name}: no training text; give --data-dir with its "
            f"{context.task.data.folder}/ folder"
        )
    return train


def _files(context: Context) -> dict[str, Path]:
    """Split -> file. A checkpoint that is not trained needs training text for variants only, if it has any."""
    data, trains = context.task.data, not context.ready and get_builder_kind(context.task.kind).trains
    if context.data_folder is None or not (trains or data.train or data.dev):
        return {}
    files = {"dev": context.data_folder / (data.dev or data.train)}  # without a dev file: see `holds_out`
    if trains:
        if not data.train:
            raise DataError(
                f"task {context.task.name} has no training text ([tasks.{context.task.name}.data] train): "
                f"publish a fine-tuned checkpoint with --checkpoint {context.task.name}=DIR"
            )
        files = {"train": context.data_folder / data.train, **files}
    elif data.train and reads_train_text(context.task):
        train = context.data_folder / data.train
        files = {"train": train, **files} if train.exists() else files
    missing = [str(path) for path in dict.fromkeys(files.values()) if not path.exists()]
    if missing:
        raise DataError(f"{', '.join(missing)}: no such file; [tasks.{context.task.name}.data] names it")
    return files


def read_file(
    path: Path,
    split: str,
    data: DataConfig,
    manifest: Manifest,
    report: Report | None = None,
    by_name: bool = False,
) -> list[Example]:
    """The examples of one file, read as `data` says and checked; split: "train" or "dev", for readers that split.

    What the reader did not take as it is goes to standard error, and to `report`. by_name: a label may also be given
    by the name that it has in answers.
    """
    report = report or Report()
    if not data.format:
        how = f"[tasks.{manifest.task}.data] format and fields"
        container, data = seen_data(path, data, manifest, how)
        columns = ", ".join(f"{name} = {column}" for name, column in data.fields.items())
        report.add(f"read as {container}" + (f" ({columns})" if columns else ""))
    ids = {label.name: label.id for label in manifest.labels} if by_name else {}
    ids |= {label.id: label.id for label in manifest.labels} if by_name else {}
    read = get_reader(data.format)
    kind, inputs_expected = get_builder_kind(manifest.kind), len(get_kind(manifest.kind).inputs)
    examples: list[Example] = []
    faults: dict[str, int] = {}  # and the first line that has it
    faulty = 0  # rows
    with bar(0, path.name, "row") as shown:
        for example in read(path, data.fields, split, report):
            if len(example.texts) != inputs_expected:
                raise DataError(
                    f"{path}:{example.line}: {len(example.texts)} texts, the kind {manifest.kind} takes "
                    f"{inputs_expected}"
                )
            if by_name:
                example = replace(example, target=_with_ids(example.target, ids))
            fault = kind.check(example, manifest)
            if fault is not None:
                faults.setdefault(fault, example.line)
                faulty += 1
            examples.append(example)
            shown.update()
    if faults:
        (first, line), *others = faults.items()
        more = [f"line {number}: {fault}" for fault, number in others[: MAX_FAULTS - 1]]
        count = f" ({faulty:,} rows are faulty)" if faulty > len(more) + 1 else ""
        raise DataError(f"{path}:{line}: {'; '.join([first, *more])}{count}")
    for repair in report:
        say(f"{path}: {repair}", sys.stderr)
    if not examples:
        raise DataError(f"{path}: no rows")
    return examples


def _with_ids(target: Any, ids: Mapping[str, str]) -> Any:
    """The target with labels by their ids: a label, a list of labels, or an intent with slots."""
    if isinstance(target, str):
        return ids.get(target, target)
    if isinstance(target, list):
        return [ids.get(label, label) if isinstance(label, str) else label for label in target]
    if isinstance(target, dict) and "intent" in target:
        return {**target, "intent": ids.get(target["intent"], target["intent"])}
    return target
