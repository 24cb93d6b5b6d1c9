"""Checkpoints that ship with the project: as small as the dev metric allows, measured as stored, with a card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ernie_runtime.steps.pipeline import Pipeline

from ..checkpoints.base_models import SHIPPED, folder_of
from ..checkpoints.checkpoint import BASES, Checkpoint, read_checkpoint, write_compact
from ..checkpoints.checksums import CARDS, refresh, ships
from ..checkpoints.delta import Delta
from ..checkpoints.delta_files import read_delta
from ..checkpoints.random_encoder import PREFIX
from ..console import bar, say
from ..filesystem import write_json
from ..framework import import_paddle
from ..kinds import get_builder_kind
from ..modeling.model import PaddleEngine, build_model
from ..stages.context import Context
from ..stages.data import read_split
from ..stages.draft import fine_tuned, manifest_of, tokenizer_for
from ..stages.order import run_plain
from ..stages.results import Evaluated
from ..stages.stage import Finished

# Fine-tuning changes a weight of the embedded encoder by about 0.01: the first step makes 1.2 bits of it, each other
# about half a bit more.
STEPS = (0.02, 0.014, 0.01, 0.007, 0.005)
BY = "the builder, on the weights as they are stored, through the serving code, when they were made"
TOLERANCE = 0.2  # points of the main metric that storing may cost
TRIAL_ROWS = 2000  # dev rows that a step is tried on before all are evaluated
WORD_TABLE = "ernie.embeddings.word_embeddings.weight"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A checkpoint in the compact form, and what its evaluation says."""

    delta: Delta
    evaluated: Evaluated

    def told(self, finished: Finished) -> str:
        """Size and figures; finished: the stages that made the weights."""
        before, after = finished.evaluated.result, self.evaluated
        return (
            f"{len(self.delta.packed) / 1e6:.2f} MB in steps of {self.delta.step:g}: {after.split} {before.main} "
            f"{after.value:.2f} as stored, {before.value:.2f} before"
        )

    def on_card(self) -> dict[str, Any]:
        """What a card says of how the weights are stored."""
        delta = self.delta
        return {
            "stored": "what training changed in the base encoder" if delta.base else "as they are, without a base",
            "base": delta.base and asdict(delta.base),
            "step": delta.step,
            "values": delta.values,
            "bytes": len(delta.packed),
            "bits_per_weight": round(8 * len(delta.packed) / delta.values, 2),
        }

    def evaluations(self) -> list[dict[str, Any]]:
        """What a card says of the figures."""
        return [asdict(evaluation) for evaluation in self.evaluated.evaluations(BY)]


def save_checkpoint(folder: Path, context: Context, finished: Finished, command: str) -> str:
    """Store a trained checkpoint with the largest step that keeps its dev metric, and card.json; one line about it."""
    if not finished.fine_tuned.result.trained:
        return "nothing was trained, so no checkpoint is written"
    stored = store_smallest(folder, context, finished, base_of(context), STEPS, TOLERANCE)
    write_card(folder, make_card(context, finished, command, stored))
    return f"checkpoint in {folder}, {stored.told(finished)}"


