"""The texts that a task is measured with: real ones at their real lengths, in the order of their file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ernie_builders.config.tasks import TaskConfig
from ernie_builders.stages.data import read_file
from ernie_builders.stages.locate import data_folder
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

from ..errors import PerfError


@dataclass(frozen=True)
class Texts:
    """What is sent, one element an input of the kind, and the same as the encoder's windows (all of a text's)."""

    items: tuple[tuple[str, ...], ...]
    windows: tuple[Window, ...]
    source: str
    skipped: int = 0  # texts of the file that the task cannot answer

    def describe(self) -> dict[str, Any]:
        """For run.json: how many, of what lengths in tokens, and which, told by a hash."""
        lengths = np.array([len(window.input_ids) for window in self.windows])
        text = np.zeros(len(self.items), np.int64)
        np.add.at(text, [window.owner for window in self.windows], lengths)
        return {
            "source": self.source,
            "texts": len(self.items),
            "skipped": self.skipped,
            "windows": len(self.windows),
            "tokens_mean": round(float(text.mean()), 1),
            "tokens_max": int(text.max()),
            "tokens_p50": int(np.percentile(text, 50)),
            "tokens_p99": int(np.percentile(text, 99)),
            "sha256": hashlib.sha256(json.dumps(self.items).encode()).hexdigest(),
        }


def find_texts(
    manifest: Manifest, config: TaskConfig | None, file: Path | None, data_dir: Path | None, cache: Path
) -> tuple[list[tuple[str, ...]], str]:
    """(items, where they are from): `file`, else the task's dev set under --data-dir, else the sample that ships,
    else the examples of the manifest.

    config: the task's entry in the tasks file, which says how its files are read; None where it has none.
    Errors: PerfError where `file` is given and nothing says how to read it; DataError for what is wrong in a file.
    """
    if file is not None and config is None:
        raise PerfError(f"--texts {manifest.task}={file}: the tasks file has no task {manifest.task}; --tasks-file")
    if config is not None:
        if file is None:
            folder, _ = data_folder(config.data, data_dir, "demo", cache)
            name = config.data.dev or config.data.train
            file = folder / name if folder is not None and (folder / name).is_file() else None
        if file is not None:
            return [example.texts for example in read_file(file, "dev", config.data, manifest)], file.name
    return list(manifest.examples), "examples of the manifest"


def cut_texts(pipeline: Pipeline, items: list[tuple[str, ...]], source: str, limit: int) -> Texts:
    """The first `limit` texts that the task can answer, tokenized. Errors: PerfError where there are none."""
    documents, _ = pipeline.kind.documents(items[:limit], pipeline.tokenizer, pipeline.manifest)
    good = [item for item, document in zip(items, documents, strict=False) if document.error is None]
    if not good:
        raise PerfError(f"task {pipeline.manifest.task}: no text to measure with; give --texts or --data-dir")
    _, windows = pipeline.kind.documents(good, pipeline.tokenizer, pipeline.manifest)
    return Texts(tuple(good), tuple(windows), source, len(documents) - len(good))
