"""What all peers serve: one ONNX model with its tokenizer, taken from a published task."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ernie_runtime.engines import ENGINES
from ernie_runtime.kinds import get_kind
from ernie_runtime.names import encoder_model, tokenizer_model
from ernie_runtime.repository import newest_version, task_manifest

from ..errors import PeerError
from .answers import EMBEDDING, KINDS

Item = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """The model as files, and how it is to be run."""

    task: str
    kind: str
    variant: str
    model: str  # ONNX: input_ids, token_type_ids INT64 [B, L] -> `output` FP32 [B, `width`]
    tokenizer: str  # tokenizer.json of Hugging Face's `tokenizers`, without special tokens
    output: str  # logits, embedding
    width: int
    max_length: int  # tokens of a text, special tokens included
    inputs: tuple[str, ...]  # names of the task's inputs
    threads: int  # of the engine
    labels: tuple[str, ...] = ()  # of a classification
    pooling: str = ""  # of an embedding: how `model` makes one vector of the tokens' states
    normalize: bool = False  # of an embedding: the answer is at length 1, whatever `model` gives
    checkpoint: str = ""  # the directory of the weights that `model` was exported from; empty: not known

    def write(self, path: Path) -> Path:
        """As JSON, for a server in another process; `plain.load` reads it."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")
        return path


def read_case(repository: Path, task: str, variant: str = "", checkpoint: str = "") -> Case:
    """The newest version of a task; variant: empty for the recommended one. PeerError where no peer could serve it."""
    manifest = task_manifest(repository, task)
    chosen = manifest.variant(variant or manifest.recommended)
    if manifest.kind not in KINDS:
        raise PeerError(f"task {task} is {manifest.kind}; the peers here serve {', '.join(KINDS)}")
    if not ENGINES[chosen.engine].reads_onnx:
        fit = [v.name for v in manifest.variants if ENGINES[v.engine].reads_onnx]
        raise PeerError(f"variant {chosen.name} runs in {chosen.engine}; peers share an ONNX model: {', '.join(fit)}")
    encoder = newest_version(repository / encoder_model(task, chosen.name))
    tokenizer = newest_version(repository / tokenizer_model(task)) / "tokenizer.json"
    kind, options = get_kind(manifest.kind), manifest.options
    output = kind.encoder_outputs(manifest)[0]
    return Case(
        task,
        manifest.kind,
        chosen.name,
        str((encoder / chosen.file).resolve()),
        str(tokenizer.resolve()),
        output.name,
        output.dims[0],
        manifest.limits.max_length,
        tuple(spec.name for spec in kind.inputs),
        len(os.sched_getaffinity(0)),
        labels=tuple(label.name for label in manifest.labels),
        pooling=options.get("pooling", "mean") if manifest.kind == EMBEDDING else "",
        normalize=options.get("normalize", True) if manifest.kind == EMBEDDING else False,
        checkpoint=checkpoint,
    )


def read_items(path: Path, fields: Sequence[str], count: int, limit: int) -> list[Item]:
    """`count` texts a line: JSON by `fields`, or plain with tabs between them; PeerError names the line."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()][:limit]
    except (OSError, UnicodeDecodeError) as error:
        raise PeerError(f"--texts {path}: cannot be read ({error})") from None
    items: list[Item] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            try:
                row = json.loads(line)
                items.append(tuple(str(row[name]) for name in fields))
            except (ValueError, KeyError) as error:
                problem = f"no field {error}" if isinstance(error, KeyError) else f"not JSON ({error})"
                raise PeerError(f"--texts {path}, line {number}: {problem}; --field names the texts") from None
        else:
            items.append(tuple(line.split("\t")))
        if len(items[-1]) != count:
            hint = "name each in --field" if line.startswith("{") else "separate them with tabs"
            raise PeerError(f"--texts {path}, line {number}: {len(items[-1])} texts, the task takes {count}: {hint}")
    if not items:
        raise PeerError(f"--texts {path}: holds no texts")
    return items
