"""Encoders that were embedded before, each kept as a difference from the embedded one while a checkpoint leans on it.

In full each would be as large as the encoder that ships. A difference in steps of STEP is half of that, and moves a
weight by a twentieth or less of what the checkpoints' own rounding does.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..checkpoints.checksums import CARDS, read_sums, refresh
from ..checkpoints.delta import Delta, Reference, decode, encode
from ..checkpoints.delta_files import HEADER, PACKED, read_delta, write_delta
from ..checkpoints.tokenizer_files import VOCABULARY
from ..checkpoints.weight_formats import Weights, fingerprint, read_stored, with_paddle_names
from ..config.tasks import ASSETS
from ..filesystem import whole_folder, write_json

CURRENT, EARLIER = "encoder", "encoders"
NAME = "embedded"
STEP = 0.00025  # checkpoints have 0.005 to 0.02


def called(weights: Weights) -> str:
    """The name of an encoder under EARLIER."""
    return f"{NAME}-{fingerprint(weights)[:8]}"


def leaning_on(name: str, root: Path = ASSETS) -> list[Path]:
    """The checkpoints that hold a difference from the encoder called so."""
    return [folder for folder, delta in _deltas(root, "checkpoints") if delta.base and delta.base.name == name]


def keep_earlier(base: Path, root: Path = ASSETS) -> list[str]:
    """Store each encoder that a checkpoint leans on as a difference from the one in `base`, a folder under EARLIER.

    Its checkpoints lean on that from then on; a line for each encoder. What is stored so already stays.
    """
    start, lines = _weights(base, root), []
    sha = fingerprint(start)
    for name in sorted({delta.base.name for _, delta in _deltas(root, "checkpoints") if delta.base}):
        folder = root / CURRENT if name == NAME else root / EARLIER / name
        if (folder / HEADER).is_file() and (found := read_delta(folder).base) and found.sha256 == sha:
            continue
        weights, leaning = _weights(folder, root), leaning_on(name, root)
        delta = encode(weights, STEP, start, base.name)
        kept = decode(delta, start, folder)
        reference = Reference(called(kept), fingerprint(kept))
        moved = max(float(np.abs(kept[key] - value).max()) for key, value in weights.items())
        _store(root / EARLIER / reference.name, folder, delta, moved)
        refresh(root, root / EARLIER / reference.name)
        for checkpoint in leaning:
            _lean(checkpoint, reference, (folder / VOCABULARY).read_bytes() == (base / VOCABULARY).read_bytes())
            refresh(root, checkpoint)
        lines.append(
            f"{len(leaning)} checkpoints lean on the encoder before, which stays as {EARLIER}/{reference.name}: "
            f"{len(delta.packed) / 1e6:.1f} MB, no weight moved by more than {moved:.4f}"
        )
    return lines


def lean_on_current(root: Path = ASSETS) -> None:
    """After the folder `base` of `keep_earlier` became the embedded encoder: earlier ones are differences from it."""
    for folder, delta in _deltas(root, EARLIER):
        if delta.base and delta.base.name != NAME:
            write_delta(folder, replace(delta, base=replace(delta.base, name=NAME)))
        refresh(root, folder)
        for checkpoint in leaning_on(folder.name, root):  # an interruption may have come before their sums
            refresh(root, checkpoint)


def drop_unused(root: Path = ASSETS) -> list[str]:
    """Remove earlier encoders that nothing leans on, and that lend no vocabulary; a line for each that ever shipped."""
    lines, every = [], [delta for place in ("checkpoints", EARLIER) for _, delta in _deltas(root, place)]
    needed = {reference.name for delta in every for reference in (delta.base, delta.vocabulary) if reference}
    listed = {root / EARLIER / name.split("/")[1] for name in read_sums(root) if name.startswith(f"{EARLIER}/")}
    for folder in sorted(listed.union((root / EARLIER).glob("*"))):  # listed alone: removed before an interruption
        if folder.name not in needed:
            if (folder / HEADER).is_file():
                lines.append(f"{folder}: removed, no checkpoint leans on it any more")
            shutil.rmtree(folder, ignore_errors=True)
            refresh(root, folder)
    if (root / EARLIER).is_dir() and not any((root / EARLIER).iterdir()):
        (root / EARLIER).rmdir()
    return lines


def _deltas(root: Path, place: str) -> list[tuple[Path, Delta]]:
    return [(path.parent, read_delta(path.parent)) for path in sorted(root.glob(f"{place}/*/{HEADER}"))]


def _weights(folder: Path, root: Path) -> Weights:
    """float32 weights of an encoder among the assets in `root`."""
    if not (folder / HEADER).is_file():
        return with_paddle_names(read_stored(folder)[1])
    delta = read_delta(folder)
    assert delta.base is not None, "an earlier encoder is a difference"
    base = root / CURRENT if delta.base.name == NAME else root / EARLIER / delta.base.name
    return decode(delta, _weights(base, root), folder / PACKED)


def _store(target: Path, of: Path, delta: Delta, moved: float) -> None:
    """The compact form with a card, there as a whole or not at all."""
    with whole_folder(target) as new:
        _fill(new, of, delta, moved)


def _fill(folder: Path, of: Path, delta: Delta, moved: float) -> None:
    write_delta(folder, delta)
    for name in ("config.json", VOCABULARY, CARDS[1]):
        if (of / name).is_file():
            shutil.copy(of / name, folder)
    card = {
        "title": "An encoder that was embedded before: what its successor changed, taken back",
        "kept_for": "the checkpoints whose delta.json names it",
        "step": delta.step,
        "largest_change_of_a_weight": round(moved, 6),
        "earlier_card": CARDS[1] if (of / CARDS[1]).is_file() else None,
    }
    if (of / CARDS[0]).is_file():
        card["earlier_card"] = json.loads((of / CARDS[0]).read_text(encoding="utf-8"))
    write_json(folder / CARDS[0], card)


def _lean(folder: Path, base: Reference, same_vocabulary: bool) -> None:
    """Write a checkpoint's header and card anew, with another base."""
    delta = read_delta(folder)
    assert delta.base is not None
    vocabulary = delta.vocabulary
    if vocabulary is not None and vocabulary.name == delta.base.name:
        vocabulary = replace(vocabulary, name=NAME if same_vocabulary else base.name)
    write_delta(folder, replace(delta, base=base, vocabulary=vocabulary))
    path = folder / CARDS[0]
    if path.is_file():
        card = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(card.get("weights"), dict) and card["weights"].get("base"):
            card["weights"]["base"] = {"name": base.name, "sha256": base.sha256}
            write_json(path, card)
