"""Finds versions, manifests and tokenizers in a model repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ManifestError
from .manifest import Manifest
from .names import MANIFEST_FILE, TOKENIZER_FILE

if TYPE_CHECKING:
    from .text.tokenizer import Tokenizer


def versions(model: Path) -> list[int]:
    """The version numbers in a model directory, ascending; as in Triton, folders named by a whole number."""
    if not model.is_dir():
        return []
    return sorted(int(p.name) for p in model.iterdir() if p.is_dir() and re.fullmatch("[1-9][0-9]*", p.name))


def newest_version(model: Path) -> Path:
    """The directory of the newest version; ManifestError where there is none."""
    numbers = versions(model)
    if not numbers:
        raise ManifestError(f"{model}: no version directory; publish the task with `ernie-triton build`")
    return model / str(numbers[-1])


def task_manifest(repository: Path, task: str) -> Manifest:
    """The manifest of a task's newest ensemble, which says which variant is recommended."""
    return Manifest.load(newest_version(repository / task) / MANIFEST_FILE)


def task_tokenizer(folder: Path, manifest: Manifest) -> Tokenizer:
    """The tokenizer of a version directory; ManifestError where its vocabulary is not the manifest's."""
    from .text.tokenizer_file import load_tokenizer  # brings packages that who looks for versions need not have

    tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
    if tokenizer.fingerprint != manifest.vocabulary_sha256:
        raise ManifestError(
            f"{folder / 'tokenizer.json'}: not the vocabulary of manifest.json; publish {manifest.task} again"
        )
    return tokenizer
