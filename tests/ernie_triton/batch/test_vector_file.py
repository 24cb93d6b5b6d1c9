"""`--output vectors.npy` and `.npz`: rows by line, resumed after a stop, nothing kept for another run, flat memory."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_triton.batch import vector_file
from ernie_triton.items import Item
from ernie_triton.replies import Reply
from ernie_triton.results import TextError

from ..echo import RAW, TASK, Echo

Run = Callable[..., int]
DIMENSION = 4
VECTORS = replace(TASK, kind="embedding", dimension=DIMENSION)


class Vectors(Echo):
    """The vector of a text depends on the text alone."""

    def stream(
        self, task: str, texts: Iterable[Item], *, variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        for reply in super().stream(task, texts, variant=variant, batch_size=batch_size, numeric=numeric):
            if isinstance(reply, Reply):
                assert numeric
                reply = Reply({"dimension": DIMENSION}, {"EMBEDDING": vector_of(reply.raw["text"])})
            yield reply


def vector_of(text: str) -> np.ndarray:
    return np.random.default_rng(list(text.encode())).normal(size=DIMENSION).astype(np.float32)


def rows_of_raw() -> np.ndarray:
    """What RAW gives: see `echo`."""
    rows = np.full((40, DIMENSION), np.nan, np.float32)
    for n in range(40):
        if n % 7 not in (3, 5) and n % 11 != 1:
            rows[n] = vector_of(f"text {n}")
    return rows


@pytest.fixture
def array(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `in.jsonl` -> `out.npy`, in chunks smaller than the file."""
    monkeypatch.setattr(vector_file, "CHUNK", 8)
    (tmp_path / "in.jsonl").write_bytes(RAW)

    def start(source: Echo | None = None, name: str = "out.npy", **options: object) -> int:
        return run(source or Vectors(served_task=VECTORS), VECTORS, output=str(tmp_path / name), **options)

    return start


