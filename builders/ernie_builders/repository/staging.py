"""A task's model directories, staged in a folder that is itself a model repository, then moved in one by one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.engines import load_engine
from ernie_runtime.errors import ManifestError
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import (
    MANIFEST_FILE,
    TOKENIZER_FILE,
    encoder_model,
    postprocess_model,
    tokenizer_model,
    variant_ensemble,
)
from ernie_runtime.repository import newest_version, versions
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..config.serving import WHOLE_TASK, ServingConfig
from ..config.tasks import TaskConfig
from ..errors import PublishError
from ..filesystem import put_in_place
from .model_config import (
    PORTABLE,
    RAGGED,
    TENSORRT,
    encoder_config,
    ensemble_configs,
    pipeline_config,
    postprocess_config,
    to_text,
    tokenizer_config,
)
from .packed_config import PACKED, packed_encoder_config, packed_tokenizer_config, packed_variants, write_packed
from .queues import bound_queues, set_instances
from .tensorrt_config import tensorrt_config, tensorrt_precision
from .warmup import Arrays, warmup_requests, write_warmup

PUBLISHED = "published"  # folder in a version: the model's configuration as it was published with that version


def model_names(task: str, variants: Iterable[str]) -> list[str]:
    """A task's models in the order of publishing: first the steps, then what reads them, the plain name last."""
    variants = list(variants)
    return [
        tokenizer_model(task),
        *(encoder_model(task, variant) for variant in variants),
        postprocess_model(task),
        *(variant_ensemble(task, variant) for variant in variants),
        task,
    ]


def models_of(manifest: Manifest) -> list[str]:
    """The models that a version was published as, in the order of publishing."""
    return model_names(manifest.task, (variant.name for variant in manifest.variants))


def stage_models(
    staging: Path,
    manifest: Manifest,
    exported: Mapping[str, Path],
    examples: Sequence[tuple[str, ...]],
    serving: ServingConfig,
) -> None:
    """Write the task's models under `staging`; exported: variant -> folder with its files and tokenizer.json."""
    task, version = manifest.task, str(manifest.version)
    tokenizer = load_tokenizer(exported[manifest.recommended] / TOKENIZER_FILE)
    speeds = {encoder_model(task, v.name): v.batching.get("texts_per_second", 0) for v in manifest.variants}
    requests = _warmup(manifest, tokenizer, exported, examples)
    for model, configs in _configs(manifest).items():
        for file, config in configs.items():
            set_instances(config, serving, file in (PORTABLE, PACKED))
            bound_queues(config, serving, speeds.get(model, max(speeds.values())))
            asked = tokenizer_model(task) if config.backend == WHOLE_TASK else model
            write_warmup(config, staging / model, requests.get(asked, []))
        _write_model(staging / model, manifest, configs)
    vocabulary = staging / tokenizer_model(task) / version / TOKENIZER_FILE
    tokenizer.save(vocabulary)
    for variant in manifest.variants:
        source, folder = exported[variant.name], staging / encoder_model(task, variant.name) / version
        os.link(vocabulary, folder / TOKENIZER_FILE)
        for file in filter(None, (variant.file, variant.weights)):
            shutil.copyfile(source / file, folder / file)
        if variant in packed_variants(manifest):
            write_packed(folder / variant.file)
        if (source / "paddle").is_dir():
            shutil.copytree(source / "paddle", folder / "paddle")


def _configs(manifest: Manifest) -> dict[str, dict[str, pb.ModelConfig]]:
    """Model name -> file name -> configuration."""
    task, recommended = manifest.task, manifest.variant(manifest.recommended)
    configs = {
        tokenizer_model(task): {PORTABLE: tokenizer_config(manifest)},
        postprocess_model(task): {PORTABLE: postprocess_config(manifest)},
        task: ensemble_configs(manifest, task, recommended),
    }
    for variant in manifest.variants:
        ensemble, encoder = variant_ensemble(task, variant.name), encoder_model(task, variant.name)
        configs[ensemble] = ensemble_configs(manifest, ensemble, variant)
        configs[encoder] = {PORTABLE: encoder_config(manifest, variant), RAGGED: pipeline_config(manifest, variant)}
        if tensorrt_precision(variant):
            configs[encoder][TENSORRT] = tensorrt_config(manifest, variant)
    for variant in packed_variants(manifest):
        configs[encoder_model(task, variant.name)][PACKED] = packed_encoder_config(manifest, variant)
        configs[tokenizer_model(task)][PACKED] = packed_tokenizer_config(manifest)
        configs[postprocess_model(task)][PACKED] = postprocess_config(manifest, ragged=True)
    return configs


def _warmup(
    manifest: Manifest, tokenizer: Tokenizer, exported: Mapping[str, Path], examples: Sequence[tuple[str, ...]]
) -> dict[str, list[Arrays]]:
    """Model name -> warm-up requests."""
    requests: dict[str, list[Arrays]] = {}
    for variant in manifest.variants:
        engine = load_engine(variant.engine, exported[variant.name] / variant.file, variant.settings)
        requests |= warmup_requests(manifest, tokenizer, engine, examples, variant.name)
    return requests


def _write_model(model: Path, manifest: Manifest, configs: Mapping[str, pb.ModelConfig]) -> None:
    """A model directory without the files that its backend loads."""
    version = model / str(manifest.version)
    version.mkdir(parents=True)
    for file, config in configs.items():
        (model / file).parent.mkdir(exist_ok=True)
        (model / file).write_text(to_text(config), encoding="utf-8")
    (version / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    _keep_configuration(model, version / PUBLISHED)


def _keep_configuration(model: Path, target: Path) -> None:
    """Copy a model's configurations and warm-up requests into a version, so that it can be rolled back to."""
    published = [path for path in model.iterdir() if not path.name.isdigit()]
    target.mkdir()
    for path in published:
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target / path.name)


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
    """PublishError if a published model of another task has the name of one of this task's models."""
    for model in models:
        owner = published_task(repository / model)
        if owner not in ("", task):
            raise PublishError(
                f"{repository / model}: is a model of task {owner}, and task {task} would publish one of that name; "
                "rename one of the tasks, leave that variant out, or give another --output"
            )


def check_all_free(repository: Path, tasks: Iterable[TaskConfig]) -> None:
    """`check_free` for all models that the tasks may be published as, before anything is built."""
    for task in tasks:
        check_free(repository, task.name, model_names(task.name, task.variants))


def published_task(model: Path) -> str:
    """The task that a model directory was published for; empty if there is no such directory or no manifest."""
    try:
        manifest = json.loads((newest_version(model) / MANIFEST_FILE).read_text(encoding="utf-8"))
        return str(manifest["task"])
    except (ManifestError, OSError, ValueError, LookupError, TypeError):
        return ""


def staging_folder(output: Path, name: str) -> Path:
    """Where to stage: beside the repository, or inside it if its parent is another disk or not writable (a mount)."""
    output = output.resolve()
    beside = (
        os.access(output.parent, os.W_OK, effective_ids=True) and output.parent.stat().st_dev == output.stat().st_dev
    )
    return output.parent / f".{output.name}.{name}.new" if beside else output / f".{name}.new"
