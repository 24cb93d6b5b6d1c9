"""Text -> tokens -> the model's output as every serving example does it, without this project's runtime.

A Rust tokenizer that adds [CLS] and [SEP], cuts and pads to the longest text of the call; one ONNX Runtime session. The
peers share it, so that they differ only in how requests reach it. Imports nothing of this project: the classic ensemble
carries a copy of this file in its model repository.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CASE_VARIABLE = "PEER_CASE"


def load(path: str | Path | None = None) -> dict[str, Any]:
    """The case that `Case.write` wrote; path: None for the one that the environment names."""
    found: dict[str, Any] = json.loads(Path(path or os.environ[CASE_VARIABLE]).read_text(encoding="utf-8"))
    return found


class PlainTokenizer:
    """Texts of a call -> input_ids, token_type_ids INT64 [B, L], padded to the longest."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        from tokenizers import Tokenizer
        from tokenizers.processors import BertProcessing

        self.tokenizer = Tokenizer.from_file(case["tokenizer"])
        ends = [(token, self.tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
        self.tokenizer.post_processor = BertProcessing(*ends)
        self.tokenizer.enable_truncation(case["max_length"])
        self.tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")

    def __call__(self, items: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """items: one text each, or a pair."""
        encodings = self.tokenizer.encode_batch([item[0] if len(item) == 1 else tuple(item) for item in items])
        return {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "token_type_ids": np.array([encoding.type_ids for encoding in encodings], np.int64),
        }

    def lengths(self, items: Sequence[Sequence[str]]) -> list[int]:
        """Tokens of each item, special tokens included, uncut and unpadded."""
        tokenizer = type(self.tokenizer).from_str(self.tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return [len(tokenizer.encode(*item).ids) for item in items]


class PlainEncoder:
    """The ONNX model in one session, with the settings that this project's own stand-in uses."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = case["threads"], 1
        # A pool that spins takes the time that tokenizing needs, and that of the servers that wait for their round.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(case["model"], options, providers=["CPUExecutionProvider"])
        self.inputs, self.output = [tensor.name for tensor in self.session.get_inputs()], case["output"]

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
        """FP32 [B, W]: logits, or embeddings."""
        values: np.ndarray = self.session.run([self.output], {name: tensors[name] for name in self.inputs})[0]
        return values
