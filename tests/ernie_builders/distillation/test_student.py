"""Students: their shapes, their first weights, and faulty ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ernie_builders.distillation.student import TABLES, Shape, make_student, parse_shape
from ernie_builders.errors import BuildError, CheckpointError, ConfigError
from ernie_builders.modeling.model import find_base_model


@pytest.fixture
def teacher(base_model: Path) -> Checkpoint:
    return read_checkpoint(base_model)


def test_parse_shape() -> None:
    assert parse_shape("2x156x6") == Shape(2, 156, 6, 624)
    assert parse_shape("2x156x6x300") == Shape(2, 156, 6, 300)
    assert [str(parse_shape(text)) for text in ("2x156x6x624", "2x156x6x300")] == ["2x156x6", "2x156x6x300"]
    assert parse_shape("embedded") is None


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("2x156x5", "--student 2x156x5: 5 heads do not divide 156 hidden units"),
        ("2x156", "--student 2x156: expected LAYERSxHIDDENxHEADS"),
        ("0x32x2", "every number must be above 0"),
        ("nowhere", "--student nowhere: neither"),
    ],
)
def test_faulty_students(teacher: Checkpoint, shape: str, message: str) -> None:
    with pytest.raises(BuildError) as raised:
        make_student(shape, teacher)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_student_of_the_teacher_s_width(teacher: Checkpoint) -> None:
    """It starts from the teacher's embeddings and last layer: nothing is random."""
    student = make_student("1x32x2x64", teacher)
    for name, value in student.weights.items():
        if name.startswith("ernie.embeddings."):
            np.testing.assert_array_equal(value, teacher.weights[name])
    at = "ernie.encoder.layers.{}.linear1.weight"
    np.testing.assert_array_equal(student.weights[at.format(0)], teacher.weights[at.format(1)])
    more_heads = make_student("1x32x4", teacher)
    assert (more_heads.weights[TABLES[0]] == teacher.weights[TABLES[0]]).all()
    assert more_heads.weights[at.format(0)].shape == (32, 128)


def test_a_narrower_student(teacher: Checkpoint) -> None:
    """Words similar in the teacher's table are similar in the student's; the scale stays."""
    student = make_student("1x24x2", teacher, seed=3)
    table, wide = student.weights[TABLES[0]], teacher.weights[TABLES[0]]
    assert table.shape == (len(wide), 24)
    assert table.std() == pytest.approx(wide.std(), rel=1e-3)
    near, far = ((t - t.mean(0)) @ (t - t.mean(0)).T for t in (table, wide))
    assert np.corrcoef(near.reshape(-1), far.reshape(-1))[0, 1] > 0.85
    assert (make_student("1x24x2", teacher, seed=3).weights[TABLES[0]] == table).all()


def test_a_wider_student_starts_at_random(teacher: Checkpoint) -> None:
    student = make_student("1x48x2", teacher)
    assert student.weights[TABLES[0]].shape == (len(teacher.weights[TABLES[0]]), 48)
    assert not student.config.use_task_id


def test_an_encoder_with_another_vocabulary(teacher: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="its vocabulary is not that of the teacher"):
        make_student("embedded", teacher)
    write_checkpoint(tmp_path, teacher.config, teacher.weights, teacher.tokenizer)
    student = make_student(str(tmp_path), teacher)
    assert not student.has_head
    assert find_base_model(str(tmp_path)).config == student.config


def test_a_shape_with_too_many_numbers(teacher: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="2x156x6x1x1: expected"):
        make_student("2x156x6x1x1", teacher)
