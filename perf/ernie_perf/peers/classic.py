"""The classic ensemble: what ERNIE on Triton looked like before, written anew.

Three Python models; the tokenizer pads each request by itself, the encoder takes requests of equal shapes into a batch
(Triton's dynamic batching, no ragged ones), the postprocessor makes the answer.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from .answers import Answer, Column, answers_of
from .case import Case, Item
from .triton import TritonPeer

MODELS = Path(__file__).with_name("classic_models")
STEPS = ("tokenizer", "encoder", "postprocess")
SHARED = ("plain.py", "answers.py")  # each model imports them from its own folder
BATCH = 64
IDS: tuple[Column, ...] = (("input_ids", "INT64", -1), ("token_type_ids", "INT64", -1))


class ClassicPeer(TritonPeer):
    """The adapter, with a repository of its own."""

    name = "classic"
    what = "classic Triton ensemble: a request padded by itself, batches of equal shapes only"

    def start(self, case: Case, port: int, example: Item) -> str:
        """Write the repository, then serve it."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-classic-repository-")))
        names = write_repository(folder, case)
        self.answers = answers_of(asdict(case))
        self.outputs = tuple(name for name, _, _ in self.answers.columns)
        return self.serve(folder, names, case, port, example)

    def answer(self, body: bytes) -> Answer:
        """From its outputs."""
        return self.answers.from_columns(self.values(body))


def write_repository(folder: Path, case: Case) -> tuple[str, ...]:
    """Steps and ensemble under `folder`; their names, the ensemble's last."""
    texts: tuple[Column, ...] = tuple((name, "STRING", 1) for name in case.inputs)
    values: tuple[Column, ...] = ((case.output, "FP32", case.width),)
    answer = answers_of(asdict(case)).columns
    contracts = dict(zip(STEPS, ((texts, IDS), (IDS, values), (values, answer)), strict=True))
    links = []
    for step, (inputs, outputs) in contracts.items():
        home = folder / f"classic_{step}" / "1"
        home.mkdir(parents=True)
        shutil.copyfile(MODELS / f"{step}.py", home / "model.py")
        for name in SHARED:
            shutil.copyfile(Path(__file__).with_name(name), home / name)
        case.write(home / "case.json")
        config = f'name: "classic_{step}"\nbackend: "python"\nmax_batch_size: {BATCH}\n{tensors(inputs, outputs)}'
        config += "dynamic_batching {}\ninstance_group [{ kind: KIND_CPU, count: 1 }]\n"
        (home.parent / "config.pbtxt").write_text(config, encoding="utf-8")
        maps = [
            f'{side} {{ key: "{name}" value: "{name}" }}'
            for side, given in (("input_map", inputs), ("output_map", outputs))
            for name, _, _ in given
        ]
        links.append(f'{{ model_name: "classic_{step}" model_version: -1 {" ".join(maps)} }}')
    (folder / "classic" / "1").mkdir(parents=True)
    config = f'name: "classic"\nplatform: "ensemble"\nmax_batch_size: {BATCH}\n{tensors(texts, answer)}'
    config += f"ensemble_scheduling {{ step [ {', '.join(links)} ] }}\n"
    (folder / "classic" / "config.pbtxt").write_text(config, encoding="utf-8")
    return (*(f"classic_{step}" for step in STEPS), "classic")


def tensors(inputs: tuple[Column, ...], outputs: tuple[Column, ...]) -> str:
    """The input and output fields of a configuration."""
    lines = [
        f'{side} [{{ name: "{name}" data_type: TYPE_{dtype} dims: [{dim}] }}]\n'
        for side, given in (("input", inputs), ("output", outputs))
        for name, dtype, dim in given
    ]
    return "".join(lines)
