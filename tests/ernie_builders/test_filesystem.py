"""Files and folders are complete or absent: after a kill, on a full disk, with several writers."""

from __future__ import annotations

import errno
import hashlib
import os
import posix
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ernie_builders import filesystem
from ernie_builders.filesystem import (
    disk_error,
    find_whole,
    key_of,
    locked,
    put_in_place,
    sha256_of,
    whole_file,
    whole_folder,
    write_file,
    write_json,
)

from .places import small_files

OLD, NEW = {"a": "old a", "sub/b": "old b"}, {"a": "new a", "sub/b": "new b", "c": "new c"}

# Each child is killed before another line of filesystem.py runs; the last one reaches the end.
KILLED = """
import os, signal, sys
from pathlib import Path
from ernie_builders import filesystem

target, place, in_one_step = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "True"


class NoExchange:  # as on a file system that cannot exchange two folders
    def renameat2(self, *arguments):
        filesystem.ctypes.set_errno(22)
        return -1


if not in_one_step:
    filesystem.ctypes.CDLL = lambda *arguments, **settings: NoExchange()


def fill(folder, word):
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "a").write_text(f"{word} a")
    (folder / "sub" / "b").write_text(f"{word} b")
    if word == "new":
        (folder / "c").write_text("new c")


def write():
    if target == "file":
        filesystem.write_file(place / "file", "new" * 1000)
    else:
        with filesystem.whole_folder(place / "folder") as folder:
            fill(folder, "new")


def read():
    if target == "file":
        return {"old": "old", "new" * 1000: "new"}.get((place / "file").read_text())
    folder = filesystem.find_whole(place / "folder")
    texts = sorted(p.read_text() for p in folder.rglob("*") if p.is_file())
    return {"old a,old b": "old", "new a,new b,new c": "new"}.get(",".join(texts))


for line in range(1000):
    if target == "file":
        (place / "file").write_text("old")
    else:
        filesystem.shutil.rmtree(place / "folder", ignore_errors=True)
        filesystem.shutil.rmtree(place / "folder.old", ignore_errors=True)
        fill(place / "folder", "old")
    child = os.fork()
    if child == 0:
        remaining = [line]

        def trace(frame, event, argument):
            if frame.f_code.co_filename != filesystem.__file__:
                return None
            if event == "line":
                remaining[0] -= 1
                if remaining[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        write()
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(ended, read())
    if ended == 0:
        break
"""


@pytest.mark.parametrize(("target", "in_one_step"), [("file", True), ("folder", True), ("folder", False)])
def test_a_kill_anywhere_leaves_the_old_or_the_new(tmp_path: Path, target: str, in_one_step: bool) -> None:
    command = [sys.executable, "-c", KILLED, target, str(tmp_path), str(in_one_step)]
    roots = os.pathsep.join(path for path in sys.path if path)
    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": roots}, check=True
    )
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [code for code, _ in lines] == ["-9"] * (len(lines) - 1) + ["0"]
    states = [state for _, state in lines]
    assert states == sorted(states, reverse=True)  # "old" up to some line, "new" after it
    assert states.count("old") > 5 and states.count("new") > 2 and states.count("None") == 0


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_write_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "第一\n")
    assert path.read_bytes() == "第一\n".encode()
    write_file(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_json(path, {"label": "好"})
    assert path.read_text(encoding="utf-8") == '{\n "label": "好"\n}\n'
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "old")
    with small_files(1000), pytest.raises(OSError) as fault:
        write_file(path, "new" * 1000)
    assert fault.value.errno == errno.EFBIG and fault.value.filename == str(path)
    assert files_of(tmp_path) == {"file": "old"}


def test_a_full_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    fill(tmp_path / "folder", OLD)
    with small_files(1000), pytest.raises(OSError, match="File too large"), whole_folder(tmp_path / "folder") as new:
        fill(new, NEW)
        (new / "large").write_text("new" * 1000)
    assert files_of(tmp_path / "folder") == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("target", ["file", "folder"])
