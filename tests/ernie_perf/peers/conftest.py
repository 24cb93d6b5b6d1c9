"""Tiny models that any peer can serve: what they give is a sum of a row a token, so padding changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from ernie_builders.config.tasks import ASSETS
from ernie_perf.peers.standalone import Case, Item
from ernie_runtime.text.tokenization import ErnieTokenizer

LABELS = ("north", "south", "west")


def write_model(path: Path, vocabulary: int, output: str) -> None:
    """input_ids, token_type_ids INT64 [B, L] -> `output` FP32 [B, 3]; the pad id's row and token type 0 are zeros."""
    rows = np.random.default_rng(3).normal(0, 0.5, (vocabulary, 3)).astype(np.float32)
    types = np.array([[0, 0, 0], [0.2, -0.1, 0.1]], np.float32)
    rows[0] = 0
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["by_token"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["by_type"]),
        helper.make_node("Add", ["by_token", "by_type"], ["both"]),
        helper.make_node("ReduceSum", ["both", "axis"], [output], keepdims=0),
    ]
    ids = [
        helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"])
        for n in ("input_ids", "token_type_ids")
    ]
    values = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 3])]
    constants = {"rows": rows, "types": types, "axis": np.array([1], np.int64)}
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", ids, values, initial)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("peers")
    tokenizer = ErnieTokenizer.from_vocab(ASSETS / "encoder" / "vocab.txt")
    tokenizer.save(folder / "tokenizer.json")
    for output in ("logits", "embedding"):
        write_model(folder / f"{output}.onnx", tokenizer.vocab_size, output)
    return Case(
        task="toy",
        kind="sequence_classification",
        variant="fp32",
        model=str(folder / "logits.onnx"),
        tokenizer=str(folder / "tokenizer.json"),
        output="logits",
        width=3,
        max_length=32,
        inputs=("TEXT",),
        threads=1,
        labels=LABELS,
    )


@pytest.fixture(scope="session")
def vectors(case: Case) -> Case:
    """The same rows, as the embedding of a text."""
    model = str(Path(case.model).with_name("embedding.onnx"))
    return replace(case, kind="embedding", model=model, output="embedding", labels=(), pooling="mean", normalize=True)


@pytest.fixture(scope="session")
def items() -> list[Item]:
    """Texts of 1 to 20 characters."""
    generator = np.random.default_rng(5)
    characters = list("今天天气很好我们出去玩吧银行股票比赛冠军")
    return [("".join(generator.choice(characters, int(n))),) for n in generator.integers(1, 21, 60)]
