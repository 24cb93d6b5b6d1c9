"""Every library that a package imports is declared by the extra that the package belongs to."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
OURS = {"ernie_assets", "ernie_builders", "ernie_gateway", "ernie_perf", "ernie_runtime", "ernie_serve", "ernie_triton"}
GIVEN = {"triton_python_backend_utils", "_typeshed", "typing_extensions"}  # the process has it; for type checkers alone
PACKAGES = {
    "clients/ernie_gateway": "gateway",
    "clients/ernie_triton": "client",
    "python_backends/ernie_serve": "serve",
    "python_backends/ernie_runtime": "serve",
    "builders/ernie_builders": "build",
    "perf/ernie_perf": "perf",
}
ELSEWHERE = {  # a file that runs only with another extra
    "clients/ernie_triton/batch/bulk": "bulk",
    "clients/ernie_triton/batch/parquet": "formats",
    "clients/ernie_triton/batch/workbook_file.py": "formats",
    "python_backends/ernie_runtime/workbook.py": "formats",
    "clients/ernie_triton/monitor": "monitor",
    "clients/ernie_triton/transports/http_asyncio.py": "client-http",
    "clients/ernie_triton/transports/http_blocking.py": "client-http",
    "clients/ernie_triton/transports/http_calls.py": "client-http",
    "python_backends/ernie_runtime/engines/paddle_inference.py": "build",
    "perf/ernie_perf/peers": "peers-embedding",
}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normal(name: str) -> str:
    """A distribution's name as packaging tools compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str) -> set[str]:
    """Names that an extra and the project itself ask for directly."""
    about, names, pending = project(), set(), [extra]
    while pending:
        for line in [*about["dependencies"], *about["optional-dependencies"].get(pending.pop(), [])]:
            requirement = Requirement(line)
            if requirement.name == "ernie-triton":
                pending += requirement.extras
            else:
                names.add(normal(requirement.name))
    return names


def imported(path: Path) -> Iterator[str]:
    """Top-level modules that a file imports from elsewhere, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield "google.protobuf" if node.module.startswith("google.") else node.module.partition(".")[0]


@cache
def modules_installed() -> Mapping[str, list[str]]:
    """Module -> the distributions that bring it; reading them takes seconds."""
    return metadata.packages_distributions()


def distributions_of(module: str) -> set[str]:
    """Distributions that bring a module."""
    if module == "google.protobuf":
        return {"protobuf"}
    return {normal(name) for name in modules_installed().get(module, [module])}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_are_declared(package: str) -> None:
    undeclared = []
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        extras = [PACKAGES[package], *(extra for place, extra in ELSEWHERE.items() if name.startswith(place))]
        allowed = set().union(*(declared(extra) for extra in extras))
        siblings = {other.stem for other in path.parent.glob("*.py")}  # run as files, beside each other
        if path.parent.name == "classic_models":  # Triton runs them, with the files beside them
            continue
        for module in imported(path):
            if module in OURS | GIVEN | siblings or module in sys.stdlib_module_names:
                continue
            if not distributions_of(module) & allowed:
                undeclared.append(f"{name} imports {module}")
    assert undeclared == []


def test_the_weights_have_the_version_that_is_asked_for() -> None:
    wheel = tomllib.loads((ROOT / "builders/assets_wheel/pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in ("build", "perf"):
        assert f"{wheel['name']}=={wheel['version']}" in project()["optional-dependencies"][extra]


def test_pins_bind_only_what_needs_them() -> None:
    """A client may have numpy 2 and a new tritonclient; Triton's Python backend may not."""
    extras = {extra: {r.name: r.specifier for r in map(Requirement, lines) if r.name != "ernie-triton"}
              for extra, lines in project()["optional-dependencies"].items()}  # fmt: skip
    assert not [line for line in project()["dependencies"] if "<2" in line]
    assert "2.2.0" not in extras["serve"]["numpy"]
    assert "2.69.0" in extras["client"]["tritonclient"]
    assert [extra for extra, names in extras.items() if str(names.get("tritonclient")) == "==2.50.0"] == ["perf"]