def test_a_disk_that_is_full_when_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """Some file systems report it only then."""
    fill(tmp_path, {"file": "old", "folder/a": "old a"})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(filesystem.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        if target == "file":
            write_file(tmp_path / "file", "new")
        else:
            with whole_folder(tmp_path / "folder") as new:
                fill(new, NEW)
    assert files_of(tmp_path) == {"file": "old", "folder/a": "old a"}


def test_everything_is_synced_before_it_is_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, rename = posix.fsync, Path.rename  # os.fsync does nothing here

    def synced(handle: int) -> None:
        steps.append(Path(f"/proc/self/fd/{handle}").resolve().name)
        sync(handle)

    monkeypatch.setattr(filesystem.os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", lambda self, target: (steps.append("rename"), rename(self, target))[1])
    with whole_folder(tmp_path / "folder") as new:
        fill(new, NEW)
    assert set(steps[: steps.index("rename")]) == {"a", "b", "c", "sub", ".folder.new"}
    assert steps[steps.index("rename") + 1 :] == [tmp_path.name]


def test_a_file_system_that_cannot_sync_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(filesystem.os, "fsync", refuse)
    write_file(tmp_path / "file", "new")
    assert files_of(tmp_path) == {"file": "new"}


def test_an_error_leaves_the_old(tmp_path: Path) -> None:
    fill(tmp_path, {"file": "old", "folder/a": "old a"})
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "folder") as new:
        fill(new, NEW)
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="half"), whole_file(tmp_path / "file") as path:
        path.write_text("half")
        raise ValueError("half")
    assert files_of(tmp_path) == {"file": "old", "folder/a": "old a"}


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_in_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool) -> None:
    if not in_one_step:
        monkeypatch.setattr(filesystem, "ctypes", _NoExchange())
    fill(tmp_path / "ready", NEW)
    fill(tmp_path / "folder", OLD)
    fill(tmp_path / "folder.old", {"x": "left by a kill"})
    put_in_place(tmp_path / "ready", tmp_path / "folder")
    assert files_of(tmp_path / "folder") == NEW and not (tmp_path / "ready").exists()
    assert find_whole(tmp_path / "folder") == tmp_path / "folder"


class _NoExchange:
    """ctypes on a file system that cannot exchange two folders."""

    def CDLL(self, name: None, use_errno: bool) -> _NoExchange:
        return self

    def renameat2(self, *arguments: object) -> int:
        return -1

    def get_errno(self) -> int:
        return errno.EINVAL


def test_leftovers_are_discarded(tmp_path: Path) -> None:
    fill(tmp_path / ".folder.new", {"half": "of a folder"})
    with whole_folder(tmp_path / "folder") as new:
        assert list(new.iterdir()) == []
        fill(new, NEW)
    assert files_of(tmp_path / "folder") == NEW
    assert find_whole(tmp_path / "other") is None


def test_several_threads_write_one_file(tmp_path: Path) -> None:
    path, faults = tmp_path / "file", list[str]()
    texts = [letter * 50_000 for letter in "abcd"]
    write_file(path, texts[0])

    def write(text: str) -> None:
        for _ in range(20):
            write_file(path, text)
            if path.read_text() not in texts:
                faults.append(text[:1])

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and list(tmp_path.iterdir()) == [path]


def test_a_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    holders, most_holders = 0, 0

    def work() -> None:
        nonlocal holders, most_holders
        for _ in range(50):
            with locked(tmp_path):
                holders += 1
                most_holders = max(most_holders, holders)
                holders -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most_holders == 1


def test_hashes(tmp_path: Path) -> None:
    data = os.urandom(3 * (1 << 20) + 1)
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(data).hexdigest()
    assert key_of({"a": 1, "b": ["好"]}) == key_of({"b": ["好"], "a": 1}) != key_of({"a": 1, "b": []})
    assert len(key_of("x")) == 12


def test_messages_of_disk_errors(tmp_path: Path) -> None:
    assert str(disk_error(OSError(errno.ENOSPC, "x"), tmp_path)) == (
        f"{tmp_path}: the disk is full; free some space and run the same command again, it goes on from here"
    )
    refused = OSError(errno.EACCES, "x", "there")
    assert str(disk_error(refused, tmp_path)) == "there: no permission to write; choose another --cache or --output"
    assert str(disk_error(OSError(errno.EIO, "Input/output error"), tmp_path)) == f"{tmp_path}: Input/output error"
