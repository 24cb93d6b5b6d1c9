"""The texts that a task is measured with: real ones at their real lengths, in the order of their file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ernie_builders.config.tasks import TaskConfig
from ernie_builders.stages.data import read_file
from ernie_builders.stages.locate import data_folder
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

from ..errors import PerfError
from .description import TextsDescription

Item = tuple[str, ...]
"""What one answer is asked of: a text for each input of the task's kind."""


@dataclass(frozen=True, kw_only=True)
class TaskTexts:
    """What is sent to a task, and the encoder's windows of all of it."""

    items: tuple[Item, ...]
    windows: tuple[Window, ...]
    source: str  # file name, or what the texts are
    skipped: int = 0  # items of the source that the task cannot answer

    def describe(self) -> TextsDescription:
        """How many texts, of which lengths in tokens, and a hash that identifies them."""
        window_lengths = np.array([len(window.input_ids) for window in self.windows])
        lengths = np.zeros(len(self.items), np.int64)
        np.add.at(lengths, [window.owner for window in self.windows], window_lengths)
        return TextsDescription(
            source=self.source,
            texts=len(self.items),
            skipped=self.skipped,
            windows=len(self.windows),
            tokens_mean=round(float(lengths.mean()), 1),
            tokens_max=int(lengths.max()),
            tokens_p50=int(np.percentile(lengths, 50)),
            tokens_p99=int(np.percentile(lengths, 99)),
            sha256=hashlib.sha256(json.dumps(self.items).encode()).hexdigest(),
        )


def find_texts(
    manifest: Manifest, config: TaskConfig | None, file: Path | None, data_dir: Path | None, cache: Path
) -> tuple[list[Item], str]:
    """Items and their source: `file`; else the dev set in the task's folder of `data_dir`; else the sample that ships;
    else the manifest's examples.

    config: the task's entry in the tasks file, which says how its files are read; None where it has none.
    Errors: PerfError where `file` is given without `config`; DataError for malformed files.
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


def tokenize_texts(pipeline: Pipeline, items: list[Item], source: str, limit: int) -> TaskTexts:
    """The first `limit` items without those that the task cannot answer. Errors: PerfError where none is left."""
    documents, _ = pipeline.kind.documents(items[:limit], pipeline.tokenizer, pipeline.manifest)
    answerable = [item for item, document in zip(items, documents, strict=False) if document.error is None]
    if not answerable:
        raise PerfError(f"task {pipeline.manifest.task}: no text to measure with; give --texts or --data-dir")
    _, windows = pipeline.kind.documents(answerable, pipeline.tokenizer, pipeline.manifest)
    return TaskTexts(
        items=tuple(answerable),
        windows=tuple(windows),
        source=source,
        skipped=len(documents) - len(answerable),
    )
