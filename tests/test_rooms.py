"""The order of the rooms, as pyproject.toml states it for import-linter: an arrow upwards or a circle fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [
    "builders/ernie_builders",
    "perf/ernie_perf",
    "clients/ernie_gateway",
    "clients/ernie_triton",
    "python_backends/ernie_runtime",
    "python_backends/ernie_serve",
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to put a forbidden import in."""
    root = tmp_path_factory.mktemp("rooms")
    for package in PACKAGES:
        target = root / package.rpartition("/")[2]
        shutil.copytree(ROOT / package, target, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "ernie_assets").mkdir()
    (root / "ernie_assets" / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def lint(checkout: Path) -> str:
    """What `lint-imports` says of the copy; empty where every contract is kept."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_rooms_are_in_order(checkout: Path) -> None:
    assert lint(checkout) == ""


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        (
            "ernie_builders/metrics/cmrc.py",
            "from .. import kinds",
            "ernie_builders.metrics is not allowed to import ernie_builders.kinds",
        ),
        (
            "ernie_runtime/numeric.py",
            "import ernie_builders",
            "ernie_runtime is not allowed to import ernie_builders",
        ),
        ("ernie_runtime/errors.py", "from . import names", "No cycles are allowed in ernie_runtime"),
    ],
)
def test_an_arrow_upwards_or_a_circle_fails(checkout: Path, module: str, line: str, complaint: str) -> None:
    """Seen in functions too."""
    path = checkout / module
    source = path.read_text(encoding="utf-8")
    other = checkout / "ernie_runtime/names.py"
    names = other.read_text(encoding="utf-8")
    try:
        path.write_text(f"{source}\n\ndef late() -> None:\n    {line}\n", encoding="utf-8")
        if "names" in line:
            other.write_text(f"{names}\nfrom . import errors\n", encoding="utf-8")
        assert complaint in lint(checkout)
    finally:
        path.write_text(source, encoding="utf-8")
        other.write_text(names, encoding="utf-8")


def test_a_new_room_must_be_given_its_floor(checkout: Path) -> None:
    path = checkout / "ernie_perf/attic.py"
    path.touch()
    try:
        assert "ernie_perf.attic" in lint(checkout)
    finally:
        path.unlink()
