"""Task distillation: a student of any shape learns the outputs that a fine-tuned teacher gives to plain text.

Source: Hinton et al. 2015; the loss is the squared error of the outputs before softmax (Ba and Caruana 2014), as Tang
et al. 2019 use it for small students on unlabelled text. Labelled rows may be among the rows; their labels' loss is
added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenizer import Tokenizer

from ..checkpoints.checkpoint import Checkpoint
from ..errors import ConfigError, DataError
from ..kinds import Row, Tensors
from ..modeling.model import build_model
from ..training.distiller import squared_error
from ..training.trainer import Job, Trainer

if TYPE_CHECKING:
    from paddle import Tensor

HARD, SOFT = 0.5, 1.0  # weights of the labels' loss and of the outputs' squared error
KINDS = (
    *("sequence_classification", "pair_classification", "hierarchical_classification"),
    *("token_classification", "intent_slots", "question_answering"),
)
CHUNK = 1000  # texts tokenized at once


def check_kind(manifest: Manifest) -> None:
    """ConfigError for a kind whose outputs a student of another width cannot learn."""
    if manifest.kind not in KINDS:
        raise ConfigError(f"--task {manifest.task}: distils {', '.join(KINDS)}; it is {manifest.kind}")


def unlabelled_rows(
    manifest: Manifest, tokenizer: Tokenizer, texts: Sequence[tuple[str, ...]], windows_per_text: int = 0
) -> list[Row]:
    """One row per window, cut as the serving code does, without targets; texts that cannot be served are left out."""
    kind, rows = get_kind(manifest.kind), []
    for start in range(0, len(texts), CHUNK):
        documents, windows = kind.documents(texts[start : start + CHUNK], tokenizer, manifest)
        window_count = [0] * len(documents)
        for window in windows:
            owner = window.owner
            window_count[owner] += 1
            if documents[owner].error is None and window_count[owner] <= (windows_per_text or len(windows)):
                rows.append(Row((window,), {}))
    return rows


class SoftTrainer(Trainer):
    """Fine-tunes `job.base` on plain text with a teacher of the same task, and on `job.train` with its labels.

    texts: for the teacher to label; one text per input of the kind. Both models have the same vocabulary.
    """

    def __init__(self, teacher: Checkpoint, texts: Sequence[tuple[str, ...]], job: Job) -> None:
        self.texts = texts
        self._labelled: list[int] = []
        super().__init__(job)
        self.specs = get_kind(job.manifest.kind).encoder_outputs(job.manifest)
        with self.paddle.utils.unique_name.guard("teacher_"):
            self.teacher = build_model(self.kind, teacher, job.manifest, ready=True)
        self.teacher.eval()

    def _rows(self, job: Job) -> list[Row]:
        soft = unlabelled_rows(job.manifest, job.tokenizer, self.texts, job.config.windows_per_text)
        if not soft:
            raise DataError(f"task {job.manifest.task}: none of the {len(self.texts):,} texts can be served")
        return [*super()._rows(job), *soft] if job.train else soft

    def _targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Targets of the labelled rows only; `_labelled` has the indices of their windows in the batch."""
        self._labelled, first_window = [], 0
        for row in rows:
            if row.targets:
                self._labelled += range(first_window, first_window + len(row.windows))
            first_window += len(row.windows)
        labelled = [row for row in rows if row.targets]
        return super()._targets(labelled) if labelled else {}

    def _loss(self, outputs: Tensors, targets: Tensors, ids: Tensor, types: Tensor) -> Tensor:
        paddle = self.paddle
        with paddle.no_grad():
            wanted = self.kind.outputs(self.teacher(ids, token_type_ids=types))
        real = (ids != 0).astype("float32")  # [B, L]
        loss = paddle.zeros([])
        for spec in self.specs:
            tokens = real if spec.per_token else None
            loss = loss + SOFT * squared_error(outputs[spec.name], wanted[spec.name], tokens)
        if targets:
            loss = loss + HARD * self.kind.loss(self._of_labelled(outputs, real), targets)
        return loss

    def _of_labelled(self, outputs: Tensors, real: Tensor) -> dict[str, Tensor]:
        """The labelled windows' outputs; per-token ones are cut to the longest labelled window, as the targets are."""
        indices = self.paddle.to_tensor(self._labelled)
        longest = int(self.paddle.index_select(real, indices).sum(-1).max())
        chosen = {}
        for spec in self.specs:
            value = self.paddle.index_select(outputs[spec.name], indices)
            chosen[spec.name] = value[:, :longest] if spec.per_token else value
        return chosen
