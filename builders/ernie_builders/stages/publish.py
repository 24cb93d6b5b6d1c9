"""Publish a new version of every model of the task; a server sees each model whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ernie_runtime.errors import ManifestError
from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.repository import newest_version, task_manifest, versions
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..filesystem import key_of, locked
from ..lint.repository import lint
from ..repository import model_config
from ..repository.buckets import expected_waste, histogram
from ..repository.calibrate import batching_of
from ..repository.served import MAX_TEXTS, check_served, record_answers, reload_hint
from ..repository.staging import (
    check_free,
    model_names,
    models_of,
    move_in,
    published_task,
    stage_models,
    staging_folder,
)
from . import code
from .context import Context
from .data import read_split
from .draft import manifest_of
from .results import Published
from .stage import Finished, Stage
from .variants.verdicts import passed, variant_of, with_variants, with_verdict

RECORDED_TEXTS = 32  # that a server asks a new version for before it takes its place
MAX_TEXTS_CUT = 1000  # dev texts that are cut into windows, for the histogram of their lengths


def inputs(context: Context, finished: Finished) -> JsonObject:
    """All that ends up in the repository, and which repository."""
    return {"build": _build_key(context, finished), "output": str(context.output.resolve())}


def holds(context: Context, finished: Finished) -> bool:
    """Whether this build is still the newest version of every model of the task."""
    try:
        newest = task_manifest(context.output, context.task.name)
        names = models_of(newest)
        manifests = [Manifest.load(newest_version(context.output / name) / "manifest.json") for name in names]
    except ManifestError:
        return False
    if set(_models_in_repository(context)) - set(names):
        return False  # interrupted before it removed the models of the previous build's variants
    build = _build_key(context, finished)
    if len({m.version for m in manifests}) != 1 or any(m.made_by.get("build") != build for m in manifests):
        return False
    return not any(_is_about(finding.file, manifests[0]) for finding in lint(context.output, names)[0])


def _is_about(file: str, manifest: Manifest) -> bool:
    """Whether a file of the repository is part of the task's newest version, or of all its versions."""
    model, _, inside = file.partition("/")
    part = inside.partition("/")[0]
    names = models_of(manifest)
    return model in names and (not part.isdigit() or int(part) == manifest.version)


def run(context: Context, finished: Finished, folder: Path) -> Published:
    """Write all models beside the repository, then move each in: steps first, ensembles last."""
    context.output.mkdir(parents=True, exist_ok=True)
    # One at a time in a repository: each must find its own version number, and the versions that it keeps.
    with locked(context.output):
        return _publish(context, finished)


def _publish(context: Context, finished: Finished) -> Published:
    task, models_before = context.task, _models_in_repository(context)
    check_free(context.output, task.name, models_before)
    tokenizer = load_tokenizer(finished.exported.folder / "tokenizer.json")
    texts = [example.texts for example in read_split(finished.data, "dev")[:MAX_TEXTS_CUT]] or list(task.examples)
    manifest = replace(
        manifest_of(context, finished.fine_tuned, tokenizer),
        version=1 + max((v for name in models_before for v in versions(context.output / name)), default=0),
        made_by=_made_by(context, finished),
    )
    lengths = window_lengths(manifest, tokenizer, texts)
    if lengths:
        manifest = replace(manifest, made_by={**manifest.made_by, model_config.WINDOW_LENGTHS: lengths})
        padding = expected_waste(lengths, model_config.buckets(manifest))
        manifest = replace(manifest, made_by={**manifest.made_by, "expected_padding": round(padding, 3)})
    folders = {name: finished.variant(name).exported.folder for name in task.variants}
    variants = {name: variant_of(context, finished, name) for name in task.variants}
    variants = {
        name: replace(variant, batching=batching_of(variant, folders[name], lengths, task.serving))
        for name, variant in variants.items()
    }
    staging = staging_folder(context.output, task.name)
    try:
        passing, refused = passed(variants, context.force)
        if len(passing) > 1:
            manifest = with_variants(manifest, passing, context.pick)
            _stage(staging, manifest, folders, context)
            verdicts = check_served(staging, manifest, texts[:MAX_TEXTS])
            variants = {name: with_verdict(variant, verdicts.get(name)) for name, variant in variants.items()}
            passing, refused = passed(variants, context.force)
        manifest = with_variants(manifest, passing, context.pick)
        manifest = replace(manifest, refused=tuple(v for name, v in variants.items() if name not in passing))
        _stage(staging, manifest, folders, context)
        record_answers(staging, manifest, texts[:RECORDED_TEXTS])
        models = models_of(manifest)
        for name in models:
            move_in(staging / name, context.output / name, manifest.version)
        for name in set(models_before) - set(models):
            shutil.rmtree(context.output / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Published(
        task=task.name,
        version=manifest.version,
        models=models,
        output=str(context.output),
        recommended=manifest.recommended,
        refused=refused,
    )


def _made_by(context: Context, finished: Finished) -> JsonObject:
    """How the models were made, for their manifests."""
    task = context.task
    return {
        "build": _build_key(context, finished),
        "base_model": context.card.base_model or context.source.name,
        "trained": finished.fine_tuned.result.trained,
        "profile": context.profile,
        "seed": context.seed,
        "not_run": model_config.NOT_RUN,
        "serving": vars(task.serving),
    }


def line(result: Published) -> str:
    """The version, its models and the repository."""
    hint = reload_hint(Path(result.output), result.task)
    return f"version {result.version} of {', '.join(result.models)} in {result.output}" + (f"; {hint}" if hint else "")


STAGE = Stage(
    name="publish", result_type=Published, inputs=inputs, run=run, line=line, uses=code.REPOSITORY, holds=holds
)


def window_lengths(manifest: Manifest, tokenizer: Tokenizer, items: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Histogram of the texts' windows: length in tokens -> number of windows; empty if there are no texts."""
    _, windows = get_kind(manifest.kind).documents(items, tokenizer, manifest)
    return histogram(len(window.input_ids) for window in windows)


def _stage(staging: Path, manifest: Manifest, folders: Mapping[str, Path], context: Context) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    stage_models(staging, manifest, folders, list(context.task.examples)[:4], context.task.serving)


def _models_in_repository(context: Context) -> list[str]:
    """The task's models that the repository has, of whatever variants."""
    try:
        published = task_manifest(context.output, context.task.name).variants
    except ManifestError:
        published = ()
    variants = dict.fromkeys([*(variant.name for variant in published), *context.task.variants])
    folders = sorted(context.output.iterdir()) if context.output.is_dir() else []
    owned = [folder.name for folder in folders if published_task(folder) == context.task.name]
    models = dict.fromkeys([*model_names(context.task.name, list(variants)), *owned])
    return [name for name in models if (context.output / name).is_dir()]


def _build_key(context: Context, finished: Finished) -> str:
    return key_of(
        {
            "stages": finished.all_keys(),
            "code": code.code_key(code.REPOSITORY),
            "title": context.task.title,
            "labels": [vars(label) for label in context.task.labels],
            "limits": vars(context.task.limits),
            "examples": context.task.examples,
            "options": context.task.options,
            "card": asdict(context.card),
            "variants": context.task.variants,
            "max_drop": context.task.compress.max_drop,
            "serving": vars(context.task.serving),
            "force": context.force,
            "pick": context.pick,
        }
    )
