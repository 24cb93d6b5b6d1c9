"""One task-agnostic distillation: from an encoder and text to the directories of smaller encoders."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ernie_runtime.text.tokenization import ErnieTokenizer

from ..checkpoints.checkpoint import Checkpoint
from ..console import say
from ..errors import ConfigError, DataError
from ..filesystem import sha256_of
from ..modeling.model import find_base_model
from .online import Online, student_names
from .recipe import Recipe
from .run import CARD, fingerprint, finished, leave, workplace
from .student import bare, make_student
from .text import read_sequences, split

RESULT = "result"


@dataclass(frozen=True)
class EncoderRun:
    """What to distil, from what, into what."""

    students: tuple[str, ...]  # shapes, or encoders as --base-model names them
    text: tuple[Path, ...]
    output: Path
    teacher: str = "embedded"  # as --base-model names it
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    device: str = "cpu"


def distil_encoders(run: EncoderRun) -> dict[str, Any]:
    """Leave a directory a student in `run.output`, each a base model, with log.jsonl and card.json; the card.

    What an interrupted run of the same settings did is taken up.
    """
    if not run.students:
        raise ConfigError("--student: give at least one")
    for path in run.text:
        if not path.is_file():
            raise DataError(f"--text {path}: no such file")
    teacher = bare(find_base_model(run.teacher, run.seed))
    starts = [make_student(asked, teacher, run.seed) for asked in run.students]
    students = dict(zip(student_names(run.students), starts, strict=True))
    settings = {
        "teacher": fingerprint(teacher.weights),
        "students": {name: fingerprint(student.weights) for name, student in students.items()},
        "text": [sha256_of(path) for path in run.text],
        "recipe": {k: v for k, v in asdict(run.recipe).items() if k != "save_seconds"},
        "seed": run.seed,
    }
    if finished(run.output, settings):
        say(f"  {run.output}: finished already")
        card: dict[str, Any] = json.loads((run.output / CARD).read_text(encoding="utf-8"))
        return card
    _check_length(run.recipe.length, {"the teacher": teacher, **students})
    tokenizer = ErnieTokenizer.from_vocab(teacher.vocabulary)
    train, held_out = split(read_sequences(run.text, tokenizer, run.recipe.length))
    say(f"  {len(train):,} sequences of {run.recipe.length} tokens, {len(held_out):,} held out")
    with workplace(run.output, settings) as folder:
        work = folder / RESULT
        work.mkdir(exist_ok=True)
        figures = Online(teacher, students, (train, held_out), work, run.recipe, run.seed, run.device).run()
        for left in ("state", "state.old"):
            shutil.rmtree(work / left, ignore_errors=True)
        card = {
            "title": f"Encoders distilled from {teacher.name}: {', '.join(students)}",
            "teacher": teacher.name,
            "students": {
                name: {
                    "parameters": sum(value.size for value in student.weights.values()),
                    "held_out_before": figures["before"][name],
                    "held_out": figures["held_out"][name],
                }
                for name, student in students.items()
            },
            "text": {"files": [path.name for path in run.text], "sequences": len(train), "held_out": len(held_out)},
            "tokens_seen": run.recipe.steps * run.recipe.batch_size * run.recipe.length,
            "training_seconds": figures["seconds"],
            "settings": settings,
        }
        leave(work, run.output, card)
    return card


def _check_length(length: int, models: dict[str, Checkpoint]) -> None:
    """ConfigError where sequences are longer than a model has positions."""
    for name, model in models.items():
        positions = len(model.weights["ernie.embeddings.position_embeddings.weight"])
        if length > positions:
            raise ConfigError(f"--length {length}: {name} has {positions} positions")
