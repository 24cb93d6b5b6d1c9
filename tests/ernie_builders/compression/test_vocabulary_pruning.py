"""Vocabulary and position pruning of an exported graph: kept words answer as before, dropped ones as unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from ernie_builders.compression.vocabulary import counts, kept_entries, pad, prune, row_of_id, unknown_rate
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import Window

from ..places import Place
from ..tiny import CONFIG


def window(*ids: int) -> Window:
    array = np.array(ids, np.int64)
    return Window(
        owner=0, input_ids=array, token_type_ids=np.zeros_like(array), offsets=np.zeros((len(ids), 2), np.int32)
    )


def run(path: Path, ids: np.ndarray) -> np.ndarray:
    feeds = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    return ort.InferenceSession(str(path)).run(["logits"], feeds)[0]


def test_kept_entries(vocabulary: Path) -> None:
    tokenizer = ErnieTokenizer.from_vocab(vocabulary)
    special = {tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id, tokenizer.mask_id} - {None}
    frequent = [i for i in range(tokenizer.vocab_size) if i not in special][:4]
    token_counts = counts([window(frequent[0]), window(frequent[1], frequent[1], frequent[2])], tokenizer.vocab_size)
    assert set(kept_entries(token_counts, tokenizer, 100)) == special | set(frequent[:3])
    assert set(kept_entries(token_counts, tokenizer, 100, min_count=2)) == special | {frequent[1]}
    assert set(kept_entries(token_counts, tokenizer, len(special) + 1)) == special | {frequent[1]}
    kept_ids = kept_entries(token_counts, tokenizer, 100)
    assert kept_ids[0] == tokenizer.pad_id == 0
    rows = row_of_id(kept_ids, tokenizer.vocab_size, tokenizer.unk_id)
    assert rows[0] == 0
    assert [kept_ids[rows[i]] for i in frequent] == [*frequent[:3], tokenizer.unk_id]
    before, after = unknown_rate([window(frequent[0], frequent[3], tokenizer.unk_id, frequent[3])], kept_ids, tokenizer)
    assert (before, after) == (25.0, 75.0)


def test_the_pruned_graph(finished: Place, tmp_path: Path, vocabulary: Path) -> None:
    source = finished.stage("export") / "model.onnx"
    tokenizer = ErnieTokenizer.from_vocab(vocabulary)
    token_counts = np.zeros(CONFIG["vocab_size"], np.int64)
    token_counts[10:30] = 1
    kept_ids = kept_entries(token_counts, tokenizer, 100)
    model = onnx.load(str(source))
    prune(model, kept_ids, tokenizer.unk_id, 16, CONFIG["max_position_embeddings"])
    onnx.checker.check_model(model)
    small = tmp_path / "small.onnx"
    onnx.save(model, str(small))
    kept_tokens = np.array([[tokenizer.cls_id, 12, 25, tokenizer.sep_id, 0, 0]], np.int64)
    np.testing.assert_allclose(run(source, kept_tokens), run(small, kept_tokens), atol=1e-6)
    dropped, unknown = (
        np.array([[tokenizer.cls_id, i, 25, tokenizer.sep_id]], np.int64) for i in (40, tokenizer.unk_id)
    )
    np.testing.assert_allclose(run(small, dropped), run(source, unknown), atol=1e-6)
    hidden = CONFIG["hidden_size"]
    saved_bytes = (CONFIG["vocab_size"] - len(kept_ids) + CONFIG["max_position_embeddings"] - 16) * hidden * 4
    assert source.stat().st_size - small.stat().st_size > saved_bytes - CONFIG["vocab_size"] * 4 - 1000


def test_a_padded_vocabulary_changes_only_the_size(finished: Place, tmp_path: Path) -> None:
    source, entries, hidden = finished.stage("export") / "model.onnx", CONFIG["vocab_size"], CONFIG["hidden_size"]
    model = onnx.load(str(source))
    pad(model, entries + 1000)
    onnx.save(model, str(tmp_path / "large.onnx"))
    ids = np.array([[1, 12, entries - 1, 2, 0]], np.int64)
    np.testing.assert_array_equal(run(source, ids), run(tmp_path / "large.onnx", ids))
    assert (tmp_path / "large.onnx").stat().st_size - source.stat().st_size >= 1000 * hidden * 4
