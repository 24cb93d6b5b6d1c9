"""The table of dev figures, from the manifests of a model repository and the cards of the checkpoints that ship.

ernie-triton build --data-dir DATA    # evaluates every task on its whole dev set
ernie-triton assets figures
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import JsonObject
from ernie_runtime.manifest import Evaluation, Manifest
from ernie_runtime.repository import newest_version

from ..checkpoints.checkpoint import read_checkpoint
from ..config.tasks import ASSETS, TaskConfig, load_tasks
from ..errors import ConfigError
from ..kinds import get_builder_kind
from ..metrics.row_metric import with_error
from ..modeling.model import find_base_model
from ..presets.loading import load_presets

SAMPLE = "sample"  # the split of the small sets that ship
OWN = "this build"  # how the builder's own evaluations begin to say what measured them
NANO = "ernie-3.0-nano-zh"
HEAD = (
    "| task | kind | dev rows | figures | ERNIE 3.0 Nano, published | parameters | training |",
    "|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A task's row of the table."""

    task: str
    kind: str
    evaluations: tuple[Evaluation, ...]  # on whole sets
    shown: str  # their figures, for a person
    published: str  # of ERNIE 3.0 Nano; empty: none
    parameters: int
    training: str

    def line(self) -> str:
        """In Markdown."""
        rows = " + ".join(f"{e.rows:,}" for e in self.evaluations) or "none"
        size = f"{self.parameters / 1e6:.1f} M"
        cells = (self.task, self.kind, rows, self.shown or "not evaluated", self.published, size, self.training)
        return f"| {' | '.join(cells)} |"

    def to_json(self) -> JsonObject:
        """The same as JSON data."""
        return {name: value for name, value in asdict(self).items() if name != "shown"}


def figures_rows(repository: Path) -> Iterator[Row]:
    """The rows of the table: one for each task that the repository has."""
    if not repository.is_dir():
        raise ConfigError(f"{repository}: no such directory")
    yield from (_row(repository, task) for task in load_tasks().values() if (repository / task.name).is_dir())


def _row(repository: Path, task: TaskConfig) -> Row:
    manifest = Manifest.load(newest_version(repository / task.name) / "manifest.json")
    own = whole(manifest.variants[0].evaluations)
    return Row(
        task=task.name,
        kind=task.kind,
        evaluations=tuple(own),
        shown="; ".join(_metrics(manifest, e) for e in own),
        published=_published(task),
        parameters=_parameters(task),
        training=_training(_card(task)),
    )


def whole(found: Sequence[Evaluation]) -> list[Evaluation]:
    """Those on whole sets: this build's, or where it had a sample only, those on the card of what ships."""
    own = [e for e in found if e.by.startswith(OWN) and e.split != SAMPLE]
    return own or [e for e in found if not e.by.startswith(OWN)]


def _metrics(manifest: Manifest, evaluation: Evaluation) -> str:
    kind = get_builder_kind(manifest.kind)
    names = [n for n in evaluation.metrics if n == kind.main_metric or n in kind.headline or "_" not in n]
    names.sort(key=lambda name: name != kind.main_metric)
    values = ", ".join(f"{name} {with_error(evaluation.metrics[name], evaluation.errors.get(name))}" for name in names)
    return values if evaluation.split == "dev" else f"{evaluation.split}: {values}"


def _card(task: TaskConfig) -> Mapping[str, Any]:
    """The card of the task's checkpoint; empty where it has none, or shares another task's."""
    path = ASSETS / task.checkpoint / "card.json"
    if not task.checkpoint or not path.is_file():
        return {}
    card: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return card if card.get("task") == task.name else {"shared": card.get("task", "")}


def _parameters(task: TaskConfig) -> int:
    folder = ASSETS / task.checkpoint
    source = read_checkpoint(folder) if task.checkpoint and folder.is_dir() else find_base_model(task.base_model)
    return sum(weight.size for weight in source.weights.values())


def _published(task: TaskConfig) -> str:
    figures = load_presets().model(NANO).figures
    value = figures.get(task.name, figures.get(f"{task.name}_clue", figures.get(PUBLISHED_AS.get(task.name, ""))))
    if value is None:
        return ""
    return "/".join(f"{v:.2f}" for v in value) if isinstance(value, list | tuple) else f"{value:.2f}"


PUBLISHED_AS = {"event_hierarchy": "hierarchical"}


def _training(card: Mapping[str, Any]) -> str:
    if "shared" in card:
        return f"checkpoint of {card['shared']}"
    if not card:
        return "none"
    epochs = f"{card['train']['epochs']:g}"
    return f"{epochs} epoch{'' if epochs == '1' else 's'}, {card['training_seconds'] / 60:.0f} min"
