"""A checkpoint that was fine-tuned elsewhere as an XLM-R is published, and answers as its own class does."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..numpy_encoder import hugging_face_forward
from ..places import Place
from ..sentencepiece_files import PAD_ID, write_xlm_r
from ..tiny import HIDDEN

LABELS = ("north", "south", "west")
TEXTS = ("的一不是", "今天天气不错,我们去公园吧")


def test_a_fine_tuned_xlm_r_is_published(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place.root / "xlm_r"
    weights = write_xlm_r(
        folder,
        architectures=["XLMRobertaForSequenceClassification"],
        id2label={str(index): label for index, label in enumerate(LABELS)},
    )
    generator = np.random.default_rng(3)
    out = generator.standard_normal((len(LABELS), HIDDEN)).astype(np.float32)
    bias = generator.standard_normal(len(LABELS)).astype(np.float32)
    stored = {f"roberta.{name}": value for name, value in weights.items() if "pooler" not in name}
    stored |= {f"classifier.dense.{part}": weights[f"pooler.dense.{part}"] for part in ("weight", "bias")}
    stored |= {"classifier.out_proj.weight": out, "classifier.out_proj.bias": bias}
    stored["lm_head.bias"] = np.zeros(3, np.float32)
    save_file(stored, str(folder / "model.safetensors"))

    assert place.build("--checkpoint", f"topics={folder}") == 0
    assert f"unused weights of {folder}: cls.predictions\n" in capsys.readouterr().out
    encoder = OrtEngine(place.output / "topics_encoder_fp32" / "1" / "model.onnx")
    tokenizer = load_tokenizer(place.output / "topics_tokenizer" / "1" / "tokenizer.json")
    for text in TEXTS:
        ids = np.array([[tokenizer.cls_id, *tokenizer([text])[0].ids, tokenizer.sep_id, 0, 0]])
        (logits,) = encoder({"input_ids": ids, "token_type_ids": np.zeros_like(ids)}).values()
        own_ids = np.where(ids == PAD_ID, 0, np.where(ids == 0, PAD_ID, ids))
        types = np.zeros_like(own_ids)
        pooled = hugging_face_forward(weights, own_ids, types, 1e-5, pad_id=PAD_ID, first_position=PAD_ID + 1)[1]
        np.testing.assert_allclose(logits, pooled @ out.T + bias, atol=1e-4)
