"""Label sets in BIOES and its other spellings: what is trained on decodes to the same entities, from file to answer."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.kinds import get_builder_kind
from ernie_builders.readers import Example
from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.manifest import Label, Limits
from ernie_runtime.text.tokenizer import Tokenizer

from ..places import TASKS, Place, write_names
from ..tiny import manifest_with

SCHEMES = {
    "BIO": ("O", "B-X", "I-X", "B-Y", "I-Y"),
    "BIOES": ("O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"),
    "BMES": ("S_X", "B_X", "M_X", "E_X", "S_Y", "B_Y", "M_Y", "E_Y", "O"),
    "BILOU": ("O", *(f"{role}-{kind}" for kind in "XY" for role in "BILU")),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("max_length", [8, 64])
def test_targets_decode_to_the_same_entities(
    tokenizer: Tokenizer, characters: list[str], scheme: str, max_length: int
) -> None:
    """Spans of one token and of many, touching, over several windows: the tags trained on, served as certain logits."""
    labels = tuple(Label(tag, tag) for tag in SCHEMES[scheme])
    limits = Limits(max_length=max_length, doc_stride=max(3, max_length // 3))
    manifest = replace(manifest_with(0, "token_classification"), labels=labels, limits=limits)
    certain = 9 * np.eye(len(labels), dtype=np.float32)
    kind, generator = get_kind("token_classification"), np.random.default_rng(7)
    seen = 0
    for _ in range(20):
        text = "".join(generator.choice(characters, 24))
        cuts = sorted({0, 24, *generator.integers(0, 24, 9).tolist()})
        spans = [
            [start, end, "XY"[number % 2]]
            for number, (start, end) in enumerate(pairwise(cuts))
            if generator.random() < 0.6
        ]
        documents, windows = kind.documents([(text,)], tokenizer, manifest)
        targets = get_builder_kind("token_classification").targets(Example((text,), spans, 1), windows, manifest)
        outputs = [
            WindowOutput(window.offsets, {"logits": certain[np.maximum(target["tags"], 0)]})
            for target, window in zip(targets, windows, strict=True)
        ]
        (answer,) = kind.decode(documents, [outputs], manifest)
        assert [[e["start"], e["end"], e["label"]] for e in answer.result["entities"]] == spans
        seen += len(spans)
    assert seen > 60


def test_from_a_file_in_bmes_to_a_task_in_bioes(
    place: Place, tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "tasks.toml"
    labels = 'labels = ["O", "B-PER", "I-PER"]'
    assert labels in TASKS
    text = TASKS.replace(labels, 'labels = ["O", "B-PER", "I-PER", "E-PER", "S-PER"]')
    tasks.write_text(text.replace("epochs = 1", "epochs = 4"), encoding="utf-8")
    for split, count in (("train", 240), ("dev", 20)):
        path = tmp_path / "data" / "names" / f"{split}.txt"
        write_names(path, characters, count, len(split))
        path.write_text(path.read_text("utf-8").replace("\tB-", " B_").replace("\tI-", " E_"), encoding="utf-8")
    own = replace(place, tasks_file=tasks, data_dir=tmp_path / "data", root=tmp_path)
    assert own.build("--until", "evaluate", task="names") == 0
    shown = re.search(r"evaluate: dev .*f1 ([\d.]+)", capsys.readouterr().out)
    assert shown is not None and float(shown[1]) > 50
    checkpoint = next((tmp_path / "cache" / "names").glob("fine-tune/*/best"))
    assert '"3": "E-PER"' in (checkpoint / "config.json").read_text("utf-8")
    published = replace(own, root=tmp_path / "published")
    assert published.build("--until", "evaluate", "--checkpoint", f"names={checkpoint}", task="names") == 0
    assert f"f1 {shown[1]}" in capsys.readouterr().out
