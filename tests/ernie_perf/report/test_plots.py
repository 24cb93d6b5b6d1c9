"""The pictures of a report, read back from their SVG: what is drawn where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ernie_perf.report import plots
from ernie_perf.report.curves import Curve, curves_of
from ernie_perf.sweep.run import Run

from ..sample_run import both_variants, engine, served, write

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Picture:
    """matplotlib draws text as outlines and writes it into a comment beside them."""

    def __init__(self, svg: str | None) -> None:
        assert svg is not None
        assert "nan" not in svg.lower().replace("nano", "") and "inf" not in re.sub(r"infer|infinity", "", svg)
        parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
        self.root = ElementTree.fromstring(svg, parser=parser)
        axes = next(group for group in self.root.iter(f"{SVG}g") if group.get("id") == "axes_1")
        self.axes = axes
        clip = self.root.find(f"{SVG}defs/{SVG}clipPath/{SVG}rect")
        assert clip is not None
        x, y, width, height = (float(clip.attrib[name]) for name in ("x", "y", "width", "height"))
        self.box = (x, y, x + width, y + height)

    def texts(self) -> list[str]:
        """Everything that can be read."""
        return [(node.text or "").strip() for node in self.root.iter() if node.tag is ElementTree.Comment]

    def groups(self, prefix: str) -> Iterator[ElementTree.Element]:
        """Parts inside the axes by the beginning of their id."""
        for group in self.axes:
            if group.get("id", "").startswith(prefix):
                yield group

    def points(self) -> list[tuple[float, float]]:
        """Every marker inside the axes (the axis' own ticks are groups inside `matplotlib.axis`)."""
        points = []
        for group in (*self.groups("line2d_"), *self.groups("PathCollection_")):
            for use in group.iter(f"{SVG}use"):
                assert use.get(HREF), "a marker without a shape"
                points.append((float(use.attrib["x"]), float(use.attrib["y"])))
        return points

    def bars(self) -> list[tuple[float, float, float, float]]:
        """Left, top, right, bottom of every bar."""
        boxes = []
        for group in self.groups("patch_"):
            path = group.find(f"{SVG}path")
            if path is not None and "clip-path" in path.attrib:
                values = [float(value) for value in NUMBER.findall(path.attrib["d"])]
                xs, ys = values[::2], values[1::2]
                boxes.append((min(xs), min(ys), max(xs), max(ys)))
        return boxes

    def inside(self, x: float, y: float) -> bool:
        """Whether a point lies in the axes' box, its border included."""
        left, top, right, bottom = self.box
        return left - 0.1 <= x <= right + 0.1 and top - 0.1 <= y <= bottom + 0.1


def sample(folder: Path, records: list[dict[str, Any]] | None = None) -> list[Curve]:
    """The curves of a small run."""
    return curves_of(Run.load(write(folder, both_variants() if records is None else records)))


def test_latency_against_throughput(tmp_path: Path) -> None:
    """p99 and p50 of three loads of each mode and variant, all inside the box, loads and axes named."""
    picture = Picture(plots.throughput_latency(sample(tmp_path)))
    points = picture.points()
    assert len(points) == 2 * 2 * (3 + 3)
    assert all(picture.inside(x, y) for x, y in points)
    texts = picture.texts()
    assert {"texts/s", "latency, ms: p99 full, p50 faint"} <= set(texts)
    assert {"fp32", "fp32, open loop", "int8", "int8, open loop"} <= set(texts)
    assert texts.count("400/s") == 2 and {"1", "8", "32", "50/s", "100/s"} <= set(texts)


def test_a_faster_variant_is_drawn_further_right_and_lower(tmp_path: Path) -> None:
    """x grows to the right with texts/s, y upwards with latency."""
    fast = served("int8", "concurrency", 8, 1, 400, 20)
    slow = served("fp32", "concurrency", 8, 1, 100, 90)
    picture = Picture(plots.throughput_latency(sample(tmp_path, [slow, fast])))
    (slow_p99, slow_p50, fast_p99, fast_p50) = picture.points()
    assert fast_p99[0] == fast_p50[0] > slow_p99[0] == slow_p50[0]
    assert slow_p99[1] < slow_p50[1] and slow_p99[1] < fast_p99[1] < fast_p50[1]


def test_stages_add_up_to_the_latency(tmp_path: Path) -> None:
    """A bar per sustained load, its sum written behind it; the parts join: 4 of each of 3 steps, and the rest."""
    picture = Picture(plots.stage_bars(sample(tmp_path)))
    rows: dict[float, list[tuple[float, float]]] = {}
    for left, top, right, _ in picture.bars():
        rows.setdefault(top, []).append((left, right))
    assert len(rows) == 11  # fp32 does not sustain 400/s
    for segments in rows.values():
        assert len(segments) == 13
        for (_, right), (left, _) in pairwise(segments):
            assert left == pytest.approx(right, abs=1e-3)
    assert all(picture.inside(x, top) for top, segments in rows.items() for pair in segments for x in pair)
    texts = picture.texts()
    assert texts.count("4.0") >= 11  # avg_ms of every load
    assert {"encoder: infer", "tokenizer: queue", "postprocess: output", "ensemble, gRPC, client"} <= set(texts)
    assert "ms per request, on average" in texts and "fp32, 400/s, Poisson" not in texts


def test_another_model_is_one_stage(tmp_path: Path) -> None:
    """It is none of the three steps."""
    record = served("fp32", "concurrency", 8, 1, 100, 10)
    record["stages"] = [{**record["stages"][0], "model": "news_whole"}]
    picture = Picture(plots.stage_bars(sample(tmp_path, [record])))
    assert len(picture.bars()) == 5 and "whole: infer" in picture.texts()


def test_accuracy_against_throughput(tmp_path: Path) -> None:
    """A dot a variant, the recommended one a star; int8 is faster and less accurate, so both are on the line."""
    curves = sample(tmp_path)
    picture = Picture(plots.pareto(curves, "accuracy", "int8"))
    fp32, int8 = picture.points()
    assert int8[0] > fp32[0] and int8[1] > fp32[1]  # SVG's y grows downwards
    assert picture.inside(*fp32) and picture.inside(*int8)
    assert {"fp32", "int8", "accuracy, dev", "texts/s, best load"} <= set(picture.texts())
    (line,) = picture.groups("line2d_")
    path = line.find(f"{SVG}path")
    assert path is not None and len(NUMBER.findall(path.attrib["d"])) == 4
    shapes = [next(group.iter(f"{SVG}use")).get(HREF) for group in picture.groups("PathCollection_")]
    assert shapes[0] != shapes[1]


def test_a_variant_that_another_beats_in_both_is_not_on_the_line(tmp_path: Path) -> None:
    """fp32, where int8 is as accurate."""
    curves = sample(tmp_path)
    better = replace(curves[1], description=replace(curves[1].description, figure=60.0))
    picture = Picture(plots.pareto([curves[0], better], "accuracy", "int8"))
    (line,) = picture.groups("line2d_")
    path = line.find(f"{SVG}path")
    assert path is None or len(NUMBER.findall(path.attrib["d"])) == 2


def test_padding_waste(tmp_path: Path) -> None:
    """8 and 40 padding tokens on 100 real ones: the second bar is five times as long."""
    records = [
        served("fp32", "concurrency", value, 1, 100, 10, padding={"real_tokens": 100, "padding_tokens": padding})
        for value, padding in ((1, 8), (8, 40))
    ]
    picture = Picture(plots.padding_bars(sample(tmp_path, records)))
    first, second = picture.bars()
    assert second[2] - second[0] == pytest.approx(5 * (first[2] - first[0]), rel=1e-3)
    assert {"8.0%", "40.0%", "fp32, concurrency 8", "padding tokens per real token, %"} <= set(picture.texts())


def test_a_picture_without_data_is_left_out(tmp_path: Path) -> None:
    """The bare engine alone; one variant has no front; a server elsewhere counts no padding."""
    bare = sample(tmp_path / "bare", [engine("fp32", 8, "file", 1, 100.0)])
    assert plots.throughput_latency(bare) is None and plots.stage_bars(bare) is None
    assert plots.pareto(bare, "accuracy", "fp32") is None and plots.padding_bars(bare) is None
    single_variant = sample(tmp_path / "one", [served("fp32", "concurrency", 1, 1, 100, 10)])
    assert plots.pareto(single_variant, "accuracy", "fp32") is None


def test_pictures_do_not_change_from_run_to_run(tmp_path: Path) -> None:
    """They are committed: the same figures give the same bytes."""
    curves = sample(tmp_path)
    assert plots.throughput_latency(curves) == plots.throughput_latency(curves)
    first = plots.stage_bars(curves)
    assert first is not None and first.startswith("<svg") and "<dc:date>" not in first
