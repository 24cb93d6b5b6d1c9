"""`ernie-triton compare`: the table, which variant is recommended, back a version."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.errors import PublishError
from ernie_builders.lint.repository import lint
from ernie_builders.repository import compare
from ernie_builders.repository.compare import picked_variant, remarks, table
from ernie_runtime.manifest import Evaluation, Manifest, Variant
from ernie_runtime.repository import task_manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..places import Place, copied
from ..tiny import manifest_with


def variant(name: str, metric: float, size: int, rate: float, passed: bool = True) -> Variant:
    part = {"texts_per_second": rate, "p50_ms": 1000 / rate, "p99_ms": 2000 / rate, "ratio": rate / 100}
    machine = {"cpu": "a CPU", "instructions": ["avx2"], "threads": 2}
    speed = {
        "batch_1": part,
        "best": part,
        "best_batch": 8,
        "memory": 5e7,
        "model_memory": 2e7,
        "machine": machine,
        "rounds": 5,
        "texts": 60,
    }
    gate = {"passed": passed, "drop": 90 - metric, **({} if passed else {"reason": "it is bad"})}
    evaluations = (Evaluation(split="dev", rows=60, metrics={"accuracy": metric}, by="this build"),)
    return Variant(
        name=name,
        engine="onnxruntime",
        file="model.onnx",
        bytes=size,
        sha256="",
        max_abs_error=0.0,
        evaluations=evaluations,
        gate=gate,
        speed=speed,
    )


@pytest.fixture
def measured() -> Manifest:
    variants = (
        variant("fp32", 90, 30_000_000, 100),
        variant("int8", 89.6, 8_000_000, 300),
        variant("w0.5-int8", 88.0, 5_000_000, 600, passed=False),
        variant("fp32-e8", 89.9, 7_000_000, 90),
    )
    return replace(manifest_with(3), variants=variants, recommended="fp32", main_metric="accuracy")


def test_figures_are_of_own_rows_that_all_variants_have(measured: Manifest) -> None:
    """Never those of a transfer set, which comes last; of the largest set, where there are two."""
    small, large = (
        Evaluation(split="sample", rows=12, metrics={"accuracy": 66.0}, by="a"),
        Evaluation(split="dev", rows=500, metrics={"accuracy": 52.0}, by="b"),
    )
    transfer = Evaluation(split="elsewhere", rows=9000, metrics={"accuracy": 42.0}, by="this build")
    full = replace(measured.variants[0], evaluations=(large, small, transfer))
    eight = replace(measured.variants[1], evaluations=(small, transfer))
    alone = replace(measured, variants=(full,))
    assert alone.compared() == {"fp32": large}
    assert table(alone)[1][2] == "52.00" and "accuracy (dev, 500 rows)" in remarks(alone)[0]
    together = replace(measured, variants=(full,), refused=(eight, replace(eight, name="w0.5", evaluations=())))
    assert together.compared() == {"fp32": small, "int8": small}
    assert [row[2] for row in table(together)[1:]] == ["66.00", "66.00", "-"]


def test_what_pick_means(measured: Manifest) -> None:
    assert picked_variant(measured, "fastest", None) == "int8"
    assert picked_variant(measured, "fastest", 0.2) == "fp32"
    assert picked_variant(measured, "smallest", None) == "fp32-e8"
    assert picked_variant(measured, "int8", 0.5) == "int8"
    for name, says in (("w0.5-int8", "did not pass the gate"), ("int4", "is none of its variants")):
        with pytest.raises(
            PublishError, match=f"'{name}' {says}; --pick takes fp32, int8, fp32-e8, fastest or smallest"
        ):
            picked_variant(measured, name, None)


def test_table(measured: Manifest) -> None:
    header, fp32, *others = compare.table(measured)
    assert len(header) == len(fp32)
    assert fp32[:6] == ["fp32 *", "onnxruntime", "90.00", "0.00", "30.0", "50"]
    assert others[0][0] == "int8"
    assert others[0][-1] == "3.00"
    lines = compare.remarks(measured)
    assert "a CPU (avx2), 2 threads, 60 texts, medians of 5 rounds" in lines[2]
    assert lines[3] == "w0.5-int8 was forced: it is bad"
    assert compare.markdown(measured).count("\n|") == 6


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (("fp32", "int8"), "none was picked (--pick fastest, smallest or int8)"),
        (("fp32", "fp32-e8"), "the others that passed (fp32-e8) are not faster here"),
        (("fp32", "w0.5-int8"), "no other passed"),
    ],
)
def test_why_fp32_is_recommended(measured: Manifest, kept: tuple[str, ...], why: str) -> None:
    only = replace(measured, variants=tuple(v for v in measured.variants if v.name in kept))
    assert compare.remarks(only)[-1] == f"fp32 is recommended: {why}"


def test_plot(measured: Manifest, tmp_path: Path) -> None:
    from ernie_builders.repository.compare_plot import plot

    plot(measured, tmp_path / "tnews.svg")
    text = (tmp_path / "tnews.svg").read_text(encoding="utf-8")
    assert "<svg" in text
    with pytest.raises(PublishError, match=r"expected a name that ends in \.svg or \.png"):
        plot(measured, tmp_path / "tnews.jpeg")


@pytest.fixture(scope="module")
def published(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two variants."""
    place = copied(finished, tmp_path_factory.mktemp("two"))
    assert place.build("--variants", "fp32,int8-ort", "--max-drop", "50") == 0
    return place


