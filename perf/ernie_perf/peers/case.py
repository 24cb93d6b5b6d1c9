"""What all peers serve, and are asked: the ONNX model of a published task, and texts from a file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ernie_runtime.engines import ENGINES
from ernie_runtime.kinds import get_kind
from ernie_runtime.names import encoder_model, tokenizer_model
from ernie_runtime.repository import newest_version, task_manifest

from ..errors import PeerError
from .standalone import EMBEDDING, KINDS, Case, Item, PlainTokenizer


def read_case(repository: Path, task: str, variant: str = "", checkpoint: str = "") -> Case:
    """The newest version of a task; variant: empty for the recommended one.

    Errors: PeerError where no peer could serve it; ErnieError where the task is not published.
    """
    manifest = task_manifest(repository, task)
    chosen = manifest.variant(variant or manifest.recommended)
    if manifest.kind not in KINDS:
        raise PeerError(f"task {task} is {manifest.kind}; the peers here serve {', '.join(KINDS)}")
    if not ENGINES[chosen.engine].reads_onnx:
        suitable = [v.name for v in manifest.variants if ENGINES[v.engine].reads_onnx]
        raise PeerError(
            f"variant {chosen.name} runs in {chosen.engine}; peers share an ONNX model: {', '.join(suitable)}"
        )
    encoder = newest_version(repository / encoder_model(task, chosen.name))
    tokenizer = newest_version(repository / tokenizer_model(task)) / "tokenizer.json"
    kind, options = get_kind(manifest.kind), manifest.options
    output = kind.encoder_outputs(manifest)[0]
    is_embedding = manifest.kind == EMBEDDING
    if options.get("prefixes"):
        raise PeerError(f"task {task} puts prefixes before texts (options.prefixes), which other servers do not")
    return Case(
        task=task,
        kind=manifest.kind,
        variant=chosen.name,
        model=str((encoder / chosen.file).resolve()),
        tokenizer=str(tokenizer.resolve()),
        output=output.name,
        width=output.dims[0],
        max_length=manifest.limits.max_length,
        inputs=tuple(spec.name for spec in kind.inputs),
        threads=len(os.sched_getaffinity(0)),
        labels=tuple(label.name for label in manifest.labels),
        pooling=options.get("pooling", "mean") if is_embedding else "",
        normalize=options.get("normalize", True) if is_embedding else False,
        checkpoint=checkpoint,
    )


def read_items(path: Path, fields: Sequence[str], count: int, limit: int) -> list[Item]:
    """The first `limit` items of a file, `count` texts a line: JSON objects with `fields`, or plain with tabs between.

    Errors: PeerError that names the line.
    """
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


def items_that_fit(case: Case, items: Sequence[Item]) -> list[Item]:
    """Items that the model reads whole and every peer accepts; the peers cut longer ones, each in its own way."""
    lengths = PlainTokenizer(case).lengths(items)
    least = 2 + len(case.inputs)  # special tokens, and one token per text
    return [item for item, n in zip(items, lengths, strict=True) if least <= n <= case.max_length and all(item)]
