"""Evaluate the exported model through the serving code: tokenize, window, engine, decode."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.pipeline import Pipeline
from ernie_runtime.tokenization import ErnieTokenizer

from ..draft import draft_manifest
from ..kinds import get_builder_kind
from ..progress import bar
from . import Context, Done, code_key
from .data import read_split
from .export import MODEL

NAME = "evaluate"
WRONG = "wrong.jsonl"


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """The exported model, the dev texts and the way they are cut."""
    return {
        "export": before["export"].key,
        "data": before["data"].key,
        "split": context.data_split,
        "labels": [vars(label) for label in context.task.labels],
        "limits": vars(context.task.limits),
        "code": code_key(),
    }


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Write wrong.jsonl (texts with what was expected and predicted); metrics, rows, texts a second."""
    examples = read_split(before["data"], "dev")
    if not examples:
        return {"rows": 0, "split": context.data_split, "metrics": {}}
    exported = before["export"].folder
    tokenizer = ErnieTokenizer.from_file(exported / "tokenizer.json")
    manifest, kind = draft_manifest(context.task, tokenizer), get_builder_kind(context.task.kind)
    pipeline = Pipeline(manifest, tokenizer, OrtEngine(exported / MODEL))
    started = time.monotonic()
    with bar(len(examples), "evaluate") as shown:
        answers = pipeline.predict([e.texts for e in examples], progress=shown.update)
    seconds = time.monotonic() - started
    wrong = 0
    with (folder / WRONG).open("w", encoding="utf-8") as out:
        for example, answer in zip(examples, answers, strict=True):
            row = kind.wrong(example, answer, manifest)
            if row is not None:
                wrong += 1
                out.write(json.dumps({"line": example.line, **row}, ensure_ascii=False) + "\n")
    return {
        "rows": len(examples),
        "split": context.data_split,
        "main": kind.main_metric,
        "metrics": kind.score(examples, answers, manifest),
        "wrong": wrong,
        "wrong_file": str(folder.with_name(folder.name.removesuffix(".partial")) / WRONG),
        "texts_per_second": round(len(examples) / max(seconds, 1e-9)),
    }


def line(figures: Mapping[str, Any]) -> str:
    """The main metrics, and where the wrong predictions are."""
    if not figures["rows"]:
        return "no labelled text at hand, not evaluated"
    shown = ", ".join(
        f"{name} {value:.2f}"
        for name, value in figures["metrics"].items()
        if "_" not in name or name == figures["main"]
    )
    return (
        f"{figures['split']} {shown} on {figures['rows']:,} rows through the serving code; "
        f"{figures['wrong']:,} wrong in {figures['wrong_file']}"
    )
