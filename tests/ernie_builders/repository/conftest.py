"""A task published with two variants."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ...shared import made_once
from ..places import Place, copied


@pytest.fixture(scope="session")
def published(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two variants of `topics`; copy it before changing it."""

    def build(root: Path) -> None:
        assert copied(finished, root).build("--variants", "fp32,int8-ort", "--max-drop", "50") == 0

    return replace(finished, root=made_once("two_variants", build, tmp_path_factory))


@pytest.fixture
def place(published: Place, tmp_path: Path) -> Place:
    """A copy of the two variants that a test may change."""
    copy = copied(published, tmp_path)
    shutil.copytree(published.output, copy.output)
    return copy
