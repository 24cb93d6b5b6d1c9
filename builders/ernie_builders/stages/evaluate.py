"""Evaluate the exported model through the serving code: tokenizer, windows, engine, decoding."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..config.tasks import TEST, DataConfig
from ..config.variants import FULL
from ..console import bar
from ..errors import DataError
from ..filesystem import hash_of
from ..kinds import get_builder_kind
from ..metrics.class_report import write_classes
from ..metrics.row_metric import Loss, RowMetric, loss, with_error
from ..metrics.wrong_rows import WRONG, WrongRow, write_wrong
from . import code
from .context import Context
from .data import read_file, read_split
from .draft import changed_fields, manifest_of
from .export import engine_of
from .results import Evaluated, TransferFigures
from .stage import Finished, Stage

CLASSES = "classes.tsv"
SHOWN_LINES = 3
ROWS = "rows.npy"  # what the main metric is computed from, by which variants are compared


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The exported model, the dev texts and how they are cut into windows."""
    return {
        "export": finished.exported.key,
        "data": finished.data.key,
        "split": context.data_split,
        "labels": [vars(label) for label in context.task.labels],
        "limits": vars(context.task.limits),
        "options": context.task.options,
        "transfer": {
            name: {"file": hash_of(path), "data": changed_fields(data)}
            for name, (path, data) in _further_sets(context).items()
        },
        **({"baseline": finished.evaluated.key} if context.recipe != FULL else {}),
    }


def run(context: Context, finished: Finished, folder: Path) -> Evaluated:
    """Write wrong.jsonl and bad_case.txt (texts with the expected and the predicted answer), and classes.tsv."""
    examples = read_split(finished.data, "dev")
    if not examples:
        return Evaluated(rows=0, split=context.data_split, metrics={})
    exported = finished.exported.folder
    tokenizer = load_tokenizer(exported / "tokenizer.json")
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    kind = get_builder_kind(context.task.kind)
    pipeline = Pipeline(manifest, tokenizer, engine_of(finished.exported))
    started = time.monotonic()
    with bar(len(examples), "evaluate") as shown:
        answers = pipeline.predict([e.texts for e in examples], progress=shown.update)
    seconds = time.monotonic() - started
    transfer = {}
    train = {example.texts for example in read_split(finished.data, "train")}
    for name, (path, data) in _further_sets(context).items():
        transfer_examples = read_file(path, "dev", data, manifest)
        with bar(len(transfer_examples), name) as shown:
            transfer_answers = pipeline.predict([e.texts for e in transfer_examples], progress=shown.update)
        metrics = kind.row_metrics(transfer_examples, transfer_answers, manifest)
        transfer[name] = TransferFigures(
            rows=len(transfer_examples),
            metrics=_values(metrics),
            errors=_errors(metrics),
            in_train=sum(example.texts in train for example in transfer_examples),
        )
    rows = ((e, kind.wrong(e, answer, manifest)) for e, answer in zip(examples, answers, strict=True))
    wrong = [WrongRow(line=e.line, texts=e.texts, about=about) for e, about in rows if about is not None]
    write_wrong(folder, wrong)
    classes = kind.class_report(examples, answers, manifest)
    if classes:
        write_classes(folder / CLASSES, classes, len(examples))
    metrics = kind.row_metrics(examples, answers, manifest)
    main = metrics[kind.main_metric]
    np.save(folder / ROWS, main.rows)
    seen = [example.line for example in examples if example.texts in train]
    home = folder.with_name(folder.name.removesuffix(".partial"))
    return Evaluated(
        rows=len(examples),
        split=context.data_split,
        main=kind.main_metric,
        shown=[kind.main_metric, *kind.headline],
        metrics=_values(metrics),
        errors=_errors(metrics),
        loss=_loss(finished, main) if context.recipe != FULL else None,
        transfer=transfer,
        in_train=len(seen),
        in_train_lines=seen[:SHOWN_LINES],
        wrong=len(wrong),
        wrong_file=str(home / WRONG),
        classes_file=str(home / CLASSES) if classes else "",
        texts_per_second=round(len(examples) / max(seconds, 1e-9)),
    )


def line(result: Evaluated) -> str:
    """The main metrics, and where the wrong predictions are."""
    if not result.rows:
        return "no labelled text at hand, not evaluated"
    shown = ", ".join(
        f"{name} {with_error(value, result.errors.get(name))}"
        for name, value in result.metrics.items()
        if "_" not in name or name in result.shown
    )
    shown += f" on {result.rows:,} rows"
    if result.in_train:
        lines = ", ".join(map(str, result.in_train_lines)) + (", ..." if result.in_train > SHOWN_LINES else "")
        shown += f", {result.in_train:,} of which are training rows too (lines {lines})"
    shown += "".join(
        f"; {name} {result.main} {with_error(figures.metrics[result.main], figures.errors.get(result.main))}"
        f" on {figures.rows:,} rows" + (f", {figures.in_train:,} of them training rows" if figures.in_train else "")
        for name, figures in result.transfer.items()
        if result.main in figures.metrics
    )
    return f"{result.split} {shown}, through the serving code; {result.wrong:,} wrong in {result.wrong_file}" + (
        f"; class by class in {result.classes_file}" if result.classes_file else ""
    )


STAGE = Stage(name="evaluate", result_type=Evaluated, inputs=inputs, run=run, line=line, uses=code.MODEL)


def _values(metrics: Mapping[str, RowMetric]) -> dict[str, float]:
    return {name: metric.value for name, metric in metrics.items()}


def _errors(metrics: Mapping[str, RowMetric]) -> dict[str, float]:
    return {name: metric.standard_error for name, metric in metrics.items()}


def _loss(finished: Finished, variant: RowMetric) -> Loss:
    """Of a variant against fp32: until the variant is evaluated, the task's evaluation is the finished one."""
    return loss(replace(variant, rows=np.load(finished.evaluated.folder / ROWS)), variant)


def _further_sets(context: Context) -> dict[str, tuple[Path, DataConfig]]:
    """The task's test set, then the transfer sets that are at hand; DataError where the test set is not."""
    data, sets = context.task.data, dict[str, tuple[Path, DataConfig]]()
    if data.test_set and context.data_folder and context.data_split == "dev":
        path = context.data_folder / data.test
        if not path.exists():
            raise DataError(f"{path}: no such file; [tasks.{context.task.name}.data] test names it")
        sets[TEST] = (path, data.test_set)
    for name, folder in context.transfer_folders.items():
        if (path := folder / context.task.transfer[name].dev).is_file():
            sets[name] = (path, context.task.transfer[name])
    return sets
