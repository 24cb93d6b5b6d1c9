"""`ernie-triton perf growth --task T`: cost per token as texts grow longer and callers more, with and without a server.

Equal figures down a column mean that cost grows with the text and nothing else; attention makes long texts dearer.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from ernie_builders.config.tasks import TASKS_FILE
from ernie_runtime.command_line import CommandLine
from ernie_runtime.manifest import Variant
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from ..command import DEFAULT_REPOSITORY, positive_ints, run_command
from ..errors import PerfError
from ..sweep.engine import measure_engine
from ..sweep.expected import ExpectedAnswers, expected_answers
from ..sweep.settings import TaskSelection
from ..sweep.tasks import select_one
from ..sweep.texts import Item, TaskTexts, tokenize_texts
from .load_client import LoadClient
from .own_server import check_answers, print_figures, server_of

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
SOURCE_TEXTS = 2000  # that texts of each length are made of
CUTS = 20  # of a text until it has the tokens wanted
WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class GrowthOptions:
    """What the command line asks for."""

    selection: TaskSelection
    lengths: Sequence[int]  # tokens per text; empty: LENGTHS, up to the task's longest window
    batches: Sequence[int]  # batch sizes of the bare engine
    callers: Sequence[int]
    rounds: int
    seconds: float  # per served measurement
    texts: int  # of each length
    output: Path | None  # a JSON file
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class LengthFigures:
    """One length; medians over the rounds."""

    tokens: int  # per text
    engine: Mapping[int, float]  # batch size -> texts/s
    served: Mapping[int, float]  # callers -> texts/s
    p50_ms: Mapping[int, float]  # callers -> latency

    def cells(self) -> list[str]:
        """Tokens; microseconds per token by batch size, then by callers; the latency by callers."""
        costs = [1e6 / (rate * self.tokens) for rate in (*self.engine.values(), *self.served.values())]
        return [str(self.tokens), *(f"{cost:.0f}" for cost in costs), *(f"{ms:.1f}" for ms in self.p50_ms.values())]


def parse(argv: Sequence[str] | None = None) -> GrowthOptions:
    """Wrong usage exits with 2."""
    p = CommandLine(prog="ernie-triton perf growth", description=__doc__)
    p.add_argument("--repository", type=Path, default=DEFAULT_REPOSITORY, help="(default: %(default)s)")
    p.add_argument("--task", required=True, help="a task with one text as input")
    p.add_argument("--variant", default="recommended", help="(default: %(default)s)")
    p.add_argument(
        "--lengths", type=positive_ints, default=(), help="tokens per text (default: 8,16,... up to the task's window)"
    )
    p.add_argument(
        "--batches", type=positive_ints, default=(1, 8, 32), help="batch sizes of the bare engine (default: 1,8,32)"
    )
    p.add_argument(
        "--concurrency", type=positive_ints, default=(1, 8, 32), help="callers, one text each (default: 1,8,32)"
    )
    p.add_argument("--rounds", type=int, default=3, help="over all lengths in turn; medians are shown (default: 3)")
    p.add_argument("--seconds", type=float, default=2.0, help="per served measurement (default: 2)")
    p.add_argument("--data-dir", type=Path, help="the texts that are cut and joined (default: the sample that ships)")
    p.add_argument("--tasks-file", type=Path, default=TASKS_FILE, help="(default: the one that ships)")
    p.add_argument("--limit", type=int, default=64, help="texts of each length (default: 64)")
    p.add_argument("--output", type=Path, help="write the figures and the machine to this JSON file")
    p.add_argument("--json", action="store_true", help="print the figures as one object")
    args = p.parse_args(argv)
    if args.rounds <= 0 or args.seconds <= 0 or args.limit <= 0:
        p.error("--rounds, --seconds and --limit must be above 0")
    selection = TaskSelection(
        repository=args.repository,
        tasks=args.task,
        variants=args.variant,
        tasks_file=args.tasks_file,
        texts={},
        data_dir=args.data_dir,
        limit=SOURCE_TEXTS,
    )
    return GrowthOptions(
        selection=selection,
        lengths=args.lengths,
        batches=args.batches,
        callers=args.concurrency,
        rounds=args.rounds,
        seconds=args.seconds,
        texts=args.limit,
        output=args.output,
        json=args.json,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 1 an error (one line), 2 usage, 130 interrupted."""
    options = parse(argv)

    def work() -> int:
        figures = growth(options)
        print_figures(table(figures), {"lengths": [asdict(length) for length in figures]}, options.output, options.json)
        return 0

    return run_command("ernie-triton perf growth", work)


