"""Publish: a new version of every model of the task, each visible to a server whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.errors import ManifestError
from ernie_runtime.manifest import Evaluation, Manifest, Variant
from ernie_runtime.repository import newest_version, versions
from ernie_runtime.tokenization import ErnieTokenizer

from .. import triton_config as tc
from ..errors import PublishError
from ..kinds import get_builder_kind
from ..lint import lint
from ..warmup import warmup_requests, write_warmup
from . import Context, Done, key_of
from .export import MODEL
from .finetune import manifest_of

NAME = "publish"
VARIANT, ENGINE = "fp32", "onnxruntime"


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """All that ends up in the repository, and which repository."""
    return {"build": _build_key(context, before), "output": str(context.output.resolve())}


def holds(context: Context, before: Mapping[str, Done]) -> bool:
    """Whether this very build is still the newest version of every model of the task."""
    try:
        manifests = [
            Manifest.load(newest_version(context.output / name) / "manifest.json")
            for name in _models(context.task.name)
        ]
    except ManifestError:
        return False
    build = _build_key(context, before)
    if len({m.version for m in manifests}) != 1 or any(m.made_by.get("build") != build for m in manifests):
        return False
    return not any(_concerns(finding.file, manifests[0]) for finding in lint(context.output)[0])


def _concerns(file: str, manifest: Manifest) -> bool:
    """Whether a file of the repository belongs to the task's models and to their newest version, or to all versions."""
    model, _, inside = file.partition("/")
    part = inside.partition("/")[0]
    return model in _models(manifest.task) and (not part.isdigit() or int(part) == manifest.version)


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Stage, then move in: steps first, ensembles last."""
    context.output.mkdir(parents=True, exist_ok=True)
    with locked(context.output):
        return _publish(context, before)


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """One publisher a repository at a time: each finds its own version number and the versions it must keep."""
    repository = os.open(output, os.O_RDONLY)
    try:
        fcntl.flock(repository, fcntl.LOCK_EX)
        yield
    finally:
        os.close(repository)


def staging_folder(output: Path, name: str) -> Path:
    """Beside the repository; inside it where its parent is another disk or not ours to write (a mount)."""
    output = output.resolve()
    beside = (
        os.access(output.parent, os.W_OK, effective_ids=True) and output.parent.stat().st_dev == output.stat().st_dev
    )
    return output.parent / f".{output.name}.{name}.new" if beside else output / f".{name}.new"


def _publish(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    task, exported = context.task, before["export"]
    tokenizer = ErnieTokenizer.from_file(exported.folder / "tokenizer.json")
    names = _models(task.name)
    version = 1 + max((v for name in names for v in versions(context.output / name)), default=0)
    variant = Variant(
        VARIANT,
        ENGINE,
        MODEL,
        exported.figures["bytes"],
        exported.figures["sha256"],
        exported.figures["max_abs_error"],
        evaluations(context, before),
    )
    manifest = replace(
        manifest_of(context, before["fine-tune"], tokenizer),
        version=version,
        variants=(variant,),
        made_by={
            "build": _build_key(context, before),
            "base_model": context.card.get("base_model", context.source.name),
            "trained": before["fine-tune"].figures["trained"],
            "profile": context.profile,
            "seed": context.seed,
        },
    )
    staging = staging_folder(context.output, task.name)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        stage_models(staging, manifest, tokenizer, exported.folder, list(task.examples)[:4])
        for name in names:
            move_in(staging / name, context.output / name, version)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return {"task": task.name, "version": version, "models": list(names), "output": str(context.output)}


def line(figures: Mapping[str, Any]) -> str:
    """Where and as what."""
    return f"version {figures['version']} of {', '.join(figures['models'])} in {figures['output']}"


def stage_models(
    staging: Path, manifest: Manifest, tokenizer: ErnieTokenizer, exported: Path, examples: list[tuple[str, ...]]
) -> None:
    """Write every model directory of the task, complete, under `staging`."""
    variant = manifest.variant(manifest.recommended)
    engine = OrtEngine(exported / MODEL)
    warm = warmup_requests(manifest, tokenizer, engine, examples, variant.name)
    tokenizer_, encoder, postprocess, plain, named = _models(manifest.task)
    configs = {
        tokenizer_: (tc.tokenizer_config(manifest, False), tc.tokenizer_config(manifest, True)),
        encoder: (tc.encoder_config(manifest, variant, False), tc.encoder_config(manifest, variant, True)),
        postprocess: (tc.postprocess_config(manifest, False), tc.postprocess_config(manifest, True)),
        plain: (tc.ensemble_config(manifest, plain, variant),),
        named: (tc.ensemble_config(manifest, named, variant),),
    }
    for name, flavours in configs.items():
        folder = staging / name
        home = folder / str(manifest.version)
        home.mkdir(parents=True)
        for config, file in zip(flavours, (tc.PORTABLE, tc.RAGGED), strict=False):
            write_warmup(config, folder, warm.get(name, []))
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(tc.to_text(config), encoding="utf-8")
        (home / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    shutil.copyfile(exported / "tokenizer.json", staging / tokenizer_ / str(manifest.version) / "tokenizer.json")
    shutil.copyfile(exported / MODEL, staging / encoder / str(manifest.version) / MODEL)
    shutil.copytree(exported / "paddle", staging / encoder / str(manifest.version) / "paddle")


def move_in(staged: Path, model: Path, version: int) -> None:
    """Put one model into the repository in one step: a server sees the old directory or the new one, nothing between.

    The versions that the repository has go on living in the new directory (as hard links: nothing is copied).
    """
    if not model.exists():
        staged.rename(model)
        return
    if (model / str(version)).exists():
        raise PublishError(f"{model / str(version)}: exists already; another build is publishing the same task")
    for old in versions(model):
        shutil.copytree(model / str(old), staged / str(old), copy_function=os.link)
    exchange(staged, model)


def exchange(left: Path, right: Path) -> None:
    """Swap two directories in one step (Linux renameat2, RENAME_EXCHANGE); in two where the file system lacks it."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if libc.renameat2(here, os.fsencode(left), here, os.fsencode(right), swap) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        raise OSError(code, os.strerror(code), str(right))
    aside = left.with_name(left.name + ".old")
    right.rename(aside)
    left.rename(right)
    aside.rename(left)


