"""The table "may import" of ARCHITECTURE.md: what serves stays small, and never reaches into what builds."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "python_backends/ernie_runtime"
HEAVY = [
    "paddle",
    "paddlenlp",
    "onnx",
    "onnxruntime",
    "openvino",
    "tritonclient",
    "ernie_builders",
    "ernie_perf",
    "ernie_serve",
    "ernie_triton",
]

ROOMS = {
    "python_backends/ernie_runtime": {"argcomplete", "ernie_runtime", "numpy", "openpyxl", "tokenizers", "opencc"},
    "python_backends/ernie_runtime/engines": {"ernie_runtime", "numpy", "onnxruntime", "openvino", "paddle"},
    "python_backends/ernie_tokenizer": {"ernie_runtime", "triton_python_backend_utils"},
    "python_backends/ernie_pipeline": {"ernie_runtime", "triton_python_backend_utils"},
    "python_backends/ernie_postprocess": {"ernie_runtime", "triton_python_backend_utils"},
    "python_backends/ernie_compat": {"ernie_runtime", "triton_python_backend_utils"},
    "python_backends/onnxruntime": {"ernie_runtime", "triton_python_backend_utils"},
    "python_backends/openvino": {"ernie_runtime", "triton_python_backend_utils"},
    "python_backends/paddle": {"ernie_runtime", "triton_python_backend_utils"},
    "python_backends/ernie_serve": {"ernie_serve", "ernie_runtime"},
    "clients/ernie_gateway": {
        *("ernie_gateway", "ernie_runtime", "ernie_triton", "grpc", "numpy", "orjson"),
        *("prometheus_client", "starlette", "uvicorn"),
    },
    "clients/ernie_gateway/proxy": {"ernie_gateway", "ernie_runtime", "ernie_triton", "google", "grpc", "tritonclient"},
    "clients/ernie_triton": {"ernie_triton", "ernie_runtime", "numpy", "typing_extensions"},  # the last for types only
    "clients/ernie_triton/batch": {"ernie_triton", "ernie_runtime", "numpy", "openpyxl", "pyarrow"},
    "clients/ernie_triton/batch/bulk": {"ernie_triton", "ernie_runtime", "pyarrow", "ray"},
    "clients/ernie_triton/transports": {"ernie_triton", "ernie_runtime", "grpc", "httpx", "tritonclient"},
    "clients/ernie_triton/monitor": {"ernie_triton", "ernie_runtime", "prometheus_client", "rich"},
}


def imports(code: str, depth: int) -> Iterator[tuple[int, str]]:
    """Line and top-level module of each import, in functions too.

    depth: packages the file lies in; a relative import that leaves them all is given as its dots.
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, str(node.module).split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            yield node.lineno, "." * node.level


def imports_of(room: str) -> Iterator[tuple[str, str]]:
    """Place and module of each import in a room's files, those of a room inside it left out."""
    inner = [ROOT / inner_room for inner_room in ROOMS if inner_room.startswith(f"{room}/")]
    for path in sorted((ROOT / room).rglob("*.py")):
        if not path.is_symlink() and not any(path.is_relative_to(inner_room) for inner_room in inner):
            name = path.relative_to(ROOT)
            for line, module in imports(path.read_text(encoding="utf-8"), len(name.parts) - 2):
                yield f"{name}:{line}", module


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    imported = list(imports_of(room))
    allowed = sys.stdlib_module_names | ROOMS[room]
    assert imported
    assert [f"{place} imports {module}" for place, module in imported if module not in allowed] == []


def test_the_names_need_the_standard_library_only() -> None:
    """So that a client needs neither numpy nor tokenizers for them."""
    for path in (RUNTIME / "names.py", RUNTIME / "__init__.py"):
        assert {module for _, module in imports(path.read_text("utf-8"), 1)} <= sys.stdlib_module_names


def test_builders_do_not_import_what_serves_or_asks() -> None:
    """But for the gate, which asks the staged models through the real server."""
    imported = list(imports_of("builders/ernie_builders"))
    assert imported
    reached = {(place.split(":")[0], module) for place, module in imported if module in ("ernie_serve", "ernie_triton")}
    assert reached == {("builders/ernie_builders/repository/served.py", "ernie_serve")}


def test_every_room_that_serves_is_in_the_table() -> None:
    rooms = {p.parent.relative_to(ROOT).as_posix() for p in (ROOT / "python_backends").glob("*/*.py")}
    assert rooms and rooms <= set(ROOMS)


def test_the_scan_sees_every_form_of_import() -> None:
    code = "import a.b, c\nif c:\n  from d.e import g\nfrom .h import i\nfrom ..j import k\nfrom ...l import m"
    assert sorted(imports(code, 1)) == [(1, "a"), (1, "c"), (3, "d"), (5, ".."), (6, "...")]
    assert sorted(imports(code, 2)) == [(1, "a"), (1, "c"), (3, "d"), (6, "...")]


def test_importing_the_runtime_imports_nothing_heavy() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(RUNTIME.parent)!r})
import ernie_runtime.repository, ernie_runtime.steps.fused, ernie_runtime.triton.backend
from ernie_runtime.kinds import get_kind, kind_names
kinds = [get_kind(name) for name in kind_names()]
print(len(kinds), *(name for name in {HEAVY!r} if name in sys.modules))
"""
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    kinds, *heavy = completed.stdout.split()
    assert int(kinds) >= 2 and heavy == []
