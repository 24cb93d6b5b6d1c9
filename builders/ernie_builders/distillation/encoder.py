"""One task-agnostic distillation: from an encoder and text to the directories of smaller encoders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ernie_runtime.json_types import Json

from ..checkpoints.checkpoint import Checkpoint
from ..console import say
from ..errors import ConfigError, DataError
from ..filesystem import find_whole, sha256_of
from ..modeling.model import find_base_model
from ..training.state import STATE
from .online import DistillationJob, EncoderDistiller, student_names
from .recipe import Recipe
from .run import CARD, fingerprint, finished, leave, workplace
from .student import bare, make_student
from .text import read_sequences, split

RESULT = "result"


@dataclass(frozen=True, kw_only=True)
class EncoderRun:
    """What to distil, from what, into what."""

    students: tuple[str, ...]  # shapes, or encoders as --base-model names them
    text: tuple[Path, ...]
    output: Path
    teacher: str = "embedded"  # as --base-model names it
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class StudentFigures:
    """A student's size and its held-out losses by name (loss, relation, hidden)."""

    parameters: int
    held_out_before: Mapping[str, float]
    held_out: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """What a task-agnostic distillation did: card.json."""

    title: str
    teacher: str
    students: Mapping[str, StudentFigures]
    text: Json  # files by name, sequences to train on and held out
    tokens_seen: int
    training_seconds: int
    settings: Json

    @classmethod
    def from_json(cls, saved: Json) -> EncoderCard:
        """What card.json holds."""
        students = {name: StudentFigures(**figures) for name, figures in saved["students"].items()}
        return cls(**{**saved, "students": students})


def distil_encoders(run: EncoderRun) -> EncoderCard:
    """Leave a directory per student in `run.output`, each a base model, with log.jsonl and card.json; the card.

    An interrupted run with the same settings is resumed.
    """
    if not run.students:
        raise ConfigError("--student: give at least one")
    for path in run.text:
        if not path.is_file():
            raise DataError(f"--text {path}: no such file")
    teacher = bare(find_base_model(run.teacher, run.seed))
    starts = [make_student(asked, teacher, run.seed) for asked in run.students]
    students = dict(zip(student_names(run.students), starts, strict=True))
    recipe = run.recipe
    settings = {
        "teacher": fingerprint(teacher.weights),
        "students": {name: fingerprint(student.weights) for name, student in students.items()},
        "text": [sha256_of(path) for path in run.text],
        "recipe": {k: v for k, v in asdict(recipe).items() if k != "save_seconds"},
        "seed": run.seed,
    }
    if finished(run.output, settings):
        say(f"  {run.output}: finished already")
        return EncoderCard.from_json(json.loads((run.output / CARD).read_text(encoding="utf-8")))
    _check_length(recipe.length, {"the teacher": teacher, **students})
    tokenizer = teacher.tokenizer
    train, held_out = split(read_sequences(run.text, tokenizer, recipe.length, recipe.characters))
    say(f"  {len(train):,} sequences of {recipe.length} tokens, {len(held_out):,} held out")
    with workplace(run.output, settings) as folder:
        work = folder / RESULT
        work.mkdir(exist_ok=True)
        job = DistillationJob(
            teacher=teacher,
            students=students,
            train=train,
            held_out=held_out,
            folder=work,
            recipe=recipe,
            seed=run.seed,
            device=run.device,
        )
        result = EncoderDistiller(job).run()
        while (state := find_whole(work / STATE)) is not None:
            shutil.rmtree(state)
        card = EncoderCard(
            title=f"Encoders distilled from {teacher.name}: {', '.join(students)}",
            teacher=teacher.name,
            students={
                name: StudentFigures(
                    parameters=sum(value.size for value in student.weights.values()),
                    held_out_before=result.before[name],
                    held_out=result.after[name],
                )
                for name, student in students.items()
            },
            text={"files": [path.name for path in run.text], "sequences": len(train), "held_out": len(held_out)},
            tokens_seen=recipe.steps * recipe.batch_size * recipe.length,
            training_seconds=result.seconds,
            settings=settings,
        )
        leave(work, run.output, asdict(card))
    return card


def _check_length(length: int, models: dict[str, Checkpoint]) -> None:
    """ConfigError if sequences are longer than a model has positions."""
    for name, model in models.items():
        positions = len(model.weights["ernie.embeddings.position_embeddings.weight"])
        if length > positions:
            raise ConfigError(f"--length {length}: {name} has {positions} positions")
