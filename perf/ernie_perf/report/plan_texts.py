"""`ernie-triton perf plan RUN --task T --texts 1e9 --within 24h`: machines and machine-hours for a pile of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ernie_runtime.command_line import did_you_mean
from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import variant_ensemble

from ..errors import RunError
from ..sweep.run import Run
from .curves import Curve, Point, curves_of
from .document import machine_sentences


@dataclass(frozen=True, kw_only=True)
class Pile:
    """Texts to be answered some time, without a caller that waits."""

    texts: float
    within_s: float
    headroom: float  # share of each machine that is kept free
    price: float | None = None  # of a machine-hour, in any currency


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a variant needs for it: at its best measured load."""

    curve: Curve
    point: Point
    pile: Pile

    @property
    def rate(self) -> float:
        """Texts/s of a machine, what is kept free taken off."""
        return self.point.throughput * (1 - self.pile.headroom)

    @property
    def hours(self) -> float:
        """Machine-hours."""
        return self.pile.texts / self.rate / 3600

    @property
    def machines(self) -> int:
        """So many are done in time."""
        return math.ceil(self.pile.texts / self.rate / self.pile.within_s)

    @property
    def price_of_million(self) -> float | None:
        """price x 1,000,000 / (3600 x texts/s); None without a price."""
        return None if self.pile.price is None else self.pile.price * 1e6 / self.rate / 3600

    def to_json(self) -> JsonObject:
        """For --json."""
        price = {} if self.price_of_million is None else {"price_per_million_texts": self.price_of_million}
        return {
            "variant": self.curve.variant,
            "machines": self.machines,
            "machine_hours": self.hours,
            "texts_per_second": self.rate,
            "figure": self.curve.description.figure,
            **price,
        }


def work_of(run: Run, task: str, pile: Pile, max_drop: float | None) -> list[Work]:
    """What each variant that is accurate enough needs, the least first. RunError where there is none."""
    tasks = run.description.tasks
    if task not in tasks:
        raise RunError(f"{run.folder} has no task {task!r}; it has {', '.join(tasks)}{did_you_mean(task, tasks)}")
    work = []
    for curve in curves_of(run):
        points = [point for point in curve.served() if point.sustained]
        if curve.task == task and points and (max_drop is None or (curve.description.drop or 0.0) <= max_drop):
            work.append(Work(curve=curve, point=max(points, key=lambda p: p.throughput), pile=pile))
    if not work:
        raise RunError(f"no variant of {task} that loses at most {max_drop:g} points was measured")
    return sorted(work, key=lambda one: one.hours)


def plan_lines(run: Run, task: str, work: Sequence[Work]) -> list[str]:
    """The answer and its assumptions, in words."""
    best, texts = work[0], run.description.tasks[task].texts
    pile = best.pile
    many = f"{best.machines:,} machine{'s' * (best.machines != 1)}"
    lines = [
        f"{many} with {variant_ensemble(task, best.curve.variant)} for {pile.texts:,.0f} texts within "
        f"{pile.within_s / 3600:g} h: {best.hours:,.0f} machine-hours.",
        "",
        "variant: texts/s a machine, machines, machine-hours"
        + ("" if pile.price is None else f", a million texts at {pile.price:g} a machine-hour"),
    ]
    for one in work:
        price = "" if one.price_of_million is None else f", {one.price_of_million:.3g}"
        lines.append(f"  {one.curve.variant}: {one.rate:,.0f}, {one.machines:,}, {one.hours:,.0f}{price}")
    return [
        *lines,
        "",
        "Assumed:",
        f"- every machine is like the measured one. {machine_sentences(run.description)}",
        f"- texts like those measured: {texts.tokens_mean} tokens on average; cost grows with tokens",
        f"- {best.point.throughput:,.0f} texts/s at {best.point.label} through the server, the most that was "
        f"sustained, less {100 * pile.headroom:.0f}% (--headroom) for starts, the last parts and lost machines",
        "- storage keeps up, and machines need nothing from each other",
    ]