def store_smallest(
    folder: Path,
    context: Context,
    finished: Finished,
    base: str | None,
    steps: Sequence[float],
    tolerance: float,
) -> Stored:
    """Write a finished fine-tuning's weights as a difference from `base` (a name of BASES; None: as they are).

    Every step is tried on some dev rows; one that passes is evaluated on all of them, through the exported model: it
    may cost `tolerance` points. The last step is taken however it does: the card says what it costs.
    """
    folder.mkdir(parents=True, exist_ok=True)  # a place that cannot be written is told before the work
    before = finished.evaluated.result
    trained = shippable(context, fine_tuned(finished.fine_tuned))
    examples = read_split(finished.data, "dev")
    trial = Trial(context, finished, examples[:: -(-len(examples) // TRIAL_ROWS)])
    wanted = trial.measure(trained, "float32") - tolerance
    with TemporaryDirectory(prefix=f"{context.task.name}-", dir=context.cache) as scratch:

        @cache
        def stored(step: float) -> Checkpoint:
            place = Path(scratch, f"{step:g}")
            write_compact(place, trained.config, trained.weights, trained.tokenizer, step, base)
            return replace(read_checkpoint(place), where=str(folder))

        @cache
        def evaluated_in(step: float) -> Evaluated:
            return evaluated(context, stored(step))

        step = first_kept(
            steps,
            lambda step: trial.measure(stored(step), f"in steps of {step:g}") >= wanted,
            lambda step: evaluated_in(step).value >= before.value - tolerance,
        )
        after = evaluated_in(step)
    delta = write_compact(folder, trained.config, trained.weights, trained.tokenizer, step, base)
    return Stored(delta=delta, evaluated=after)


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """card.json, and the folder's checksums where it is among what ships."""
    write_json(folder / CARDS[0], card)
    if ships(folder):
        refresh(folder=folder)


def first_kept(steps: Sequence[float], *tests: Callable[[float], bool]) -> float:
    """The first step that passes all tests, the cheapest test first; the last step where none does."""
    return next((step for step in steps if all(test(step) for test in tests)), steps[-1])


def shippable(context: Context, trained: Checkpoint) -> Checkpoint:
    """Without weights that hold nothing: those the kind does not use, and rows of random words that no text had.

    Such rows become 0. Those of a pre-trained encoder stay: they know words that the training texts lack.
    """
    kind = get_builder_kind(context.task.kind)
    unused = () if kind.reads_pooler(context.task.options) else kind.unused_weights
    weights = {name: value for name, value in trained.weights.items() if not any(part in name for part in unused)}
    start = context.source.weights.get(WORD_TABLE)
    if context.source.where.startswith(PREFIX) and start is not None:
        table = weights[WORD_TABLE].copy()
        table[untrained_rows(table, start)] = 0
        weights[WORD_TABLE] = table
    return replace(trained, weights=weights)


def untrained_rows(table: np.ndarray, start: np.ndarray) -> np.ndarray:
    """bool [V]: rows of float [V, H] that weight decay alone has changed, so that they are a multiple of the start."""
    table, start = table.astype(np.float64), start.astype(np.float64)
    scale = (table * start).sum(1, keepdims=True) / np.maximum((start**2).sum(1, keepdims=True), 1e-30)
    untrained: np.ndarray = np.abs(table - scale * start).max(1) <= 1e-4 * np.abs(start).max(1)
    return untrained


def base_of(context: Context) -> str | None:
    """The encoder of BASES that training began with; None where it does not ship."""
    where = context.source.where
    if where.startswith(SHIPPED) and (began := folder_of(where)) is not None and (of := read_delta(began).base):
        return of.name  # an encoder that went on from one that ships
    return where if where in BASES else None


def evaluated(context: Context, checkpoint: Checkpoint) -> Evaluated:
    """Figures of all dev rows, by the stages that publish a finished checkpoint."""
    return run_plain(replace(context, source=checkpoint, ready=True), "evaluate").evaluated.result


class Trial:
    """The main metric of a checkpoint on some dev rows, by Paddle and the serving code, without an export."""

    def __init__(self, context: Context, finished: Finished, examples: Sequence[Any]) -> None:
        self.context, self.examples = context, examples
        self.kind = get_builder_kind(context.task.kind)
        self.tokenizer = tokenizer_for(context.task, context.source.tokenizer)
        self.manifest = manifest_of(context, finished.fine_tuned, self.tokenizer)

    def measure(self, checkpoint: Checkpoint, what: str) -> float:
        """In percent; `what` is said with it."""
        import_paddle(self.context.device)
        model = build_model(self.kind, checkpoint, self.manifest, ready=True)
        model.eval()
        pipeline = Pipeline(self.manifest, self.tokenizer, PaddleEngine(model, self.kind))
        with bar(len(self.examples), "trial") as shown:
            answers = pipeline.predict([e.texts for e in self.examples], progress=shown.update)
        main = self.kind.main_metric
        value = self.kind.score(self.examples, answers, self.manifest)[main]
        say(f"    {what}: {main} {value:.2f} on {len(self.examples):,} dev rows")
        return value


def make_card(context: Context, finished: Finished, command: str, stored: Stored) -> dict[str, Any]:
    """What made the checkpoint (data, hyperparameters, command), how it is stored, and what it scores as stored."""
    trained, before = finished.fine_tuned.result, finished.evaluated.result
    return {
        "title": f"{context.task.title}, fine-tuned from {context.source.name}",
        "task": context.task.name,
        "base_model": context.source.name,
        "data": {split: figures.rows for split, figures in finished.data.result.splits.items()},
        "train": asdict(context.task.train),
        "seed": context.seed,
        "batches": trained.batches,
        "best_at_batch": trained.batch,
        "training_seconds": trained.seconds,
        "weights": stored.on_card(),
        "command": command,
        "evaluations": stored.evaluations(),
        "before_storing": before.metrics,
    }
