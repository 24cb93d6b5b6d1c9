"""Which code a stage's result depends on: the rooms that its module imports, directly or through other modules."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path

import ernie_runtime

from ..filesystem import key_of, sha256_of

ROOTS = {
    "ernie_builders": Path(__file__).resolve().parents[1],
    "ernie_runtime": Path(ernie_runtime.__file__).resolve().parent,
}
PACKAGES = ("paddlepaddle", "paddlenlp", "paddle2onnx", "onnxruntime", "openvino", "nncf", "tokenizers")


def _rooms(package: str, names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names.split())


# Rooms of a stage: packages with all their modules, or single modules; a test compares them with
# what the module of the stage imports.
SERVING = _rooms(
    "ernie_runtime",
    "archives delimited engines json_types kinds manifest names numeric repository results steps text text_files "
    "workbook",
)
BUILDING = _rooms("ernie_builders", "checkpoints config filesystem framework kinds metrics modeling readers stages")
MODEL = (*SERVING, *BUILDING)  # exporting a model and evaluating it
VARIANTS = (*MODEL, "ernie_builders.compression")
REPOSITORY = (*VARIANTS, "ernie_builders.repository", "ernie_runtime.triton")
NOT_HASHED = (  # imported too, but no result depends on them: they print, start processes or check
    *_rooms("ernie_builders", "console errors processes lint compat"),
    *_rooms("ernie_runtime", "command_line errors install"),
)


@cache
def code_key(rooms: tuple[str, ...]) -> str:
    """Hash of the code in these rooms and of the versions of the packages that an answer depends on.

    Exporting, evaluating and publishing are repeated when it changes. Reading data and training are not: they have a
    FORMAT, which is raised by hand, so that a new release does not discard hours of training.
    """
    files = {name: sha256_of(path) for room in rooms for name, path in files_of(room).items()}
    return key_of([files, {name: _version(name) for name in PACKAGES}])


def files_of(room: str) -> dict[str, Path]:
    """The Python files of a room, by their path relative to the folder of the package."""
    package, *inside = room.split(".")
    root = ROOTS[package]
    path = root.joinpath(*inside)
    paths = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return {str(path.relative_to(root.parent)): path for path in paths}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
