"""Text -> tokens -> the model's output -> the answer, as any serving example does it, without this project's runtime.

A Rust tokenizer that adds [CLS] and [SEP], cuts and pads to the longest text of the call; one ONNX Runtime session; the
answer by the kind of the task. The peers share it, so that they differ only in how requests reach it, and it judges the
answers of all. Imports nothing of this project: the classic ensemble carries a copy of this file in each of its models.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

CASE_VARIABLE = "PEER_CASE"  # environment variable: path of the case
TOLERANCE = 1e-3  # of a score or of a vector's element: another batch adds in another order
EMBEDDING = "embedding"
Answer = dict[str, Any]  # JSON
Item = tuple[str, ...]  # one text, or a pair
Column = tuple[str, str, int]  # name, Triton type and elements per text


@dataclass(frozen=True, kw_only=True)
class Case:
    """What all peers serve: the model as files, and how it is to be run."""

    task: str
    kind: str
    variant: str
    model: str  # ONNX file: input_ids, token_type_ids INT64 [B, L] -> `output` FP32 [B, `width`]
    tokenizer: str  # tokenizer.json of Hugging Face's `tokenizers`, without special tokens
    output: str  # logits, embedding
    width: int
    max_length: int  # tokens per text, special tokens included
    inputs: tuple[str, ...]  # names of the task's inputs
    threads: int  # of the engine
    labels: tuple[str, ...] = ()  # of a classification
    pooling: str = ""  # of an embedding: how `model` makes one vector of the tokens' states
    normalize: bool = False  # of an embedding: the answer has length 1, whatever `model` gives
    checkpoint: str = ""  # directory of the weights that `model` was exported from; empty: unknown

    def write(self, path: Path) -> Path:
        """As JSON, for a server in another process; `load_case` reads it."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")
        return path


def load_case(path: str | Path | None = None) -> Case:
    """The case that `Case.write` wrote; path: None for the one that the environment names."""
    fields: dict[str, Any] = json.loads(Path(path or os.environ[CASE_VARIABLE]).read_text(encoding="utf-8"))
    return Case(**{**fields, "inputs": tuple(fields["inputs"]), "labels": tuple(fields["labels"])})


