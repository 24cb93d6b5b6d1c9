"""Prune vocabulary and positions of an exported graph to what the training text uses.

The tokenizer stays the same for all variants of a task: a small table before the word embeddings maps each id to its
row, which is the unknown word's if the entry was dropped. Source of the idea: `prune_embeddings` of ERNIE 3.0 Tiny,
which makes a new tokenizer instead. A requested vocabulary larger than the model's pads the word embeddings, for a
comparison with a model that has as many entries (ERNIE 3.0: 39,980).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.windows import Window

from ..errors import ExportError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def counts(windows: Iterable[Window], size: int) -> np.ndarray:
    """How often each of `size` entries occurs in the windows, int64 [size]."""
    total = np.zeros(size, np.int64)
    for window in windows:
        total += np.bincount(window.input_ids, minlength=size)[:size]
    return total


def kept_entries(counts: np.ndarray, tokenizer: Tokenizer, size: int, min_count: int = 1) -> np.ndarray:
    """The ids of the `size` most frequent entries that occur at least `min_count` times, ascending, with special ones.

    [PAD] is entry 0 and stays first: ERNIE recognizes padding by it.
    """
    special = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id]
    if tokenizer.mask_id is not None:
        special.append(tokenizer.mask_id)
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i] >= min_count and i not in special]
    return np.array(sorted([*special, *order[: max(0, size - len(special))]]), np.int64)


def row_of_id(kept: np.ndarray, vocabulary: int, unknown: int) -> np.ndarray:
    """For each old id its row in the pruned table, the unknown token's where it was dropped: int64 [vocabulary]."""
    rows = np.full(vocabulary, int(np.flatnonzero(kept == unknown)[0]), np.int64)
    rows[kept] = np.arange(len(kept))
    return rows


def prune(model: ModelProto, kept: np.ndarray, unknown: int, positions: int, all_positions: int) -> None:
    """Cut the word embeddings to the rows `kept`, the position embeddings to `positions` rows.

    model: changed in place. all_positions: current rows of the position table, which identify it.
    """
    from onnx import helper, numpy_helper

    graph, reader = model.graph, word_reader(model)
    tables = {tensor.name: tensor for tensor in graph.initializer}
    words = numpy_helper.to_array(tables[reader.input[0]])
    tables[reader.input[0]].CopyFrom(numpy_helper.from_array(words[kept], reader.input[0]))
    rows = numpy_helper.from_array(row_of_id(kept, len(words), unknown).astype(np.int32), "row_of_id")
    graph.initializer.append(rows)
    place = list(graph.node).index(reader)
    graph.node.insert(place, helper.make_node("Gather", ["row_of_id", "input_ids"], ["word_rows"]))
    reader.input[1] = "word_rows"
    for node in graph.node:
        tensor = tables.get(node.input[0]) if node.op_type == "Gather" and node is not reader else None
        if tensor is not None and list(tensor.dims)[:1] == [all_positions] and node.input[1] != "token_type_ids":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:positions], tensor.name))


def word_reader(model: ModelProto) -> NodeProto:
    """The node that looks up word embeddings; ExportError unless `input_ids` reads exactly one table."""
    graph = model.graph
    tables = {tensor.name for tensor in graph.initializer}
    readers = [n for n in graph.node if n.op_type == "Gather" and n.input[1] == "input_ids" and n.input[0] in tables]
    if len(readers) != 1:
        raise ExportError(f"the exported graph reads {len(readers)} tables by input_ids, one was expected")
    return readers[0]


def pad(model: ModelProto, size: int) -> None:
    """Pad the word embeddings with rows of zeros, which no id reads, up to `size`; model: changed in place."""
    from onnx import numpy_helper

    name = word_reader(model).input[0]
    table = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    words = numpy_helper.to_array(table)
    table.CopyFrom(numpy_helper.from_array(np.pad(words, ((0, size - len(words)), (0, 0))), name))


def unknown_rate(windows: Iterable[Window], kept: np.ndarray, tokenizer: Tokenizer) -> tuple[float, float]:
    """Percentage of unknown tokens before and after pruning (special tokens count as tokens)."""
    total = before = after = 0
    is_kept = np.zeros(tokenizer.vocab_size, bool)
    is_kept[kept[kept < tokenizer.vocab_size]] = True
    for window in windows:
        unknown = window.input_ids == tokenizer.unk_id
        total += len(window.input_ids)
        before += int(unknown.sum())
        after += int((unknown | ~is_kept[window.input_ids]).sum())
    return 100 * before / max(total, 1), 100 * after / max(total, 1)
