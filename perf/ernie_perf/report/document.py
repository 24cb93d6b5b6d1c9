"""The report of a run: its sections in order, and the sentences between tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import RunError
from ..sweep.description import RunDescription, TaskDescription
from ..sweep.records import SUSTAINED
from ..sweep.run import Run
from ..sweep.settings import RATE
from . import plots, tables
from .curves import Curve, curves_of
from .page import Figure, Heading, Page, Text

P99_LIMITS_MS = (10.0, 20.0, 50.0, 100.0, 200.0)
ENGINE_NOTE = (
    "In one process, tokenized beforehand, padded per batch, without a server. In order: texts as they come. "
    "Sorted: all texts sorted by length first, which a service cannot do."
)


def report_page(run: Run, p99_limits_ms: Sequence[float]) -> Page:
    """The page of a run. Errors: RunError where nothing was measured."""
    curves = [curve for curve in curves_of(run) if not curve.is_empty]
    if not curves:
        raise RunError(f"{run.folder}: nothing is measured yet; run the same sweep again to resume it")
    page = Page("Serving speed")
    page.add(Text(machine_sentences(run.description)), Text(method_sentences(run.description)))
    for task, description in run.description.tasks.items():
        if task_curves := [curve for curve in curves if curve.task == task]:
            _add_task(page, task, description, task_curves, p99_limits_ms)
    if (failures := tables.failures(curves)) is not None:
        page.add(Heading(2, "Failed"), failures)
    return page


def _add_task(
    page: Page, task: str, description: TaskDescription, curves: Sequence[Curve], p99_limits_ms: Sequence[float]
) -> None:
    metric, texts = description.metric, description.texts
    page.add(
        Heading(2, f"{task}: {description.title}"),
        Text(
            f"{texts.texts:,} texts ({texts.source}), {texts.tokens_mean} tokens on average, {texts.tokens_p50} at the "
            f"median, {texts.tokens_max} at most; {texts.windows:,} windows. "
            f"Recommended variant: {description.recommended}."
        ),
    )
    if (rates := tables.largest_rates(curves, p99_limits_ms)) is not None:
        page.add(Heading(3, "Largest request rate with p99 under a limit"), Text(_rate_note(curves)), rates)
    if (variants := tables.side_by_side(curves, metric)) is not None:
        page.add(Heading(3, "Variants side by side"), variants)
    page.add(
        _figure(f"{task}-latency", plots.throughput_latency(curves), "Latency against throughput; numbers: the load"),
        _figure(
            f"{task}-pareto",
            plots.pareto(curves, metric, description.recommended),
            "Accuracy against throughput; star: recommended; the line joins variants that none beats in both",
        ),
    )
    if (loads := tables.loads(curves)) is not None:
        page.add(Heading(3, "Every load"), loads)
    page.add(_figure(f"{task}-stages", plots.stage_bars(curves), "Where a request's time goes"))
    page.add(_figure(f"{task}-padding", plots.padding_bars(curves), "Padding waste in the encoder"))
    if (cpu := tables.cpu(curves)) is not None:
        page.add(Heading(3, "CPU milliseconds per text, by process"), cpu)
    if (engine := tables.engine(curves)) is not None:
        page.add(Heading(3, "Bare encoder, texts/s by batch size"), Text(ENGINE_NOTE), engine)


def _rate_note(curves: Sequence[Curve]) -> str:
    if any(curve.of_mode(RATE) for curve in curves):
        return (
            "Open loop: Poisson arrivals, whatever the server does. A rate counts as sustained where "
            f"{100 * SUSTAINED:.0f}% of it is answered, less two standard deviations of the number of arrivals (a "
            "large part of a low rate). This is the largest of the measured rates, not an interpolation."
        )
    return (
        "Closed loop only (no --rates were measured): a client waits for its answer before it sends its next request, "
        "so arrivals are smoother than users'. The best of the measured loads, not an interpolation."
    )


def machine_sentences(description: RunDescription) -> str:
    """What was measured on."""
    machine = description.machine
    instructions = ", ".join(machine.instructions) or "no vector instructions known"
    gpus = f"; GPU: {'; '.join(machine.gpus)}" if machine.gpus else ""
    versions = ", ".join(f"{name} {version}" for name, version in description.versions.items())
    server = f" Server: tritonserver {description.server.version}." if description.server else ""
    load = f" Load average when it began: {machine.load_average[0]}." if machine.load_average else ""
    return (
        f"Measured on {machine.cpu}, {instructions}, {machine.threads} threads{gpus}; device "
        f"{description.settings.device}.{server} {versions}.{load}"
    )


def method_sentences(description: RunDescription) -> str:
    """How it was measured."""
    settings = description.settings
    texts = "one text" if settings.request_texts == 1 else f"{settings.request_texts} texts"
    return (
        f"perf_analyzer over gRPC, {texts} a request; {settings.rounds} rounds of {settings.seconds:g} s, each over "
        "all variants in turn; figures are medians of the rounds. Every answer was compared with the same task's "
        "answer in one process; a wrong answer fails the measurement."
    )


def _figure(name: str, svg: str | None, caption: str) -> Figure | None:
    return Figure(name=name, svg=svg, caption=caption) if svg is not None else None