def table(figures: Sequence[LengthFigures]) -> str:
    """As Markdown: microseconds per token, then p50 in ms."""
    first = figures[0]
    header = ["tokens a text", *(f"engine, batch {batch}: us a token" for batch in first.engine)]
    header += [f"served, {callers} callers: us a token" for callers in first.served]
    header += [f"{callers} callers: p50 ms" for callers in first.p50_ms]
    rows = [header, ["---:"] * len(header), *(length.cells() for length in figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def growth(options: GrowthOptions) -> list[LengthFigures]:
    """Start a server with the task alone and measure every length, rounds in turn.

    Errors: PerfError, BuildError, ErnieError, ServeError.
    """
    task, variant = select_one(options.selection)
    if (inputs := len(task.texts.items[0])) != 1:
        raise PerfError(f"task {task.name} takes {inputs} texts; growth is measured with one")
    repository = options.selection.repository
    pipeline = Pipeline.load(repository, task.name, variant.name)
    lengths = options.lengths or [n for n in LENGTHS if n <= task.manifest.limits.max_length]
    texts = {n: texts_of_length(pipeline, task.texts.items, n, options.texts) for n in lengths}
    measurements = []
    with server_of(repository, variant_ensemble(task.name, variant.name)) as server, ExitStack() as stack:
        for n in texts:
            measurements.append(_Length(server.grpc_address, pipeline, variant, texts[n], n))
            stack.enter_context(measurements[-1].client)
        for _ in range(options.rounds):
            for measurement in measurements:
                measurement.measure(options)
    return [measurement.figures() for measurement in measurements]


class _Length:
    """The measurements of one length, a round at a time."""

    def __init__(self, address: str, pipeline: Pipeline, variant: Variant, texts: TaskTexts, tokens: int) -> None:
        self.pipeline, self.texts, self.tokens = pipeline, texts, tokens
        self.expected = expected_answers(address, pipeline, variant, texts.items)
        model = variant_ensemble(pipeline.manifest.task, variant.name)
        self.client = LoadClient(address, model, self.expected.inputs, self.expected.items)
        self._engine: dict[int, list[float]] = {}
        self._served: dict[int, list[float]] = {}
        self._p50_ms: dict[int, list[float]] = {}

    def measure(self, options: GrowthOptions) -> None:
        """One round."""
        for batch in options.batches:
            speed = measure_engine(self.pipeline, self.texts.windows, texts=len(self.texts.items), batch=batch)
            self._engine.setdefault(batch, []).append(speed.throughput)
        for callers in options.callers:
            throughput, p50_ms = measure_closed_loop(self.client, self.expected, callers, options.seconds)
            self._served.setdefault(callers, []).append(throughput)
            self._p50_ms.setdefault(callers, []).append(p50_ms)

    def figures(self) -> LengthFigures:
        """Of all rounds."""
        return LengthFigures(
            tokens=self.tokens,
            engine={batch: round(statistics.median(rates), 1) for batch, rates in self._engine.items()},
            served={callers: round(statistics.median(rates), 1) for callers, rates in self._served.items()},
            p50_ms={callers: round(statistics.median(times), 2) for callers, times in self._p50_ms.items()},
        )


def texts_of_length(pipeline: Pipeline, items: Sequence[Item], tokens: int, count: int) -> TaskTexts:
    """`count` texts of `tokens` tokens (special ones included), cut from the given ones joined.

    Errors: PerfError where there is too little text, or none can be cut to that length.
    """
    joined = "".join(item[0] for item in items)
    texts: list[Item] = []
    for start in range(0, len(joined), max(1, len(joined) // (2 * count))):
        text = _cut(pipeline, joined, start, tokens)
        if text is not None:
            texts.append((text,))
        if len(texts) == count:
            return tokenize_texts(pipeline, texts, f"{tokens} tokens", count)
    raise PerfError(
        f"task {pipeline.manifest.task}: no {count} texts of {tokens} tokens in one window; --lengths, --limit"
    )


def _cut(pipeline: Pipeline, text: str, start: int, tokens: int) -> str | None:
    """Text from `start` on with exactly so many tokens; None where no cut was found that has them."""
    end = start + tokens
    for _ in range(CUTS):
        (document,), windows = pipeline.kind.documents([(text[start:end],)], pipeline.tokenizer, pipeline.manifest)
        length = len(windows[0].input_ids) if len(windows) == 1 and document.error is None else 0
        if length == tokens:
            return text[start:end]
        if end <= start or end > len(text):
            return None
        end += tokens - length if length else -1  # 0: more than a window, or nothing that can be answered
    return None


def measure_closed_loop(
    client: LoadClient, expected: ExpectedAnswers, callers: int, seconds: float
) -> tuple[float, float]:
    """Texts/s, and p50 in ms. Errors: AnswerError; PerfError where a request is refused."""
    client.closed_loop(callers, WARM_UP_SECONDS)
    outcomes = client.closed_loop(callers, seconds)
    check_answers(outcomes, expected)
    if message := next((outcome.message for outcome in outcomes if not outcome.answered), ""):
        raise PerfError(f"a request was refused ({message}): measure a task that was published without an SLO")
    wall_seconds = max(outcome.ended for outcome in outcomes)
    return len(outcomes) / wall_seconds, 1000 * statistics.median(outcome.seconds for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
