"""What a sweep measures: tasks of a repository, their variants and their texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ernie_builders.config.tasks import TaskConfig, TasksFile, read_tasks
from ernie_runtime.manifest import Evaluation, Manifest, Variant
from ernie_runtime.names import tokenizer_task
from ernie_runtime.repository import task_manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..command import split_names
from ..errors import PerfError
from .description import TaskDescription, VariantDescription
from .settings import TaskSelection
from .texts import TaskTexts, find_texts, tokenize_texts

CACHE = Path("build")  # where data sets that ship compressed are unpacked


@dataclass(frozen=True, kw_only=True)
class MeasuredTask:
    """A task with the variants that are measured and the texts that all of them are sent."""

    manifest: Manifest
    variants: tuple[Variant, ...]
    texts: TaskTexts

    @property
    def name(self) -> str:
        """The task's."""
        return self.manifest.task

    def describe(self) -> TaskDescription:
        """For run.json."""
        manifest, evaluations = self.manifest, self.manifest.compared()
        return TaskDescription(
            kind=manifest.kind,
            title=manifest.title,
            version=manifest.version,
            metric=manifest.main_metric,
            recommended=manifest.recommended,
            max_length=manifest.limits.max_length,
            texts=self.texts.describe(),
            variants={
                variant.name: _describe(variant, manifest.main_metric, evaluations.get(variant.name))
                for variant in self.variants
            },
        )


def _describe(variant: Variant, metric: str, evaluation: Evaluation | None) -> VariantDescription:
    return VariantDescription(
        engine=variant.engine,
        precision=variant.made.get("precision", "fp32"),
        bytes=variant.bytes,
        sha256=variant.sha256,
        figure=evaluation.metrics[metric] if evaluation else None,
        drop=variant.gate.get("drop"),
        ratio=variant.speed.get("best", {}).get("ratio"),
    )


def select_tasks(selection: TaskSelection) -> list[MeasuredTask]:
    """The tasks and variants that are asked for, with their texts.

    Errors: PerfError for a name that the repository does not have; ErnieError and BuildError from what is read.
    """
    repository = selection.repository
    published = task_names(repository)
    names = published if selection.tasks == "all" else _names(selection.tasks)
    for name in (*names, *selection.texts):
        if name not in published:
            raise PerfError(f"{repository} has no task {name!r}; it has {', '.join(published) or 'none'}")
    tasks_file = read_tasks(selection.tasks_file)
    tasks = []
    for name in names:
        manifest = task_manifest(repository, name)
        variants = _variants(manifest, selection.variants)
        if variants:
            pipeline = Pipeline.load(repository, name, variants[0].name)
            config = _config_of(tasks_file, manifest)
            items, source = find_texts(manifest, config, selection.texts.get(name), selection.data_dir, CACHE)
            texts = tokenize_texts(pipeline, items, source, selection.limit)
            tasks.append(MeasuredTask(manifest=manifest, variants=variants, texts=texts))
    if not tasks:
        raise PerfError(f"none of the tasks {', '.join(names)} has a variant {selection.variants}")
    return tasks


def select_one(selection: TaskSelection) -> tuple[MeasuredTask, Variant]:
    """The only task and variant of a selection that names one of each. Errors: as `select_tasks`, and PerfError."""
    tasks = select_tasks(selection)
    if len(tasks) != 1 or len(tasks[0].variants) != 1:
        raise PerfError("give one task and one variant")
    return tasks[0], tasks[0].variants[0]


def task_names(repository: Path) -> list[str]:
    """The tasks published in a repository. Errors: PerfError where there is no such folder."""
    if not repository.is_dir():
        raise PerfError(f"{repository}: no such directory; build tasks first, or give --repository")
    names = [task for path in repository.iterdir() if (task := tokenizer_task(path.name)) is not None]
    return sorted(name for name in names if (repository / name).is_dir())


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(split_names(text)))
    if not names:
        raise PerfError("--tasks and --variants take names joined by commas, or all")
    return names


def _variants(manifest: Manifest, selected: str) -> tuple[Variant, ...]:
    """Of one task; a name that only other tasks have is not an error."""
    if selected == "all":
        return manifest.variants
    if selected == "recommended":
        return (manifest.variant(manifest.recommended),)
    names = _names(selected)
    return tuple(variant for variant in manifest.variants if variant.name in names)


def _config_of(tasks_file: TasksFile, manifest: Manifest) -> TaskConfig | None:
    """The tasks file's entry of that name, if that task was published. Errors: ConfigError where it is faulty."""
    if manifest.task in tasks_file.faults:
        raise tasks_file.faults[manifest.task]
    config = tasks_file.tasks.get(manifest.task)
    return config if config is not None and config.kind == manifest.kind else None
