"""A checkpoint that ships, stored anew as a difference from the embedded encoder of now.

For one that gains nothing from a new encoder: its weights stay what they are, but for rounding, and the encoder before
need not ship beside the new one any more. The difference is larger than that from its own encoder.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..checkpoints.base_models import EMBEDDED
from ..checkpoints.checksums import CARDS
from ..checkpoints.delta_files import HEADER, read_delta
from ..config.tasks import ASSETS, load_tasks
from ..errors import CheckpointError, ConfigError
from ..stages.order import run_plain
from ..stages.request import BuildRequest
from ..stages.selection import make_context
from .keep import put_in_place
from .ship import STEPS, store_smallest, write_card

# Nothing may be lost, so as fine as it takes: half a bit a weight more each.
FINER = (*STEPS, 0.0035, 0.0025, 0.0018, 0.00125)


def rebase(name: str, data_dir: Path, cache: Path) -> str:
    """Store the checkpoint of task `name` anew, with the largest step that costs no dev figure; one line about it.

    Where every step costs some, what was there stays. ConfigError where no checkpoint of its own ships for the task;
    CheckpointError where its figures were measured on other dev rows.
    """
    tasks = load_tasks()
    own = [task.name for task in tasks.values() if task.checkpoint == f"checkpoints/{task.name}"]
    if name not in own:
        raise ConfigError(f"{name}: no checkpoint of its own ships; there are {', '.join(own)}")
    folder = ASSETS / tasks[name].checkpoint
    if not (folder / HEADER).is_file() or (base := read_delta(folder).base) is None:
        return f"{name}: is no difference from an encoder, stays as it is"
    if base.name == EMBEDDED:
        return f"{name}: is a difference from the embedded encoder of now already"
    card = json.loads((folder / CARDS[0]).read_text(encoding="utf-8"))
    context = make_context(tasks[name], BuildRequest(data_dir=data_dir, cache=cache), folder)
    finished = run_plain(context, "evaluate")
    before = finished.evaluated.result
    rows = before.rows
    if card["evaluations"][0]["rows"] != rows:
        raise CheckpointError(
            f"{folder / CARDS[0]}: measured on {card['evaluations'][0]['rows']:,} dev rows, --data-dir has {rows:,}"
        )
    new = cache / name / "rebased"
    stored = store_smallest(new, context, finished, EMBEDDED, FINER, tolerance=0)
    if stored.evaluated.value < before.value:
        return f"{name}: {stored.told(finished)}: worse, so what was there stays"
    earlier = [*card.get("earlier", ()), {"weights": card["weights"], "evaluations": card["evaluations"]}]
    write_card(new, {**card, "weights": stored.on_card(), "evaluations": stored.evaluations(), "earlier": earlier})
    put_in_place(new, folder)
    return f"{name}: {stored.told(finished)}"
