"""The tokenizer.json of an XLM-R: <s> 0, <pad> 1, </s> 2, <unk> 3, pieces, <mask> last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..ernie_runtime.sentencepiece_samples import trained

FIRST = ("<s>", "<pad>", "</s>", "<unk>")
MASK = "<mask>"
PAD_ID = 1


def xlm_r_tokenizer() -> dict[str, Any]:
    """JSON data of the file, as Hugging Face writes it."""
    document: dict[str, Any] = json.loads(trained().to_str())
    special = {*FIRST, MASK}
    pieces = [entry for entry in document["model"]["vocab"] if entry[0] not in special]
    vocab = [*([name, 0.0] for name in FIRST), *pieces, [MASK, 0.0]]
    ids = {piece: id for id, (piece, _) in enumerate(vocab)}
    document["model"] |= {"vocab": vocab, "unk_id": FIRST.index("<unk>")}
    document["added_tokens"] = [
        {
            "id": ids[name],
            "content": name,
            "single_word": False,
            "lstrip": name == MASK,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for name in (*FIRST, MASK)
    ]
    document["post_processor"] = {
        "type": "RobertaProcessing",
        "sep": ["</s>", ids["</s>"]],
        "cls": ["<s>", ids["<s>"]],
        "trim_offsets": True,
        "add_prefix_space": True,
    }
    return document


def write_xlm_r_tokenizer(folder: Path) -> int:
    """Write tokenizer.json; the number of entries."""
    folder.mkdir(parents=True, exist_ok=True)
    document = xlm_r_tokenizer()
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    return len(document["model"]["vocab"])
