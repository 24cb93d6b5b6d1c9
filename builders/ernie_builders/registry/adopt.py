"""Take a new encoder for the embedded one; checkpoints go on working, on the old one, until they are trained again.

What ships is the difference from an encoder. So the old encoder stays under `encoders/`, itself as a difference from
the new one, as long as a checkpoint leans on it (earlier.py). Every step leaves assets that can be read, and the
command may be run again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.checksums import CARDS, card_of, refresh
from ..checkpoints.pretraining_head import FILE as HEAD
from ..checkpoints.tokenizer_files import VOCABULARY
from ..checkpoints.weight_formats import WEIGHT_FILES, fingerprint
from ..config.tasks import ASSETS
from ..errors import CheckpointError
from ..filesystem import whole_folder
from .earlier import CURRENT, EARLIER, called, drop_unused, keep_earlier, lean_on_current


def adopt(new: Path, root: Path = ASSETS) -> list[str]:
    """Make `new` the embedded encoder of the assets in `root`; lines about what was done.

    `new`: config.json, vocab.txt, weights, mlm_head.safetensors and a card (card.json, or a README.md that names the
    weights). CheckpointError where one is missing or cannot be used; nothing is changed then.
    """
    found = read_checkpoint(new)
    weights = next((new / name for name in WEIGHT_FILES if (new / name).is_file()), None)
    if weights is None:
        raise CheckpointError(f"{new}: weights in a compact form cannot be the embedded encoder's")
    if not (new / HEAD).is_file():
        raise CheckpointError(f"{new}: no {HEAD}, the pre-training head, which the task fill_mask publishes")
    if card_of(weights) is None:
        raise CheckpointError(f"{weights}: has no card: no card.json beside it, and no README.md there that names it")
    lines = []
    if fingerprint(found.weights) == fingerprint(read_checkpoint(root / CURRENT).weights):
        lines.append(f"{new}: its weights are those of the embedded encoder already")
    else:
        base = root / EARLIER / called(found.weights)
        _copy(new, weights, base)
        refresh(root, base)
        lines += keep_earlier(base, root)
    _copy(new, weights, root / CURRENT)
    refresh(root, root / CURRENT)
    lean_on_current(root)
    lines += drop_unused(root)
    lines.append(f"{root / CURRENT}: {fingerprint(found.weights)[:12]}, from {new}")
    return lines


def _copy(new: Path, weights: Path, target: Path) -> None:
    """An encoder's files, there as a whole or not at all."""
    config = next(new / name for name in ("config.json", "model_config.json") if (new / name).is_file())
    with whole_folder(target) as copy:
        for path in (weights, config, new / HEAD, new / VOCABULARY, *(new / card for card in CARDS)):
            if path.is_file():
                shutil.copy(path, copy)
