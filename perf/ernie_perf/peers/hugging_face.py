"""For peers that run the same weights in PyTorch: an embedding task as the directory that sentence-transformers loads.

The encoder is converted from the checkpoint that the ONNX model was exported from; the tokenizer is the published one
with [CLS] and [SEP]; pooling and length 1 are modules of sentence-transformers (its documentation, "Creating custom
models"). Nothing here imports PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import PeerError
from .standalone import Case, PlainTokenizer

POOLINGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
MODEL = "model"  # the directory's name
ENVIRONMENT = {
    **{"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"},
    "OMP_WAIT_POLICY": "PASSIVE",  # as for the other engines: spinning threads take time from those that answer
}


def prepare_model(case: Case, folder: Path) -> Mapping[str, str]:
    """Write `{folder}/model`; an environment without network, and with as many threads as the other engines have."""
    write_model(case, folder / MODEL)
    return {**ENVIRONMENT, "OMP_NUM_THREADS": str(case.threads)}


def shipped_checkpoint(task: str) -> str:
    """The directory of what a task of this project's tasks file is published from without training; else empty."""
    from ernie_builders.checkpoints.encoders import ENCODERS
    from ernie_builders.config.tasks import ASSETS, load_tasks
    from ernie_builders.kinds import get_builder_kind

    found = load_tasks().get(task)
    if found is None:
        return ""
    if found.checkpoint:
        return str(ASSETS / found.checkpoint)
    return "" if get_builder_kind(found.kind).trains else str(ENCODERS.get(found.base_model, ""))


def write_model(case: Case, folder: Path) -> None:
    """Write the directory. Errors: PeerError where there is no checkpoint, or these modules cannot do the task."""
    from ernie_builders.checkpoints.checkpoint import read_checkpoint
    from ernie_builders.convert_encoder import to_folder
    from ernie_builders.errors import BuildError

    if not case.checkpoint:
        raise PeerError(f"no checkpoint is known for task {case.task}: give its directory as --checkpoint")
    if case.pooling not in POOLINGS:
        raise PeerError(f"has no pooling {case.pooling}, only {' and '.join(POOLINGS)}")
    try:
        checkpoint = read_checkpoint(Path(case.checkpoint))
        hidden = checkpoint.config.hidden_size
        if hidden != case.width:
            raise PeerError(f"--checkpoint {case.checkpoint}: gives {hidden} numbers a text, the task {case.width}")
        to_folder(checkpoint, folder, "huggingface", 32)
    except BuildError as error:
        raise PeerError(str(error)) from None
    _write_tokenizer(case, folder)
    _write_modules(case, folder)


def _write_tokenizer(case: Case, folder: Path) -> None:
    tokenizer = PlainTokenizer(case).tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    options = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": case.max_length, **special}
    _write(folder / "tokenizer_config.json", options)


def _write_modules(case: Case, folder: Path) -> None:
    modules = {"": "Transformer", "1_Pooling": "Pooling"}
    if case.normalize:
        modules["2_Normalize"] = "Normalize"
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(modules.items())
    ]
    _write(folder / "modules.json", listed)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": case.max_length, "do_lower_case": False})
    for path in list(modules)[1:]:
        (folder / path).mkdir()
    flags = {name: pooling == case.pooling for pooling, name in POOLINGS.items()}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": case.width, **flags})


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
