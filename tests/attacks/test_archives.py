"""Hostile archives: nothing is written outside of the place of unpacking, nothing grows without bound."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from ernie_builders.checkpoints.weight_formats import read_weights
from ernie_builders.config.tasks import DataConfig
from ernie_builders.errors import CheckpointError, DataError
from ernie_builders.readers.files.report import Report
from ernie_builders.readers.files.workbook import read_sheet
from ernie_builders.stages.locate import data_folder
from ernie_runtime import archives
from ernie_runtime.archives import UnsafeArchive, check_zip, unpack_tar, unpack_xz


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def tar(path: Path, *members: tarfile.TarInfo, content: bytes = b"hostile") -> Path:
    with tarfile.open(path, "w:xz") as archive:
        for info in members:
            info.size = len(content) if info.isfile() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


HOSTILE = {
    "above": [member("tnews/../../evil")],
    "absolute": [member("/tmp/evil")],
    "backslashes": [member("tnews\\..\\..\\evil")],
    "a link out": [member("tnews/link", tarfile.SYMTYPE, "/etc"), member("tnews/link/evil")],
    "a link upwards": [member("tnews", tarfile.SYMTYPE, ".."), member("tnews/evil")],
    "a hard link out": [member("tnews/passwd", tarfile.LNKTYPE, "/etc/passwd")],
    "a device": [member("tnews/null", tarfile.CHRTYPE)],
    "a pipe": [member("tnews/pipe", tarfile.FIFOTYPE)],
    "a file twice": [member("tnews/dev.json"), member("tnews/dev.json")],
    "a file as a folder": [member("tnews"), member("tnews/dev.json")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_members_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    data_dir, cache = tmp_path / "a" / "data", tmp_path / "a" / "cache"
    data_dir.mkdir(parents=True)
    tar(data_dir / "tnews.tar.xz", *HOSTILE[name])
    config = DataConfig(format="table", folder="tnews")
    with pytest.raises(DataError) as refused:
        data_folder(config, data_dir, "full", cache)
    assert "\n" not in str(refused.value) and "tnews.tar.xz: cannot be unpacked" in str(refused.value)
    written = {path.name for path in tmp_path.rglob("*") if not path.is_dir()}
    assert written <= {"tnews.tar.xz", ".lock"} and not Path("/tmp/evil").exists()


def test_modes_and_owners_are_left_out(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar.xz", member("a", tarfile.DIRTYPE, mode=0), member("a/b", mode=0o6777))
    (tmp_path / "out").mkdir()
    unpack_tar(tmp_path / "a.tar.xz", tmp_path / "out")
    assert (tmp_path / "out/a/b").read_bytes() == b"hostile"
    assert (tmp_path / "out/a/b").stat().st_mode & 0o6111 == 0 and os.access(tmp_path / "out/a", os.W_OK)


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL", 2**20)
    zeros = bytes(30 * 2**20)
    (tmp_path / "out").mkdir()
    with pytest.raises(UnsafeArchive, match="bytes in it"):
        unpack_tar(tar(tmp_path / "a.tar.xz", member("zeros"), content=zeros), tmp_path / "out")
    (tmp_path / "a.safetensors.xz").write_bytes(lzma.compress(zeros))
    with pytest.raises(CheckpointError, match="bytes in it"):
        read_weights(tmp_path / "a.safetensors.xz")
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", zeros)
    with pytest.raises(DataError, match="bytes in it"):
        read_sheet(tmp_path / "a.xlsx", Report())
    monkeypatch.setattr(archives, "MEMBERS", 50)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for number in range(51):
            archive.writestr(str(number), b"")
    with pytest.raises(UnsafeArchive, match="more than 50 members"):
        check_zip(tmp_path / "b.zip")
    with pytest.raises(UnsafeArchive, match="more than 50 members"):
        unpack_tar(tar(tmp_path / "b.tar.xz", *(member(str(n)) for n in range(51))), tmp_path / "out")


def test_a_header_of_gigabytes(tmp_path: Path) -> None:
    """tarfile would read it into memory before anybody sees the member."""
    header = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    header.size = 8 * 2**30 - 1
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    with pytest.raises(UnsafeArchive, match="a header of"):
        unpack_tar(tmp_path / "a.tar", tmp_path)


def test_cut_and_followed_files(tmp_path: Path) -> None:
    whole = lzma.compress(b"weights" * 100)
    for content in (whole[:-5], whole + b"more"):
        (tmp_path / "a.xz").write_bytes(content)
        with pytest.raises((lzma.LZMAError, EOFError)):
            unpack_xz(tmp_path / "a.xz")
    (tmp_path / "a.xz").write_bytes(whole)
    assert unpack_xz(tmp_path / "a.xz") == b"weights" * 100
