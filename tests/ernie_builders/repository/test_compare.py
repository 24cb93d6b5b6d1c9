"""`ernie-triton compare`: the table, the recommended variant, and going back a version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.compression.measure import may_be_chosen
from ernie_builders.errors import PublishError
from ernie_builders.lint.repository import lint
from ernie_builders.repository import compare
from ernie_builders.repository.compare import picked_variant, remarks, table
from ernie_runtime.manifest import Evaluation, Manifest, Variant
from ernie_runtime.repository import task_manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..places import Place
from ..tiny import manifest_with


def variant(name: str, metric: float, size: int, rate: float, passed: bool = True) -> Variant:
    timing = {"texts_per_second": rate, "p50_ms": 1000 / rate, "p99_ms": 2000 / rate, "ratio": rate / 100}
    machine = {"cpu": "a CPU", "instructions": ["avx2"], "threads": 2}
    speed = {
        "batch_1": timing,
        "best": timing,
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
def manifest() -> Manifest:
    variants = (
        variant("fp32", 90, 30_000_000, 100),
        variant("int8", 89.6, 8_000_000, 300),
        variant("w0.5-int8", 88.0, 5_000_000, 600, passed=False),
        variant("fp32-e8", 89.9, 7_000_000, 90),
    )
    return replace(manifest_with(3), variants=variants, recommended="fp32", main_metric="accuracy")


def test_variants_are_compared_on_the_largest_own_set_that_all_have(manifest: Manifest) -> None:
    """Never on a transfer set, which comes last."""
    small_set, large_set = (
        Evaluation(split="sample", rows=12, metrics={"accuracy": 66.0}, by="a"),
        Evaluation(split="dev", rows=500, metrics={"accuracy": 52.0}, by="b"),
    )
    transfer_set = Evaluation(split="elsewhere", rows=9000, metrics={"accuracy": 42.0}, by="this build")
    fp32 = replace(manifest.variants[0], evaluations=(large_set, small_set, transfer_set))
    int8 = replace(manifest.variants[1], evaluations=(small_set, transfer_set))
    single = replace(manifest, variants=(fp32,))
    assert single.compared() == {"fp32": large_set}
    assert table(single)[1][2] == "52.00" and "accuracy (dev, 500 rows)" in remarks(single)[0]
    with_refused = replace(manifest, variants=(fp32,), refused=(int8, replace(int8, name="w0.5", evaluations=())))
    assert with_refused.compared() == {"fp32": small_set, "int8": small_set}
    assert [row[2] for row in table(with_refused)[1:]] == ["66.00", "66.00", "-"]


def test_pick_by_name_or_rule(manifest: Manifest) -> None:
    assert picked_variant(manifest, "fastest", None) == "int8"
    assert picked_variant(manifest, "fastest", 0.2) == "fp32"
    assert picked_variant(manifest, "smallest", None) == "fp32-e8"
    assert picked_variant(manifest, "int8", 0.5) == "int8"
    for name, message in (("w0.5-int8", "did not pass the gate"), ("int4", "is none of its variants")):
        with pytest.raises(
            PublishError, match=f"'{name}' {message}; --pick takes fp32, int8, fp32-e8, fastest or smallest"
        ):
            picked_variant(manifest, name, None)


def test_table(manifest: Manifest) -> None:
    header, fp32, *rows = compare.table(manifest)
    assert len(header) == len(fp32)
    assert fp32[:6] == ["fp32 *", "onnxruntime", "90.00", "0.00", "30.0", "50"]
    assert rows[0][0] == "int8"
    assert rows[0][-1] == "3.00"
    lines = compare.remarks(manifest)
    assert "a CPU (avx2), 2 threads, 60 texts, medians of 5 rounds" in lines[2]
    assert lines[3].startswith("x fp32: ")
    assert lines[4] == "w0.5-int8 was forced: it is bad"
    assert compare.markdown(manifest).count("\n|") == 6


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("fp32", "int8"), "none was picked (--pick fastest, smallest or int8)"),
        (("fp32", "fp32-e8"), "the others that passed (fp32-e8) are not faster here"),
        (("fp32", "w0.5-int8"), "no other passed"),
    ],
)
def test_why_fp32_is_recommended(manifest: Manifest, names: tuple[str, ...], reason: str) -> None:
    subset = replace(manifest, variants=tuple(v for v in manifest.variants if v.name in names))
    assert compare.remarks(subset)[-1] == f"fp32 is recommended: {reason}"


def test_plot(manifest: Manifest, tmp_path: Path) -> None:
    from ernie_builders.repository.compare_plot import plot

    plot(manifest, tmp_path / "tnews.svg")
    text = (tmp_path / "tnews.svg").read_text(encoding="utf-8")
    assert "<svg" in text
    with pytest.raises(PublishError, match=r"expected a name that ends in \.svg or \.png"):
        plot(manifest, tmp_path / "tnews.jpeg")


def run(place: Place, *arguments: str) -> int:
    return compare.main(["topics", "--repository", str(place.output), *arguments])


def test_pick_changes_one_model(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in place.output.rglob("*.json")}
    assert run(place, "--pick", "int8-ort") == 0
    assert "int8-ort *" in capsys.readouterr().out
    assert task_manifest(place.output, "topics").recommended == "int8-ort"
    changed = {path.relative_to(place.output).parts[0] for path, text in before.items() if path.read_bytes() != text}
    assert changed == {"topics"}
    assert '"topics_encoder_int8-ort"' in (place.output / "topics" / "config.pbtxt").read_text(encoding="utf-8")
    assert not lint(place.output)[0]
    (answer,) = Pipeline.load(place.output, "topics").predict([("的一不是",)])
    assert not isinstance(answer, str)


def test_rollback(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    configs = {name: (place.output / name / "config.pbtxt").read_bytes() for name in ("topics", "topics_encoder_fp32")}
    assert place.build("--variants", "fp32,int8-ort,dynamic8", "--max-drop", "50", "--force") == 0
    assert (place.output / "topics_dynamic8").is_dir()
    assert run(place, "--rollback") == 0
    manifest = task_manifest(place.output, "topics")
    assert manifest.version == 1
    assert [v.name for v in manifest.variants] == ["fp32", "int8-ort"]
    assert not (place.output / "topics_dynamic8").exists()
    assert not lint(place.output)[0]
    assert {name: (place.output / name / "config.pbtxt").read_bytes() for name in configs} == configs
    capsys.readouterr()
    assert run(place, "--rollback") == 1
    assert "version 1 is the only one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pick", "int4"), "'int4' is none of its variants"),
        (("--plot", "x.jpeg"), "ends in .svg or .png"),
    ],
)
def test_a_fault_is_one_line(
    place: Place, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(place, *arguments) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_rollback_waits_for_a_build_that_is_publishing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It then goes back from the version that the build published."""

    @contextmanager
    def locked_after_a_build(output: Path) -> Iterator[None]:
        monkeypatch.undo()
        assert place.build("--variants", "fp32,int8-ort", "--max-drop", "60") == 0
        yield

    monkeypatch.setattr(compare, "locked", locked_after_a_build)
    before = task_manifest(place.output, "topics").version
    assert compare.main(["topics", "--repository", str(place.output), "--rollback"]) == 0
    assert task_manifest(place.output, "topics").version == before
    assert lint(place.output) == ([], [])


