"""Where perf_analyzer cannot run, one line says why and what to do."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from ernie_serve import ServeError, perf_analyzer


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, files: list[str]) -> None:
    """An installed tritonclient 2.60 with these files."""
    distribution = SimpleNamespace(version="2.60.0", files=files, locate_file=lambda name: folder / name)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: distribution)


def test_a_wheel_without_the_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """tritonclient for another system, or too new."""
    pretend(monkeypatch, tmp_path, ["tritonclient/grpc.py"])
    with pytest.raises(
        ServeError, match=r'2\.60\.0 here has no perf_analyzer: pip install "tritonclient\[all\]==2.50.0"'
    ):
        perf_analyzer.locate()


def test_a_binary_for_a_newer_glibc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the dynamic linker says is passed on."""
    message = "perf_analyzer: /lib/libc.so.6: version `GLIBC_2.38' not found"
    (tmp_path / "perf_analyzer").write_text(f'#!/bin/sh\necho "{message}" >&2\nexit 1\n'.replace("`", "\\`"))
    (tmp_path / "perf_analyzer").chmod(0o755)
    pretend(monkeypatch, tmp_path, ["perf_analyzer"])
    with pytest.raises(ServeError, match=r"does not run here: perf_analyzer: .*GLIBC_2\.38' not found; .*pip install"):
        perf_analyzer.locate()


def test_a_binary_for_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It does not even start."""
    (tmp_path / "perf_analyzer").write_bytes(b"\x7fELF of something else")
    (tmp_path / "perf_analyzer").chmod(0o755)
    pretend(monkeypatch, tmp_path, ["perf_analyzer"])
    with pytest.raises(ServeError, match=r"does not start: .*Exec format error.*; .*pip install"):
        perf_analyzer.locate()
