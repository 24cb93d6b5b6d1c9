"""Vocabulary and position pruning in the exported graph: the entries that the training text uses, as long as it needs.

The tokenizer stays the task's own, so that all variants of a task read a text alike: a small table in front of the word
table says which of its rows an id has (the unknown word's, where the entry was dropped). Source of the idea:
`prune_embeddings` of ERNIE 3.0 Tiny, which makes a new tokenizer instead. A vocabulary larger than the model's pads the
word table instead: for a comparison with a model that has so many entries (ERNIE 3.0: 39,980).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import Window

from ..errors import ExportError


def counts(windows: Iterable[Window], size: int) -> np.ndarray:
    """How often each of `size` entries stands in the windows, int64 [size]."""
    total = np.zeros(size, np.int64)
    for window in windows:
        total += np.bincount(window.input_ids, minlength=size)[:size]
    return total


def kept_entries(found: np.ndarray, tokenizer: ErnieTokenizer, size: int, least: int = 1) -> np.ndarray:
    """The `size` most frequent entries that occur `least` times or more, ascending; special ones always.

    [PAD] is entry 0 and stays the first: ERNIE knows padding by it.
    """
    special = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.unk_id]
    if tokenizer.mask_id is not None:
        special.append(tokenizer.mask_id)
    order = [i for i in np.argsort(-found, kind="stable") if found[i] >= least and i not in special]
    return np.array(sorted([*special, *order[: max(0, size - len(special))]]), np.int64)


def row_of_id(kept: np.ndarray, vocabulary: int, unknown: int) -> np.ndarray:
    """Row of the small table for each of the old ids, int64 [vocabulary]."""
    rows = np.full(vocabulary, int(np.searchsorted(kept, unknown)), np.int64)
    rows[kept] = np.arange(len(kept))
    return rows


def prune(model: Any, kept: np.ndarray, unknown: int, positions: int, all_positions: int) -> None:
    """Cut the word table to `kept` and the position table to `positions` rows; model: onnx.ModelProto, in place.

    all_positions: rows of the position table as it is, by which it is known.
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


def word_reader(model: Any) -> Any:
    """The node that looks words up; ExportError where the graph has no one table that `input_ids` reads."""
    graph = model.graph
    tables = {tensor.name for tensor in graph.initializer}
    readers = [n for n in graph.node if n.op_type == "Gather" and n.input[1] == "input_ids" and n.input[0] in tables]
    if len(readers) != 1:
        raise ExportError(f"the exported graph reads {len(readers)} tables by input_ids, one was expected")
    return readers[0]


def pad(model: Any, size: int) -> None:
    """Rows of zeros, which no id reads, up to `size`: what the model would be with that vocabulary; in place."""
    from onnx import numpy_helper

    name = word_reader(model).input[0]
    table = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    words = numpy_helper.to_array(table)
    table.CopyFrom(numpy_helper.from_array(np.pad(words, ((0, size - len(words)), (0, 0))), name))


def unknown_rate(windows: Iterable[Window], kept: np.ndarray, tokenizer: ErnieTokenizer) -> tuple[float, float]:
    """Percent of tokens that are the unknown word, before and after the pruning (special tokens count as tokens)."""
    total = before = after = 0
    known = np.zeros(tokenizer.vocab_size, bool)
    known[kept[kept < tokenizer.vocab_size]] = True
    for window in windows:
        unknown = window.input_ids == tokenizer.unk_id
        total += len(window.input_ids)
        before += int(unknown.sum())
        after += int((unknown | ~known[window.input_ids]).sum())
    return 100 * before / max(total, 1), 100 * after / max(total, 1)
