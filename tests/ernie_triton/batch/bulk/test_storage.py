"""Folders and object storage list and keep the same; the latter on a real S3 server where moto is installed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.fs
import pytest

from ernie_triton.batch.bulk.storage import Folders, Objects
from ernie_triton.errors import FileError

from .conftest import contents

NAMES = ("a.jsonl", "b.jsonl", "b.txt", "more/c.jsonl", "more/deep/d.jsonl", "_log/e.jsonl", ".f.jsonl")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1\n" * len(name), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["a.jsonl", "b.jsonl", "b.txt", "more/c.jsonl", "more/deep/d.jsonl"]),
        ("/*.jsonl", ["a.jsonl", "b.jsonl"]),
        ("/[b-z].*", ["b.jsonl", "b.txt"]),
        ("/**/*.jsonl", ["a.jsonl", "b.jsonl", "more/c.jsonl", "more/deep/d.jsonl"]),
        ("/m*/*.jsonl", ["more/c.jsonl"]),
        ("/more/c.jsonl", ["c.jsonl"]),
        ("/none/*", []),
    ],
)
def test_both_find_the_same(tree: Path, pattern: str, expected: list[str]) -> None:
    found = Folders().files(f"{tree}{pattern}")
    objects = Objects(pyarrow.fs.SubTreeFileSystem(str(tree.parent), pyarrow.fs.LocalFileSystem()))
    also = objects.files(f"tree{pattern}")
    assert [file.name for file in found] == [file.name for file in also] == expected
    assert [file.size for file in found] == [file.size for file in also]


def test_a_file_is_put_whole(tree: Path, tmp_path: Path) -> None:
    folders = Folders()
    folders.put(tree / "a.jsonl", f"{tmp_path}/new/x.jsonl")
    assert folders.names(f"{tmp_path}/new") == {"x.jsonl"}
    with pytest.raises(FileError, match="cannot be written: File exists"):
        folders.put(tree / "a.jsonl", f"{tree}/a.jsonl/x")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket on an S3 server of this machine."""
    moto = pytest.importorskip("moto.server", reason="S3 is asked for real where moto[server] is installed")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    name = f"b{uuid.uuid4().hex}"
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=name)
    yield f"s3://{name}?scheme=http&endpoint_override={host}:{port}&region=us-east-1"
    server.stop()


def test_s3_to_s3(bucket: str, tmp_path: Path, folder: Path, run: Callable[..., int]) -> None:
    name, _, options = bucket.partition("?")
    system, root = pyarrow.fs.FileSystem.from_uri(bucket)
    for path in folder.glob("*.*"):
        with system.open_output_stream(f"{root}/texts/{path.name}") as out:
            out.write(path.read_bytes())
    urls = {"input": f"{name}/texts/[ad].*?{options}", "output": f"{name}/answers?{options}"}
    assert run(**urls) == 0 and run(**urls) == 0
    names = sorted(Objects(system).names(f"{root}/answers") - {"_run.json"})
    assert run() == 0
    here = contents(tmp_path / "out")
    assert names == sorted(name for name in here if name[0] in "ad")
    for written in names:
        with system.open_input_file(f"{root}/answers/{written}") as stream:
            assert stream.read() == here[written]
