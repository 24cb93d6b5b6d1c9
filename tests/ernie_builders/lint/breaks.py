"""Ways to break the model repository of toy_repository.py, one file of it at a time."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.lint.repository import main
from ernie_builders.repository import model_config

from .toy_repository import onnx_bytes

AGAIN = "publish news again"
CONFIG, RAGGED = "news_encoder_fp32/config.pbtxt", "news_encoder_fp32/configs/ragged.pbtxt"
ONNX = "news_encoder_fp32/1/model.onnx"
Break = Callable[[Path], object]


def edit(file: str, old: str, new: str, count: int = 1) -> Break:
    """Replace text in a file."""

    def change(root: Path) -> None:
        text = (root / file).read_text(encoding="utf-8")
        assert old in text
        (root / file).write_text(text.replace(old, new, count), encoding="utf-8")

    return change


def config(file: str, change: Callable[[Any], object]) -> Break:
    """Change a configuration as a message."""

    def apply(root: Path) -> None:
        message = model_config.from_text((root / file).read_text(encoding="utf-8"))
        change(message)
        (root / file).write_text(model_config.to_text(message), encoding="utf-8")

    return apply


def tensor(file: str, side: str, name: str, **fields: Any) -> Break:
    """Change fields of one input or output."""

    def change(message: Any) -> None:
        (target,) = (t for t in getattr(message, side) if t.name == name)
        if "dims" in fields:
            target.dims[:] = fields["dims"]
        for field in fields.keys() - {"dims"}:
            setattr(target, field, fields[field])

    return config(file, change)


def write(file: str, content: bytes = b"") -> Break:
    """Write a file, with its folders."""

    def change(root: Path) -> None:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)

    return change


def remove(file: str) -> Break:
    """Delete a file or a folder."""
    return lambda root: shutil.rmtree(root / file) if (root / file).is_dir() else (root / file).unlink()


def move(old: str, new: str) -> Break:
    return lambda root: shutil.move(root / old, root / new)


def both(*breaks: Break) -> Break:
    """One after the other."""

    def change(root: Path) -> None:
        for step in breaks:
            step(root)

    return change


def graph(**changes: Any) -> Break:
    """Publish the graph of the news encoder changed, with its new size and hash in every manifest."""

    def change(root: Path) -> None:
        old, new = (root / ONNX).read_bytes(), onnx_bytes(**{"labels": 3, "per_token": False} | changes)
        (root / ONNX).write_bytes(new)
        for path in (*root.glob("news*/1/manifest.json"), *root.glob("news*/**/*.pbtxt")):
            text = path.read_text(encoding="utf-8")
            text = text.replace(f'bytes": {len(old)},', f'bytes": {len(new)},')
            text = text.replace(f'bytes\\": {len(old)},', f'bytes\\": {len(new)},')
            text = text.replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())
            path.write_text(text, encoding="utf-8")

    return change


def manifests(old: str, new: str) -> Break:
    """Change all the manifests of the task alike, the ensembles' parameter too."""
    quoted = [text.replace('"', '\\"') for text in (old, new)]
    files = [f"{name}/1/manifest.json" for name in ("news_tokenizer", "news_encoder_fp32", "news_postprocess")]
    files += [f"{name}/1/manifest.json" for name in ENSEMBLES]
    configs = [f"{name}/{file}" for name in ENSEMBLES for file in ("config.pbtxt", "configs/ragged.pbtxt")]
    return both(*(edit(file, old, new) for file in files), *(edit(file, *quoted) for file in configs))


ENSEMBLES = ("news", "news_fp32")
ENSEMBLE, TOKENIZER, POST = (
    "news/config.pbtxt",
    "news_tokenizer/config.pbtxt",
    "news_postprocess/config.pbtxt",
)
MANIFEST = "news/1/manifest.json"


def step(number: int) -> Callable[[Any], Any]:
    return lambda message: message.ensemble_scheduling.step[number]


@dataclass(frozen=True)
class Case:
    """A way to break the repository and the finding that lint must report: file, problem and fix."""

    change: Break
    file: str
    problem: str
    fix: str

    def check(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Break the repository and run the command."""
        self.change(root)
        assert main([str(root)]) == 1
        lines = capsys.readouterr().out.splitlines()
        matching = [line for line in lines if line.startswith(f"{self.file}: ") and self.problem in line]
        assert matching, lines
        assert self.fix in matching[0].removeprefix(f"{self.file}: ")
        assert not any(str(root) in line for line in lines)