@pytest.fixture
def two(published: Place, tmp_path: Path) -> Place:
    """Two variants, which may be changed."""
    place = copied(published, tmp_path)
    shutil.copytree(published.output, place.output)
    return place


def run(place: Place, *arguments: str) -> int:
    return compare.main(["topics", "--repository", str(place.output), *arguments])


def test_pick_changes_one_model(two: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in two.output.rglob("*.json")}
    assert run(two, "--pick", "int8-ort") == 0
    assert "int8-ort *" in capsys.readouterr().out
    assert task_manifest(two.output, "topics").recommended == "int8-ort"
    changed = {path.relative_to(two.output).parts[0] for path, text in before.items() if path.read_bytes() != text}
    assert changed == {"topics"}
    assert '"topics_encoder_int8-ort"' in (two.output / "topics" / "config.pbtxt").read_text(encoding="utf-8")
    assert not lint(two.output)[0]
    (answer,) = Pipeline.load(two.output, "topics").predict([("的一不是",)])
    assert not isinstance(answer, str)


def test_rollback(two: Place, capsys: pytest.CaptureFixture[str]) -> None:
    first = {name: (two.output / name / "config.pbtxt").read_bytes() for name in ("topics", "topics_encoder_fp32")}
    assert two.build("--variants", "fp32,int8-ort,dynamic8", "--max-drop", "50", "--force") == 0
    assert (two.output / "topics_dynamic8").is_dir()
    assert run(two, "--rollback") == 0
    manifest = task_manifest(two.output, "topics")
    assert manifest.version == 1
    assert [v.name for v in manifest.variants] == ["fp32", "int8-ort"]
    assert not (two.output / "topics_dynamic8").exists()
    assert not lint(two.output)[0]
    assert {name: (two.output / name / "config.pbtxt").read_bytes() for name in first} == first
    capsys.readouterr()
    assert run(two, "--rollback") == 1
    assert "version 1 is the only one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pick", "int4"), "'int4' is none of its variants"),
        (("--plot", "x.jpeg"), "ends in .svg or .png"),
    ],
)
def test_one_line(two: Place, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str) -> None:
    assert run(two, *arguments) == 1
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


def test_what_a_build_published_meanwhile_counts(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rolling back waits for the publisher and then goes back from what that one published."""

    @contextmanager
    def late(output: Path) -> Iterator[None]:
        monkeypatch.undo()
        assert two.build("--variants", "fp32,int8-ort", "--max-drop", "60") == 0
        yield

    monkeypatch.setattr(compare, "locked", late)
    before = task_manifest(two.output, "topics").version
    assert compare.main(["topics", "--repository", str(two.output), "--rollback"]) == 0
    assert task_manifest(two.output, "topics").version == before
    assert lint(two.output) == ([], [])


def test_no_such_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["topics", "--repository", str(tmp_path)]) == 1
    assert "has no task 'topics'" in capsys.readouterr().err