def evaluations(context: Context, before: Mapping[str, Done]) -> tuple[Evaluation, ...]:
    """This build's figures, and those on the card of a checkpoint that ships, where they are such as this kind has.

    A checkpoint may serve a second task: a pair classifier's accuracy says nothing of a ranking.
    """
    main = get_builder_kind(context.task.kind).main_metric
    found = [Evaluation(**e) for e in context.card.get("evaluations", []) if main in e["metrics"]]
    own = before["evaluate"].figures
    if own["rows"]:
        by = "this build, through the serving code"
        found.append(Evaluation(own["split"], own["rows"], own["metrics"], by))
        found += [Evaluation(name, other["rows"], other["metrics"], by) for name, other in own["transfer"].items()]
    return tuple(found)


def _models(task: str) -> tuple[str, str, str, str, str]:
    """Names in the order of publishing."""
    return (
        tc.tokenizer_name(task),
        tc.encoder_name(task, VARIANT),
        tc.postprocess_name(task),
        f"{task}_{VARIANT}",
        task,
    )


def _build_key(context: Context, before: Mapping[str, Done]) -> str:
    return key_of(
        {
            "stages": [done.key for done in before.values()],
            "title": context.task.title,
            "labels": [vars(label) for label in context.task.labels],
            "limits": vars(context.task.limits),
            "examples": context.task.examples,
            "options": context.task.options,
            "card": context.card,
        }
    )
