"""Take a new encoder for the embedded one; checkpoints go on working, on the old one, until they are trained again.

What ships is the difference from an encoder. So the old encoder stays beside the new one, under `encoders/`, as long as
a checkpoint leans on it. Every step leaves assets that can be read, and the command may be run again.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from .checksums import CARDS, card_of, refresh
from .config import ASSETS
from .delta import fingerprint
from .delta_files import HEADER, read_delta, write_delta
from .errors import CheckpointError
from .folders import replace_folder
from .pretraining_head import FILE as HEAD
from .weight_files import WEIGHT_FILES
from .weights import VOCABULARY, read_checkpoint

CURRENT, EARLIER = "encoder", "encoders"
NAME = "embedded"


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
    old = read_checkpoint(root / CURRENT)
    lines = []
    if fingerprint(found.weights) == fingerprint(old.weights):
        lines.append(f"{new}: its weights are those of the embedded encoder already")
    elif leaning := leaning_on(NAME, root):
        name = f"{NAME}-{fingerprint(old.weights)[:8]}"
        same = old.vocabulary.read_bytes() == found.vocabulary.read_bytes()
        _copy(root / CURRENT, root / EARLIER / name)
        refresh(root, root / EARLIER / name)
        for folder in leaning:
            _lean(folder, name, same)
            refresh(root, folder)
        lines.append(f"{len(leaning)} checkpoints lean on the encoder before, which stays as {EARLIER}/{name}")
    beside = root / f".{CURRENT}.new"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    for path in (weights, new / HEAD, new / VOCABULARY, *(new / card for card in CARDS)):
        if path.is_file():
            shutil.copy(path, beside)
    config = next(new / name for name in ("config.json", "model_config.json") if (new / name).is_file())
    shutil.copy(config, beside)
    replace_folder(beside, root / CURRENT)
    refresh(root, root / CURRENT)
    lines += drop_unused(root)
    lines.append(f"{root / CURRENT}: {fingerprint(found.weights)[:12]}, from {new}")
    return lines


def leaning_on(name: str, root: Path = ASSETS) -> list[Path]:
    """The checkpoints that hold a difference from the encoder called so."""
    folders = (path.parent for path in sorted(root.glob(f"checkpoints/*/{HEADER}")))
    return [folder for folder in folders if (base := read_delta(folder).base) is not None and base.name == name]


def drop_unused(root: Path = ASSETS) -> list[str]:
    """Remove earlier encoders that no checkpoint leans on, and that lend none its vocabulary; a line for each."""
    lines, deltas = [], [read_delta(path.parent) for path in root.glob(f"checkpoints/*/{HEADER}")]
    for folder in sorted((root / EARLIER).glob("*")):
        needed = {reference.name for delta in deltas for reference in (delta.base, delta.vocabulary) if reference}
        if folder.name not in needed:
            shutil.rmtree(folder)
            refresh(root, folder)
            lines.append(f"{folder}: removed, no checkpoint leans on it any more")
    if (root / EARLIER).is_dir() and not any((root / EARLIER).iterdir()):
        (root / EARLIER).rmdir()
    return lines


def _copy(folder: Path, target: Path) -> None:
    """A copy that is there as a whole or not at all."""
    beside = target.with_name(f".{target.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(folder, beside)
    replace_folder(beside, target)


def _lean(folder: Path, name: str, same_vocabulary: bool) -> None:
    """Write a checkpoint's header and card anew, with another name for the same encoder."""
    delta = read_delta(folder)
    assert delta.base is not None
    vocabulary = delta.vocabulary
    if vocabulary is not None and vocabulary.name == delta.base.name and not same_vocabulary:
        vocabulary = replace(vocabulary, name=name)
    write_delta(folder, replace(delta, base=replace(delta.base, name=name), vocabulary=vocabulary))
    path = folder / CARDS[0]
    if path.is_file():
        card = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(card.get("weights"), dict) and card["weights"].get("base"):
            card["weights"]["base"]["name"] = name
            path.write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
