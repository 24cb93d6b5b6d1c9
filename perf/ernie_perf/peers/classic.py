"""The classic ensemble: how ERNIE's examples used Triton, written anew.

Three Python models: the tokenizer pads each request by itself, the encoder batches requests of equal shapes (Triton's
dynamic batching, without ragged batches), the postprocessor makes the answer.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .standalone import Answer, Case, Column, Item, answers_of
from .triton import TritonPeer

MODELS = Path(__file__).with_name("classic_models")
STEPS = ("tokenizer", "encoder", "postprocess")
SHARED = "standalone.py"  # each model imports it from its own folder
MAX_BATCH_SIZE = 64
IDS: tuple[Column, ...] = (("input_ids", "INT64", -1), ("token_type_ids", "INT64", -1))


class ClassicPeer(TritonPeer):
    """The classic ensemble in a repository of its own."""

    name = "classic"
    description = "classic Triton ensemble: a request padded by itself, batches of equal shapes only"

    def start(self, case: Case, port: int, example: Item) -> str:
        """Write the repository, then serve it."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-classic-repository-")))
        names = write_repository(folder, case)
        self.answers = answers_of(case)
        self.outputs = tuple(name for name, _, _ in self.answers.columns)
        return self.serve(folder, names, case, port, example)

    def answer(self, body: bytes) -> Answer:
        """From its outputs."""
        return self.answers.from_columns(self.values(body))


def write_repository(folder: Path, case: Case) -> tuple[str, ...]:
    """Write steps and ensemble under `folder`; their names, the ensemble's last."""
    texts: tuple[Column, ...] = tuple((name, "STRING", 1) for name in case.inputs)
    values: tuple[Column, ...] = ((case.output, "FP32", case.width),)
    answer = answers_of(case).columns
    tensors_of = dict(zip(STEPS, ((texts, IDS), (IDS, values), (values, answer)), strict=True))
    ensemble_steps = []
    for step, (inputs, outputs) in tensors_of.items():
        version = folder / f"classic_{step}" / "1"
        version.mkdir(parents=True)
        shutil.copyfile(MODELS / f"{step}.py", version / "model.py")
        shutil.copyfile(Path(__file__).with_name(SHARED), version / SHARED)
        case.write(version / "case.json")
        config = f'name: "classic_{step}"\nbackend: "python"\nmax_batch_size: {MAX_BATCH_SIZE}\n'
        config += tensor_fields(inputs, outputs)
        config += "dynamic_batching {}\ninstance_group [{ kind: KIND_CPU, count: 1 }]\n"
        (version.parent / "config.pbtxt").write_text(config, encoding="utf-8")
        mappings = [
            f'{side} {{ key: "{name}" value: "{name}" }}'
            for side, columns in (("input_map", inputs), ("output_map", outputs))
            for name, _, _ in columns
        ]
        ensemble_steps.append(f'{{ model_name: "classic_{step}" model_version: -1 {" ".join(mappings)} }}')
    (folder / "classic" / "1").mkdir(parents=True)
    config = f'name: "classic"\nplatform: "ensemble"\nmax_batch_size: {MAX_BATCH_SIZE}\n{tensor_fields(texts, answer)}'
    config += f"ensemble_scheduling {{ step [ {', '.join(ensemble_steps)} ] }}\n"
    (folder / "classic" / "config.pbtxt").write_text(config, encoding="utf-8")
    return (*(f"classic_{step}" for step in STEPS), "classic")


def tensor_fields(inputs: tuple[Column, ...], outputs: tuple[Column, ...]) -> str:
    """The input and output fields of a configuration."""
    lines = [
        f'{side} [{{ name: "{name}" data_type: TYPE_{dtype} dims: [{dim}] }}]\n'
        for side, columns in (("input", inputs), ("output", outputs))
        for name, dtype, dim in columns
    ]
    return "".join(lines)
