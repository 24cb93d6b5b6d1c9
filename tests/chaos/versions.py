"""Versions of a task that answer alike, but only if all steps are of the same version."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ernie_builders.repository import model_config
from ernie_builders.repository.staging import PUBLISHED, models_of
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import MANIFEST_FILE, MANIFEST_PARAMETER
from ernie_runtime.repository import newest_version, task_manifest


def copy_task(source: Path, task: str, target: Path) -> None:
    """The newest version of a task's models, as version 1 of another repository."""
    for name in models_of(task_manifest(source, task)):
        shutil.copytree(source / name, target / name)
        if (version := newest_version(target / name)).name != "1":
            raise SystemExit(f"{version}: publish the task into an empty folder first")


def publish_shuffled(repository: Path, task: str) -> int:
    """Publish the next version of a classification task: labels in another order, in the encoder and the manifest.

    Returns its number. Its answers are those of version 1, to the last digit of the scores; an encoder of one version
    with a postprocessor of another gives wrong labels. Versions but the first and the last two are removed.
    """
    first = Manifest.load(repository / task / "1" / MANIFEST_FILE)
    version = task_manifest(repository, task).version + 1
    order = list(range(len(first.labels)))
    random.Random(version).shuffle(order)
    raw = {**json.loads(first.to_json()), "version": version}
    raw["labels"] = [raw["labels"][i] for i in order]
    for name in models_of(first):  # steps first, the plain ensemble last, as the builder does
        model, new = repository / name, repository / f".{name}.new"
        obsolete = shutil.ignore_patterns(*(str(number) for number in range(2, version - 1)))
        shutil.copytree(model, new, copy_function=os.link, ignore=obsolete)
        folder = shutil.copytree(new / "1", new / str(version))
        _write(folder / MANIFEST_FILE, json.dumps(raw, ensure_ascii=False, indent=1) + "\n")
        for graph in folder.glob("*.onnx"):
            _shuffle(graph, order)
        for file in (model_config.PORTABLE, model_config.RAGGED):
            if not (model / file).exists():
                continue
            config = model_config.from_text((model / file).read_text())
            if MANIFEST_PARAMETER in config.parameters:
                text = json.dumps(raw, ensure_ascii=False, indent=1) + "\n"
                config.parameters[MANIFEST_PARAMETER].string_value = text
                for place in (new, folder / PUBLISHED):
                    _write(place / file, model_config.to_text(config))
        aside = repository / f".{name}.old"
        model.rename(aside)
        new.rename(model)
        shutil.rmtree(aside)
    return version


def _write(file: Path, text: str) -> None:
    """Into a file of its own, if this one is a link to another version's."""
    file.unlink()
    file.write_text(text, encoding="utf-8")


def _shuffle(graph: Path, order: list[int]) -> None:
    """Let the encoder give its logits in another order."""
    model = onnx.load(graph)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["unshuffled" if name == output.name else name for name in node.output]
        node.input[:] = ["unshuffled" if name == output.name else name for name in node.input]
    model.graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), "order"))
    model.graph.node.append(helper.make_node("Gather", ["unshuffled", "order"], [output.name], axis=-1))
    graph.unlink()
    onnx.save(model, graph)
