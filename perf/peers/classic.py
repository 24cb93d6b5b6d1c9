"""The classic ensemble: what ERNIE on Triton looked like before, written anew.

Three Python models; the tokenizer pads each request by itself, the encoder takes requests of equal shapes into a batch
(Triton's dynamic batching, no ragged ones), the postprocessor takes the best class.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from .case import Case, Item
from .triton import TritonPeer

MODELS = Path(__file__).with_name("classic_models")
STEPS = ("tokenizer", "encoder", "postprocess")
BATCH = 64
IDS = (("input_ids", "INT64", -1), ("token_type_ids", "INT64", -1))
ANSWER = (("label", "STRING", 1), ("confidence", "FP32", 1))
Tensor = tuple[str, str, int]


class ClassicPeer(TritonPeer):
    """The adapter, with a repository of its own."""

    name = "classic"
    what = "classic Triton ensemble: a request padded by itself, batches of equal shapes only"
    outputs = ("label", "confidence")

    def start(self, case: Case, port: int, example: Item) -> str:
        """Write the repository, then serve it."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-classic-repository-")))
        names = write_repository(folder, case)
        return self.serve(folder, names, case, port, example)

    def answer(self, body: bytes) -> dict[str, Any]:
        """From its two outputs."""
        values = self.values(body)
        return {"label": values["label"], "score": values["confidence"]}


def write_repository(folder: Path, case: Case) -> tuple[str, ...]:
    """Steps and ensemble under `folder`; their names, the ensemble's last."""
    texts: tuple[Tensor, ...] = tuple((name, "STRING", 1) for name in case.inputs)
    logits: tuple[Tensor, ...] = (("logits", "FP32", len(case.labels)),)
    contracts = dict(zip(STEPS, ((texts, IDS), (IDS, logits), (logits, ANSWER)), strict=True))
    links = []
    for step, (inputs, outputs) in contracts.items():
        home = folder / f"classic_{step}" / "1"
        home.mkdir(parents=True)
        shutil.copyfile(MODELS / f"{step}.py", home / "model.py")
        shutil.copyfile(Path(__file__).with_name("plain.py"), home / "plain.py")
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
    config = f'name: "classic"\nplatform: "ensemble"\nmax_batch_size: {BATCH}\n{tensors(texts, ANSWER)}'
    config += f"ensemble_scheduling {{ step [ {', '.join(links)} ] }}\n"
    (folder / "classic" / "config.pbtxt").write_text(config, encoding="utf-8")
    return (*(f"classic_{step}" for step in STEPS), "classic")


def tensors(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> str:
    """The input and output fields of a configuration."""
    lines = [
        f'{side} [{{ name: "{name}" data_type: TYPE_{dtype} dims: [{dim}] }}]\n'
        for side, given in (("input", inputs), ("output", outputs))
        for name, dtype, dim in given
    ]
    return "".join(lines)