def test_a_row_per_line(tmp_path: Path, array: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert array() == 0
    assert "26 answered, 9 bad" in capsys.readouterr().err
    rows = np.load(tmp_path / "out.npy", mmap_mode="r")
    assert rows.dtype == np.float32 and np.array_equal(rows, rows_of_raw(), equal_nan=True)
    assert len((tmp_path / "out.npy.bad").read_bytes().splitlines()) == 9
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.npy", "out.npy.bad", "out.npy.state"}
    before = (tmp_path / "out.npy").stat()
    for _ in range(2):
        assert array() == 0 and "finished already: 26 answered, 9 bad" in capsys.readouterr().err
    assert (tmp_path / "out.npy").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("stop", [1, 9, 20, 26])
@pytest.mark.parametrize("name", ["out.npy", "out.npz"])
def test_a_run_goes_on_where_it_stopped(tmp_path: Path, array: Run, stop: int, name: str) -> None:
    assert array(Vectors(stop), name) == 1
    assert not (tmp_path / name).exists()
    second = Vectors()
    assert array(second, name) == 0
    assert second.asked < 40 - stop + 10
    assert array(name="whole" + name[3:]) == 0
    assert (tmp_path / name).read_bytes()[:4] == (tmp_path / f"whole{name[3:]}").read_bytes()[:4]
    first, whole = np.load(tmp_path / name), np.load(tmp_path / f"whole{name[3:]}")
    if name.endswith("y"):
        assert np.array_equal(first, whole, equal_nan=True) and np.array_equal(first, rows_of_raw(), equal_nan=True)
        return
    assert np.array_equal(first["vectors"], whole["vectors"]) and first["ids"].tolist() == whole["ids"].tolist()
    rows = rows_of_raw()
    assert np.array_equal(first["vectors"], rows[first["ids"]])  # ids of RAW count from 0
    assert len(first["ids"]) == 26 and first["ids"].dtype == np.int64


def test_a_kill_between_vector_and_line(tmp_path: Path, array: Run) -> None:
    """A vector without its line, and half of a vector, are written again."""
    assert array(Vectors(20)) == 1
    with (tmp_path / "out.npy.rows").open("ab") as rows:
        rows.write(b"\x01" * 22)
    assert array() == 0
    assert np.array_equal(np.load(tmp_path / "out.npy"), rows_of_raw(), equal_nan=True)


def test_lost_vectors_are_noticed(tmp_path: Path, array: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert array(Vectors(20)) == 1
    (tmp_path / "out.npy.rows").write_bytes(b"\x01" * 16)
    assert array() == 1
    assert "out.npy.rows has lost vectors that out.npy.lines names: give another" in capsys.readouterr().err
    assert array(overwrite=True) == 0
    assert np.array_equal(np.load(tmp_path / "out.npy"), rows_of_raw(), equal_nan=True)


@pytest.mark.parametrize(
    ("lines", "ids"),
    [
        (['{"id": "a", "text": "x"}', '{"id": "好", "text": "y"}'], ["a", "好"]),
        (['{"id": 7, "text": "x"}', '{"id": "b", "text": "y"}'], ["7", "b"]),
        (['{"id": 7, "text": "x"}', "", '{"text": "y"}'], [1, 3]),
        (['{"id": 99999999999999999999, "text": "x"}'], ["99999999999999999999"]),
        ([], []),
    ],
)
def test_ids(tmp_path: Path, array: Run, lines: list[str], ids: list[object]) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert array(name="out.npz") == 0
    written = np.load(tmp_path / "out.npz")
    assert written["ids"].tolist() == ids and written["vectors"].shape == (len(ids), DIMENSION)


def test_dimensions_are_cut_and_scaled(tmp_path: Path, array: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert array(dimensions=2) == 0
    rows, whole = np.load(tmp_path / "out.npy"), rows_of_raw()[:, :2]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    assert rows.shape == (40, 2) and np.allclose(rows, expected, equal_nan=True, atol=1e-6)
    assert array(dimensions=5, name="more.npy") == 1
    assert "gives vectors of 4 numbers; 5 is not 1 to 4" in capsys.readouterr().err


def test_what_an_array_cannot_hold(tmp_path: Path, array: Run, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def error() -> str:
        return capsys.readouterr().err.splitlines()[-1]

    assert run(output=str(tmp_path / "out.npy")) == 1
    assert "task echo (echo) gives no vector per text; give --output a .jsonl file" in error()
    assert array() == 0
    assert array(prefix="query") == 1 and "begun with prefix None, this run has prefix query" in error()
    with (tmp_path / "in.jsonl").open("ab") as file:
        file.write(b'"more"\n')
    assert array() == 1 and "out.npy is finished, and the input has more lines now" in error()
    assert np.array_equal(np.load(tmp_path / "out.npy"), rows_of_raw(), equal_nan=True)
    assert array(overwrite=True) == 0
    assert np.array_equal(np.load(tmp_path / "out.npy")[40], vector_of("more"))
    (tmp_path / "other.npy").write_bytes(b"mine")
    assert array(name="other.npy") == 1 and "other.npy.state, which describes it, does not" in error()
    assert (tmp_path / "other.npy").read_bytes() == b"mine"
    os.mkfifo(tmp_path / "pipe.npy")
    assert array(name="pipe.npy") == 1 and "pipe.npy is no regular file" in error()


def test_memory_does_not_grow_with_the_file(tmp_path: Path, array: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_file, "CHUNK", 64)
    wide = replace(VECTORS, dimension=1024)

    class Wide(Echo):
        def stream(
            self, task: str, texts: Iterable[Item], *, variant: str | None, batch_size: int, numeric: bool
        ) -> Generator[Reply | TextError, None, None]:
            for _ in texts:
                yield Reply({}, {"EMBEDDING": np.ones(1024, np.float32)})

    def peak(lines: int) -> int:
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(f"{n}") + "\n" for n in range(lines)))
        tracemalloc.start()
        assert run_wide(f"{lines}.npy") == 0
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert np.load(tmp_path / f"{lines}.npy", mmap_mode="r").shape == (lines, 1024)
        return most

    def run_wide(name: str) -> int:
        from ernie_triton.batch.plan import Plan
        from ernie_triton.batch.run import FileRun

        plan = Plan(input=str(tmp_path / "in.jsonl"), output=str(tmp_path / name), batch_size=4)
        return FileRun(Wide(), wide, plan).run()

    peak(50)  # what is imported and cached once
    assert peak(2000) - peak(200) < 100_000  # the array has 7 MB more
