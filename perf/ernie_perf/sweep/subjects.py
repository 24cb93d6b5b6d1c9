"""What a sweep measures: tasks of a repository, their variants and their texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ernie_builders.config.tasks import TaskConfig, load_tasks
from ernie_runtime.manifest import Evaluation, Manifest, Variant
from ernie_runtime.names import tokenizer_task
from ernie_runtime.repository import task_manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..errors import PerfError
from .texts import Texts, cut_texts, find_texts


@dataclass(frozen=True)
class Subject:
    """A task with the variants that are measured and the texts that all of them get."""

    manifest: Manifest
    variants: tuple[Variant, ...]
    texts: Texts

    def describe(self) -> dict[str, Any]:
        """For run.json."""
        manifest, found = self.manifest, self.manifest.compared()
        return {
            "kind": manifest.kind,
            "title": manifest.title,
            "version": manifest.version,
            "metric": manifest.main_metric,
            "recommended": manifest.recommended,
            "max_length": manifest.limits.max_length,
            "texts": self.texts.describe(),
            "variants": {
                variant.name: _about(variant, manifest.main_metric, found.get(variant.name))
                for variant in self.variants
            },
        }


def _about(variant: Variant, metric: str, found: Evaluation | None) -> dict[str, Any]:
    """figure: of the task's metric on its own rows (Manifest.compared); drop: points lost against fp32; ratio: the
    encoder's speed-up, as the build measured it at the best batch size."""
    return {
        "engine": variant.engine,
        "precision": variant.made.get("precision", "fp32"),
        "bytes": variant.bytes,
        "sha256": variant.sha256,
        "figure": found.metrics[metric] if found else None,
        "drop": variant.gate.get("drop"),
        "ratio": variant.speed.get("best", {}).get("ratio"),
    }


def find_subjects(
    repository: Path,
    tasks: str,
    variants: str,
    tasks_file: Path,
    texts: Mapping[str, Path],
    data_dir: Path | None,
    limit: int,
) -> list[Subject]:
    """The tasks and variants asked for ("all", "recommended", or names joined by commas).

    Errors: PerfError for a name that the repository has not; ErnieError and BuildError from what is read.
    """
    published = task_names(repository)
    names = published if tasks == "all" else _names(tasks)
    for name in (*names, *texts):
        if name not in published:
            raise PerfError(f"{repository} has no task {name!r}; it has {', '.join(published) or 'none'}")
    known = load_tasks(tasks_file)
    subjects = []
    for name in names:
        manifest = task_manifest(repository, name)
        chosen = _variants(manifest, variants)
        if chosen:
            pipeline = Pipeline.load(repository, name, chosen[0].name)
            config = _same_task(known.get(name), manifest)
            items, source = find_texts(manifest, config, texts.get(name), data_dir, Path("build"))
            subjects.append(Subject(manifest, chosen, cut_texts(pipeline, items, source, limit)))
    if not subjects:
        raise PerfError(f"none of the tasks {', '.join(names)} has a variant {variants}")
    return subjects


def task_names(repository: Path) -> list[str]:
    """The tasks published in a repository. Errors: PerfError where there is no such folder."""
    if not repository.is_dir():
        raise PerfError(f"{repository}: no such directory; build tasks first, or give --repository")
    names = (tokenizer_task(path.name) for path in repository.iterdir())
    return sorted(name for name in names if name and (repository / name).is_dir())


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise PerfError("--tasks and --variants take names joined by commas, or all")
    return names


def _variants(manifest: Manifest, asked: str) -> tuple[Variant, ...]:
    """Of one task; a name that only other tasks have is no fault."""
    if asked == "all":
        return manifest.variants
    if asked == "recommended":
        return (manifest.variant(manifest.recommended),)
    names = _names(asked)
    return tuple(variant for variant in manifest.variants if variant.name in names)


def _same_task(config: TaskConfig | None, manifest: Manifest) -> TaskConfig | None:
    """The tasks file's entry of that name, where it is the task that was published."""
    return config if config is not None and config.kind == manifest.kind else None
