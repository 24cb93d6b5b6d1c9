"""The Docker images have the packages that what runs in them imports."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from .test_requirements import GIVEN, OURS, ROOT, distributions_of, imported, normal

NVIDIA, CPU = ROOT / "docker/Dockerfile", ROOT / "docker/Dockerfile.cpu"
LOCK = ROOT / "requirements-serve.lock"
IN_IT = ("python_backends/ernie_runtime", "python_backends/ernie_serve", "clients/ernie_gateway")
NOT_LOADED = ("ov.py", "paddle_inference.py", "workbook.py")  # of ernie_runtime: other engines, files of the user


def wanted(folders: list[Path], leave_out: tuple[str, ...] = ()) -> dict[str, str]:
    """Module from elsewhere -> a file that imports it."""
    modules: dict[str, str] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            siblings = {other.stem for other in path.parent.glob("*.py")}
            for module in imported(path) if path.name not in leave_out else ():
                if module not in OURS | GIVEN | siblings | set(sys.stdlib_module_names):
                    modules.setdefault(module, path.relative_to(ROOT).as_posix())
    return modules


def test_nvidias_image_has_what_the_backends_import() -> None:
    text = NVIDIA.read_text(encoding="utf-8")
    packages = {normal(name) for name in re.findall(r"([\w-]+)==[\d.]+", text)}
    folders = [ROOT / folder for folder in re.findall(r"^COPY (python_backends/\S+)", text, re.MULTILINE)]
    assert len(folders) == 5 and all(folder.is_dir() for folder in folders)
    missing = {m: file for m, file in wanted(folders, NOT_LOADED).items() if not distributions_of(m) & packages}
    assert missing == {}


@pytest.mark.parametrize("name", ["OPENVINO", "LEFT_OUT"])
def test_the_image_for_cpus_leaves_out_what_nothing_imports(name: str) -> None:
    (left_out,) = re.findall(rf'^ARG {name}="(.*)"$', CPU.read_text(encoding="utf-8"), re.MULTILINE)
    lock = {
        normal(n) for n in re.findall(r"^([\w.-]+)==", (ROOT / "requirements-serve.lock").read_text(), re.MULTILINE)
    }
    names = set(left_out.split())
    assert names <= lock, "a name that the lock no longer has"
    folders = [
        ROOT / f for f in ("python_backends/ernie_runtime", "python_backends/ernie_serve", "clients/ernie_gateway")
    ]
    used = wanted(folders, NOT_LOADED)
    assert {module: file for module, file in used.items() if distributions_of(module) & names} == {}
