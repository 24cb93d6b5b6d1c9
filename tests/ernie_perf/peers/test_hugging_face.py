"""The same weights as the directory that PyTorch's servers load; the servers themselves are in tests/e2e."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import ASSETS
from ernie_perf.errors import PeerError
from ernie_perf.peers.hugging_face import shipped_checkpoint, write_model
from ernie_perf.peers.servers import INFINITY
from ernie_perf.peers.standalone import Case, Item, PlainTokenizer

SHIPPED = str(ASSETS / "encoder")


@pytest.fixture(scope="module")
def real(vectors: Case) -> Case:
    """As the task `sentence_embedding`, but for the ONNX model, which is not looked at."""
    return replace(vectors, width=312, checkpoint=SHIPPED)


def test_only_tasks_whose_checkpoint_ships_have_one() -> None:
    assert shipped_checkpoint("stsb_zh") == str(ASSETS / "checkpoints" / "stsb_zh")
    assert shipped_checkpoint("sentence_embedding") == str(ASSETS / "encoders" / "e5-small-zh")
    assert shipped_checkpoint("no such task") == ""


def test_the_written_model_computes_what_the_task_does(real: Case, items: list[Item], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model(real, folder)
    weights, source = load_file(folder / "model.safetensors"), read_checkpoint(Path(SHIPPED)).weights
    linear = "ernie.encoder.layer.0.attention.self.query.weight"
    assert np.array_equal(weights[linear], source["ernie.encoder.layers.0.self_attn.q_proj.weight"].T)
    assert sum(value.size for value in weights.values()) == sum(value.size for value in source.values())

    tokenizer, ours = Tokenizer.from_file(str(folder / "tokenizer.json")), PlainTokenizer(real)
    assert (tokenizer.truncation, tokenizer.padding) == (None, None)
    for item in items:
        assert tokenizer.encode(*item).ids == ours([item])["input_ids"][0].tolist()

    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    assert [entry["type"].rpartition(".")[2] for entry in modules] == ["Transformer", "Pooling", "Normalize"]
    assert all((folder / entry["path"]).is_dir() for entry in modules)
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    assert pooling == {
        "word_embedding_dimension": 312,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": False,
    }


def test_another_pooling_without_length_1(real: Case, tmp_path: Path) -> None:
    write_model(replace(real, pooling="cls", normalize=False), tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir() if path.is_dir()] == ["1_Pooling"]
    pooling = json.loads((tmp_path / "model" / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    assert pooling["pooling_mode_cls_token"] and not pooling["pooling_mode_mean_tokens"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"checkpoint": ""}, "no checkpoint is known for task toy: give its directory as --checkpoint"),
        ({"checkpoint": "/no/such/folder"}, "/no/such/folder: no such directory"),
        ({"pooling": "first_last_mean"}, "has no pooling first_last_mean, only mean and cls"),
        ({"width": 128}, "gives 312 numbers a text, the task 128"),
    ],
)
def test_what_cannot_be_written(real: Case, tmp_path: Path, changes: dict[str, str], says: str) -> None:
    with pytest.raises(PeerError, match=says):
        write_model(replace(real, **changes), tmp_path / "model")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_infinity_knows_no_other_length_than_1(real: Case, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="always gives vectors of length 1"):
        INFINITY.prepare(replace(real, normalize=False), tmp_path)
