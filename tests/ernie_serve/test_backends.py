"""The backend directory, and the parts of the wheel it is made of."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_serve import ServeError, backends, detached, perf_analyzer, wheel

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A python_backends folder with one backend, and one folder that is not a backend."""
    for name in ("mine/model.py", "other/notes.txt"):
        path = tmp_path / "python_backends" / name
        path.parent.mkdir(parents=True)
        path.write_text("first")
    return tmp_path / "python_backends"


def test_directory_copies_the_wheel_and_links_ours(source: Path, tmp_path: Path) -> None:
    parts = wheel.find_wheel()
    directory = backends.assemble(parts, source, tmp_path / "cache")
    assert sorted(path.name for path in directory.iterdir()) == ["ernie_runtime", "mine", "python"]
    for file in parts.python_backend:
        assert not (directory / "python" / file.name).is_symlink()
        assert (directory / "python" / file.name).stat().st_size == file.stat().st_size
    assert os.access(directory / "python" / "triton_python_backend_stub", os.X_OK)
    (source / "mine" / "model.py").write_text("second")
    assert (directory / "mine" / "model.py").read_text() == "second"


def test_directory_is_repaired_and_follows_the_source(source: Path, tmp_path: Path) -> None:
    parts = wheel.find_wheel()
    directory = backends.assemble(parts, source, tmp_path / "cache")
    stub = directory / "python" / "triton_python_backend_stub"
    size, inode = stub.stat().st_size, stub.stat().st_ino
    backends.assemble(parts, source, tmp_path / "cache")
    assert stub.stat().st_ino == inode, "a good copy is kept"
    stub.write_bytes(b"cut short")
    (source / "mine").rename(source / "renamed")
    backends.assemble(parts, source, tmp_path / "cache")
    assert stub.stat().st_size == size
    assert sorted(path.name for path in directory.iterdir()) == ["ernie_runtime", "python", "renamed"]


def test_many_may_assemble_at_once(source: Path, tmp_path: Path) -> None:
    parts = wheel.find_wheel()
    with ThreadPoolExecutor(8) as pool:
        directory = list(pool.map(lambda _: backends.assemble(parts, source, tmp_path / "cache"), range(32)))
    assert len(set(directory)) == 1
    assert not [path for path in directory[0].rglob("*") if path.name.startswith(".tmp")]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match=r"cannot write the backend directory .* set ERNIE_TRITON_CACHE"):
        backends.assemble(wheel.find_wheel(), cache=tmp_path / "file")


def test_an_installed_copy_brings_the_backends(tmp_path: Path) -> None:
    ours = {path.parent.name for path in (ROOT / "python_backends").glob("*/model.py")}
    assert {path.parent.name for path in backends.INSTALLED.glob("*/model.py")} == ours
    site = tmp_path / "site-packages"
    for package in ("ernie_serve", "ernie_runtime"):
        shutil.copytree(ROOT / "python_backends" / package, site / package)  # links become folders, as in a wheel
    code = f"""
import sys
sys.path.insert(0, {str(site)!r})
from ernie_serve import backends, wheel
print(backends.cache_root(), backends.assemble(wheel.find_wheel()), sep="\\n")
"""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    env.pop(backends.CACHE_VARIABLE, None)
    command = [sys.executable, "-c", code]
    completed = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    cache, directory = map(Path, completed.stdout.split())
    assert cache == tmp_path / "cache" / "ernie-triton" and directory.parent == cache
    assert {path.name for path in directory.iterdir()} == {*ours, "ernie_runtime", "python"}
    assert (directory / "onnxruntime").readlink() == site / "ernie_serve/adapters/onnxruntime"
    assert (directory / "ernie_runtime/kinds/__init__.py").is_file()


def test_missing_parts_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(wheel, "python_version", lambda: "3.7")
        with pytest.raises(ServeError, match=r"no stub for Python 3\.7, only for 3\.8, 3\.9, 3\.10, 3\.11, 3\.12"):
            wheel.find_wheel()
        patch.setattr(sysconfig, "get_config_var", lambda name: None)
        with pytest.raises(ServeError, match=r"libpython3\.7\.so\.1\.0 was not found"):
            wheel.find_libpython()

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ServeError, match=r"tritonserver is not installed .*: make (-C \S+ )?setup$"):
        wheel.find_wheel()


def test_perf_analyzer_runs() -> None:
    binary, env = perf_analyzer.locate()
    completed = subprocess.run([binary, "--version"], env=env, capture_output=True, text=True, check=True)
    assert "Perf Analyzer" in completed.stdout + completed.stderr


def test_a_record_of_another_process_with_the_same_number_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backends.CACHE_VARIABLE, str(tmp_path))
    start_time = detached.start_time(os.getpid())
    record = detached.Record(
        pid=os.getpid(),
        started=start_time,
        host="127.0.0.1",
        http_port=8123,
        grpc_port=1,
        metrics_port=2,
        drain_seconds=5,
        repository="models",
        log_file="log",
    )
    record.write()
    assert detached.find(None) == record
    with pytest.raises(ServeError, match="no server runs in the background on HTTP port 9999; one runs on 8123"):
        detached.find(9999)
    stale = replace(record, started=start_time - 1)
    stale.write()
    assert detached.running() == []
    assert not stale.path.exists()
