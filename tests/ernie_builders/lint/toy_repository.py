"""A model repository of two tasks as the builder writes it; nobody runs its graphs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from ernie_builders.config.serving import WHOLE_TASK
from ernie_builders.repository import model_config
from ernie_builders.repository.tensorrt_config import tensorrt_config
from ernie_builders.repository.warmup import write_warmup
from ernie_runtime.manifest import Label, Limits, Manifest, Variant
from ernie_runtime.names import postprocess_model, tokenizer_model
from ernie_runtime.steps.step import strings
from ernie_runtime.text.tokenization import ErnieTokenizer

LABELS = {
    "news": ("sequence_classification", ("100", "101", "102")),
    "ner": ("token_classification", ("O", "B-PER", "I-PER")),
}


def onnx_bytes(labels: int, per_token: bool, output: str = "logits", id_type: int = TensorProto.INT64) -> bytes:
    """A graph with the contract's inputs and outputs; nobody runs it."""
    dims = ["batch", "length"]
    ids = [helper.make_tensor_value_info(n, id_type, dims) for n in ("input_ids", "token_type_ids")]
    shape = [*dims, labels] if per_token else ["batch", labels]
    logits = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
    node = helper.make_node("Cast", ["input_ids"], [output], to=TensorProto.FLOAT)
    data: bytes = helper.make_model(helper.make_graph([node], "tiny", ids, [logits])).SerializeToString()
    return data


def make_manifest(task: str, tokenizer: ErnieTokenizer, graph: bytes, version: int = 1) -> Manifest:
    kind, labels = LABELS[task]
    variant = Variant(
        name="fp32",
        engine="onnxruntime",
        file="model.onnx",
        bytes=len(graph),
        sha256=hashlib.sha256(graph).hexdigest(),
        max_abs_error=0.0,
    )
    return Manifest(
        task=task,
        kind=kind,
        title=f"{task} of 中国",
        version=version,
        labels=tuple(Label(name, f"name {name}") for name in labels),
        limits=Limits(max_length=32, doc_stride=24),
        vocabulary_size=tokenizer.vocab_size,
        vocabulary_sha256=tokenizer.fingerprint,
        variants=(variant,),
        recommended="fp32",
        main_metric="accuracy",
    )


def publish(root: Path, manifest: Manifest, tokenizer: ErnieTokenizer, graph: bytes) -> None:
    """The models of one task."""
    variant, task = manifest.variants[0], manifest.task
    per_token = manifest.kind == "token_classification"
    ids, text = np.ones((1, 16), np.int64), strings(["新闻".encode()])
    logits = np.zeros((1, 5, 3) if per_token else (1, 3), np.float32)
    postprocess_inputs = {"WINDOW": np.array([[0, 5]], np.int32), "ITEM": strings([b"{}"]), "logits": logits}
    if per_token:
        postprocess_inputs["OFFSETS"] = np.zeros((1, 5, 2), np.int32)
    warmup_inputs: dict[str, dict[str, Any]] = {
        tokenizer_model(task): {"TEXT": text},
        f"{task}_encoder_fp32": {"input_ids": ids, "token_type_ids": ids},
        postprocess_model(task): postprocess_inputs,
    }
    configs = {
        tokenizer_model(task): [model_config.tokenizer_config(manifest)],
        f"{task}_encoder_fp32": [
            model_config.encoder_config(manifest, variant),
            model_config.pipeline_config(manifest, variant),
            tensorrt_config(manifest, variant),
        ],
        postprocess_model(task): [model_config.postprocess_config(manifest)],
        task: [*model_config.ensemble_configs(manifest, task, variant).values()],
        f"{task}_fp32": [*model_config.ensemble_configs(manifest, f"{task}_fp32", variant).values()],
    }
    for name, flavours in configs.items():
        folder = root / name / str(manifest.version)
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
        files = (model_config.PORTABLE, model_config.RAGGED, model_config.TENSORRT)
        for config, file in zip(flavours, files, strict=False):
            asked = tokenizer_model(task) if config.backend == WHOLE_TASK else name
            write_warmup(config, root / name, [warmup_inputs[asked]] if asked in warmup_inputs else [])
            (root / name / file).parent.mkdir(exist_ok=True)
            (root / name / file).write_text(model_config.to_text(config), encoding="utf-8")
    for name in (tokenizer_model(task), f"{task}_encoder_fp32"):
        tokenizer.save(root / name / str(manifest.version) / "tokenizer.json")
    (root / f"{task}_encoder_fp32" / str(manifest.version) / "model.onnx").write_bytes(graph)