class PlainTokenizer:
    """The texts of a call -> input_ids, token_type_ids INT64 [B, L], padded to the longest."""

    def __init__(self, case: Case) -> None:
        from tokenizers import Tokenizer
        from tokenizers.processors import BertProcessing

        self.tokenizer = Tokenizer.from_file(case.tokenizer)
        special = [(token, self.tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
        self.tokenizer.post_processor = BertProcessing(*special)
        self.tokenizer.enable_truncation(case.max_length)
        self.tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")

    def __call__(self, items: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """items: one text each, or a pair."""
        encodings = self.tokenizer.encode_batch([item[0] if len(item) == 1 else tuple(item) for item in items])
        return {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "token_type_ids": np.array([encoding.type_ids for encoding in encodings], np.int64),
        }

    def lengths(self, items: Sequence[Sequence[str]]) -> list[int]:
        """Tokens of each item, special tokens included, uncut and unpadded."""
        tokenizer = type(self.tokenizer).from_str(self.tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return [len(tokenizer.encode(*item).ids) for item in items]


class PlainEncoder:
    """The ONNX model in one session, with the settings of this project's own ONNX Runtime backend."""

    def __init__(self, case: Case) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = case.threads, 1
        # A pool that spins takes the time that tokenizing needs, and that of the servers that wait for their round.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(case.model, options, providers=["CPUExecutionProvider"])
        self.inputs, self.output = [tensor.name for tensor in self.session.get_inputs()], case.output

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
        """FP32 [B, W]: logits, or embeddings."""
        values: np.ndarray = self.session.run([self.output], {name: tensors[name] for name in self.inputs})[0]
        return values


class Answers(Protocol):
    """The answers of one kind of tasks."""

    columns: tuple[Column, ...]  # outputs of the classic ensemble
    published: str  # the output of this project's models that holds the answer

    def __call__(self, values: np.ndarray) -> list[Answer]:
        """The answer to each row of the model's output, FP32 [B, W]."""

    def arrays(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The same as the arrays of `columns`, each [B, elements]."""

    def from_columns(self, data: Mapping[str, Sequence[Any]]) -> Answer:
        """From the elements of `columns`, as JSON has them."""

    def from_published(self, data: Sequence[Any]) -> Answer:
        """From the elements of `published`, as JSON has them."""

    def difference(self, answer: Answer, expected: Answer) -> str:
        """How an answer differs; empty where it is right. KeyError, TypeError or ValueError where it is none."""


class LabelAnswers:
    """`{"label", "score"}`: the likeliest class and its probability."""

    columns: tuple[Column, ...] = (("label", "STRING", 1), ("score", "FP32", 1))
    published = "RESULT"

    def __init__(self, case: Case) -> None:
        self.labels = case.labels

    def __call__(self, values: np.ndarray) -> list[Answer]:
        """values: logits."""
        best, scores = self._best(values)
        return [{"label": self.labels[i], "score": float(score)} for i, score in zip(best, scores, strict=True)]

    def arrays(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """label OBJECT (bytes) and score FP32, both [B, 1]."""
        best, scores = self._best(values)
        names = np.array([[self.labels[i].encode("utf-8")] for i in best], dtype=object)
        return {"label": names, "score": scores.astype(np.float32)[:, None]}

    def from_columns(self, data: Mapping[str, Sequence[Any]]) -> Answer:
        """One element each."""
        return {"label": data["label"][0], "score": data["score"][0]}

    def from_published(self, data: Sequence[Any]) -> Answer:
        """RESULT is JSON itself."""
        answer: Answer = json.loads(data[0])
        return answer

    def difference(self, answer: Answer, expected: Answer) -> str:
        """The label must be equal, the score close."""
        label, score = answer["label"], float(answer["score"])
        if label == expected["label"] and abs(score - expected["score"]) <= TOLERANCE:
            return ""
        return f"{label} {score:.4f} where {expected['label']} {expected['score']:.4f} is right"

    @staticmethod
    def _best(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and probability of each row."""
        exponents = np.exp(values - values.max(axis=-1, keepdims=True))
        scores = exponents / exponents.sum(axis=-1, keepdims=True)
        return scores.argmax(axis=-1), scores.max(axis=-1)


class VectorAnswers:
    """`{"embedding"}`: the vector of a text, of length 1 where the task says so."""

    published = "EMBEDDING"

    def __init__(self, case: Case) -> None:
        self.columns: tuple[Column, ...] = (("vector", "FP32", case.width),)
        self.normalize = case.normalize

    def __call__(self, values: np.ndarray) -> list[Answer]:
        """values: embeddings as the model pooled them."""
        return [{"embedding": row} for row in self.arrays(values)["vector"].tolist()]

    def arrays(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """vector FP32 [B, W]."""
        if self.normalize:
            values = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
        return {"vector": values}

    def from_columns(self, data: Mapping[str, Sequence[Any]]) -> Answer:
        """All elements."""
        return {"embedding": data["vector"]}

    def from_published(self, data: Sequence[Any]) -> Answer:
        """All elements."""
        return {"embedding": data}

    def difference(self, answer: Answer, expected: Answer) -> str:
        """Every element must be close."""
        vector, right = (np.asarray(one["embedding"], np.float64) for one in (answer, expected))
        if vector.shape != right.shape:
            raise ValueError(f"a vector {list(vector.shape)} where {list(right.shape)} is right")
        greatest = float(np.abs(vector - right).max())
        return "" if greatest <= TOLERANCE else f"a vector that is off by {greatest:.4f}"


KINDS: Mapping[str, type[LabelAnswers] | type[VectorAnswers]] = {
    "sequence_classification": LabelAnswers,
    "pair_classification": LabelAnswers,
    EMBEDDING: VectorAnswers,
}


def answers_of(case: Case) -> Answers:
    """The answers of a case's kind."""
    return KINDS[case.kind](case)


class PlainModel:
    """Tokenizer, model and answers in one call."""

    def __init__(self, case: Case) -> None:
        self.tokenizer, self.encoder, self.answers = PlainTokenizer(case), PlainEncoder(case), answers_of(case)

    def __call__(self, items: Sequence[Sequence[str]]) -> list[Answer]:
        """An answer per item; all items are padded to the longest."""
        return self.answers(self.encoder(self.tokenizer(items)))
