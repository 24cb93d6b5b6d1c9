"""Where things are in a model repository."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import ManifestError
from .manifest import Manifest
from .names import MANIFEST_FILE, TOKENIZER_FILE
from .text.tokenization import ErnieTokenizer


def versions(model: Path) -> list[int]:
    """The version numbers a model directory holds, ascending (Triton's rule: names that are whole numbers)."""
    if not model.is_dir():
        return []
    return sorted(int(p.name) for p in model.iterdir() if p.is_dir() and re.fullmatch("[1-9][0-9]*", p.name))


def newest_version(model: Path) -> Path:
    """The directory of the newest version; ManifestError where there is none."""
    found = versions(model)
    if not found:
        raise ManifestError(f"{model}: no version directory; publish the task with `ernie-triton build`")
    return model / str(found[-1])


def task_manifest(repository: Path, task: str) -> Manifest:
    """The newest manifest of a task as its ensemble has it: the recommended variant is that one's to say."""
    return Manifest.load(newest_version(repository / task) / MANIFEST_FILE)


def load_tokenizer(folder: Path, manifest: Manifest) -> ErnieTokenizer:
    """The tokenizer of a version directory; ManifestError where its vocabulary is not the manifest's."""
    tokenizer = ErnieTokenizer.from_file(folder / TOKENIZER_FILE)
    if tokenizer.fingerprint != manifest.vocabulary_sha256:
        raise ManifestError(
            f"{folder / 'tokenizer.json'}: not the vocabulary of manifest.json; publish {manifest.task} again"
        )
    return tokenizer