def test_no_such_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["topics", "--repository", str(tmp_path)]) == 1
    assert "has no task 'topics'" in capsys.readouterr().err


def test_how_ratios_are_made_and_when_they_are_not_to_be_relied_on(manifest: Manifest) -> None:
    def doubted(load: float | None, low: float, high: float) -> str:
        def measured(variant: Variant) -> Variant:
            best = {**variant.speed["best"], "ratio_low": low, "ratio_high": high}
            machine = {**variant.speed["machine"], "other_load": load}
            return replace(variant, speed={**variant.speed, "best": best, "machine": machine})

        return "\n".join(remarks(replace(manifest, variants=tuple(map(measured, manifest.variants)))))

    calm = doubted(0.02, 2.9, 3.1)
    assert "in the same round" in calm and "too busy" not in calm and "in another" not in calm
    assert "too busy" not in doubted(None, 2.9, 3.1)
    assert "too busy to measure: other programs took 62% of its processors" in doubted(0.62, 2.9, 3.1)
    assert "int8: the ratio was 1.50 in one round and 3.70 in another" in doubted(0.02, 1.5, 3.7)


def test_a_loss_that_may_be_chance_is_said(manifest: Manifest) -> None:
    gate = {"passed": True, "drop": 2.5, "drop_error": 2.47, "max_drop": 0.5, "p_value": 0.5, "rows": 40}
    doubtful = replace(manifest.variants[1], gate=gate)
    manifest = replace(manifest, variants=(manifest.variants[0], doubtful))
    assert "2.50 ± 2.47" in table(manifest)[2]
    assert any(
        "int8 lost 2.50 points" in line and "on 40 rows that may be chance" in line for line in remarks(manifest)
    )
    assert not may_be_chosen(doubtful)
    assert may_be_chosen(replace(doubtful, gate={**gate, "drop": 0.4}))
