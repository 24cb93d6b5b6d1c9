"""Every model directory of a task, written complete into a folder that is itself a model repository."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from ernie_runtime.engines import ENGINES, load_engine
from ernie_runtime.errors import ManifestError
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import encoder_model, fused_model, postprocess_model, tokenizer_model, variant_ensemble
from ernie_runtime.repository import newest_version, versions
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..config.serving import ServingConfig
from ..config.tasks import TaskConfig
from ..errors import PublishError
from ..filesystem import put_in_place
from .model_config import (
    PORTABLE,
    RAGGED,
    TENSORRT,
    encoder_config,
    ensemble_config,
    fused_config,
    is_fused,
    postprocess_config,
    tensorrt_config,
    to_text,
    tokenizer_config,
)
from .queues import bound_queues, set_instances
from .warmup import warmup_requests, write_warmup

PUBLISHED = "published"  # in a version directory: the model's configuration as it was published with the version


def model_names(task: str, variants: Mapping[str, Any] | list[str], fused: bool = False) -> list[str]:
    """The task's models in the order of publishing: steps, then what reads them, ensembles, the plain name last."""
    return [
        tokenizer_model(task),
        *(encoder_model(task, name) for name in variants),
        postprocess_model(task),
        *([fused_model(task)] if fused else []),
        *(variant_ensemble(task, name) for name in variants),
        task,
    ]


def models_of(manifest: Manifest) -> list[str]:
    """The models that a version was published as, in the order of publishing."""
    return model_names(manifest.task, [variant.name for variant in manifest.variants], is_fused(manifest))


def keep_configuration(model: Path, target: Path) -> None:
    """Copy a model's configurations and warm-up requests beside a version, which may be gone back to."""
    own = [path for path in model.iterdir() if not path.name.isdigit()]
    target.mkdir()
    for path in own:
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target / path.name)


def stage_models(
    staging: Path,
    manifest: Manifest,
    exported: Mapping[str, Path],
    examples: list[tuple[str, ...]],
    serving: ServingConfig,
) -> None:
    """Write the task's models under `staging`; exported: variant -> folder with its files and tokenizer.json."""
    task, recommended = manifest.task, manifest.variant(manifest.recommended)
    tokenizer = ErnieTokenizer.from_file(exported[recommended.name] / "tokenizer.json")
    flavours: dict[str, tuple[Message, ...]] = {
        tokenizer_model(task): (
            tokenizer_config(manifest, False),
            tokenizer_config(manifest, True),
        ),
        postprocess_model(task): (
            postprocess_config(manifest, False),
            postprocess_config(manifest, True),
        ),
        task: (ensemble_config(manifest, task, recommended),),
    }
    warm: dict[str, Any] = {}
    for variant in manifest.variants:
        name, encoder, source = (
            variant_ensemble(task, variant.name),
            encoder_model(task, variant.name),
            exported[variant.name],
        )
        flavours[name] = (ensemble_config(manifest, name, variant),)
        flavours[encoder] = (
            encoder_config(manifest, variant, False),
            encoder_config(manifest, variant, True),
            *((tensorrt_config(manifest, variant),) if ENGINES[variant.engine].reads_onnx else ()),
        )
        engine = load_engine(variant.engine, source / variant.file, variant.settings)
        warm |= warmup_requests(manifest, tokenizer, engine, examples, variant.name)
    rates = {encoder_model(task, v.name): v.batching.get("texts_per_second", 0) for v in manifest.variants}
    if is_fused(manifest):
        flavours[fused_model(task)] = (fused_config(manifest, recommended),)
        warm[fused_model(task)] = warm[tokenizer_model(task)]
    for name, configs in flavours.items():
        folder = staging / name
        home = folder / str(manifest.version)
        home.mkdir(parents=True)
        for config, file in zip(configs, (PORTABLE, RAGGED, TENSORRT), strict=False):
            set_instances(config, serving)
            stand_in = file == RAGGED or name == fused_model(task)
            bound_queues(config, serving, rates.get(name, max(rates.values())), stand_in, tokenizer_model(task))
            write_warmup(config, folder, warm.get(name, []))
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(to_text(config), encoding="utf-8")
        (home / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
        keep_configuration(folder, home / PUBLISHED)
    at = str(manifest.version)
    tokenizer.save(staging / tokenizer_model(task) / at / "tokenizer.json")
    for variant in manifest.variants:
        home, source = staging / encoder_model(task, variant.name) / at, exported[variant.name]
        for file in filter(None, (variant.file, variant.weights)):
            shutil.copyfile(source / file, home / file)
        if (source / "paddle").is_dir():
            shutil.copytree(source / "paddle", home / "paddle")


def move_in(staged: Path, model: Path, version: int) -> None:
    """Put one staged model into the repository in one step.

    The versions that the repository has stay in the new directory, as hard links: nothing is copied.
    """
    if (model / str(version)).exists():
        raise PublishError(f"{model / str(version)}: exists already; another build is publishing the same task")
    for number in versions(model) if model.exists() else ():
        shutil.copytree(model / str(number), staged / str(number), copy_function=os.link)
    put_in_place(staged, model)


def check_free(repository: Path, task: str, models: Iterable[str]) -> None:
    """PublishError where one of a task's models has the name of a model of another task that is published."""
    for model in models:
        owner = owner_of(repository / model)
        if owner not in ("", task):
            raise PublishError(
                f"{repository / model}: is a model of task {owner}, and task {task} would publish one of that name; "
                "rename one of the tasks, leave that variant out, or give another --output"
            )


def check_all_free(repository: Path, tasks: Iterable[TaskConfig]) -> None:
    """The same before anything is built: for all models that the tasks may be published as."""
    for task in tasks:
        check_free(repository, task.name, model_names(task.name, list(task.variants), fused=True))


def owner_of(model: Path) -> str:
    """The task that a model directory was published for; empty where there is none, or none that can be told."""
    try:
        path = newest_version(model) / "manifest.json"
        found = json.loads(path.read_text(encoding="utf-8"))["task"]
    except (ManifestError, OSError, ValueError, LookupError, TypeError):
        return ""
    return str(found)


def staging_folder(output: Path, name: str) -> Path:
    """Beside the repository; inside it where its parent is another disk or not ours to write (a mount)."""
    output = output.resolve()
    beside = (
        os.access(output.parent, os.W_OK, effective_ids=True) and output.parent.stat().st_dev == output.stat().st_dev
    )
    return output.parent / f".{output.name}.{name}.new" if beside else output / f".{name}.new"
