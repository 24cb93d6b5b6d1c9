"""Text that a tiny model can learn, and pre-training runs over it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ernie_builders import pretrain
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.weight_formats import Weights

TOPICS, WORDS = 24, 2
SMALL = ["--shape", "2x32x2", "--batch-tokens", "512", "--learning-rate", "1e-2", "--eval-tokens", "2000"]


def documents(characters: Sequence[str], count: int, seed: int = 0) -> list[list[str]]:
    """Documents of sentences; each has one topic of few words, so a hidden word stands elsewhere in the document."""
    generator = np.random.default_rng(seed)
    corpus = []
    for _ in range(count):
        topic = int(generator.integers(TOPICS)) * WORDS * 2
        words = ["".join(characters[topic + 2 * i : topic + 2 * i + 2]) for i in range(WORDS)]
        sentences = []
        for _ in range(int(generator.integers(2, 6))):
            first = int(generator.integers(WORDS))
            sentences.append("".join(words[(first + i) % WORDS] for i in range(int(generator.integers(4, 9)))) + "。")
        corpus.append(sentences)
    return corpus


def write_text(path: Path, corpus: Sequence[Sequence[str]]) -> Path:
    """A sentence a line, a blank line behind each document."""
    path.write_text("\n\n".join("\n".join(sentences) for sentences in corpus) + "\n", encoding="utf-8")
    return path


def ids_line(first: list[int], second: list[int], label: int, words: int = 2) -> str:
    """A line of ERNIE 1.0's format; every `words` tokens are a word; [CLS] is 1, [SEP] 2."""
    ids = [1, *first, 2, *second, 2]
    sentences = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    bounds = [-1, *(int(i % words > 0) for i in range(len(first))), -1]
    bounds += [*(int(i % words > 0) for i in range(len(second))), -1]
    fields = [ids, sentences, list(range(len(ids))), bounds, [label]]
    return ";".join(" ".join(map(str, field)) for field in fields)


@dataclass(frozen=True)
class Run:
    """A pre-training of a tiny encoder."""

    output: Path
    arguments: tuple[str, ...]

    def __call__(self, *options: str) -> int:
        """Run it; the exit code."""
        return pretrain.main([*self.arguments, "--output", str(self.output), *options])

    def log(self) -> list[dict[str, Any]]:
        """Rows without what depends on the clock."""
        rows = [json.loads(line) for line in (self.output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second")} for row in rows]

    def encoder_weights(self) -> Weights:
        """The weights of the encoder that it has written last."""
        return read_checkpoint(self.output / "encoder").weights
