"""BERT, XLM-R, ERNIE-M and ERNIE-Gram compute in this project's ERNIE what their own classes compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from ernie_builders.checkpoints.encoder_config import parse_config, read_config
from ernie_builders.checkpoints.weight_formats import to_hugging_face
from ernie_builders.errors import CheckpointError
from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import build_model, say_unused

from ..numpy_encoder import hugging_face_forward
from ..sentencepiece_files import PAD_ID, SHAPE, write_xlm_r, write_xlm_r_tokenizer
from ..tiny import CONFIG, HIDDEN, manifest_with

LABELS = 3
WORDS = "embeddings.word_embeddings.weight"


def some_ids(entries: int, pad_id: int) -> np.ndarray:
    """int64 [3, 20] in a directory's own ids, with padding; no id of a special token but the pad's."""
    ids = np.random.default_rng(5).integers(4, entries - 1, (3, 20))
    ids[1, 7:] = ids[2, 13:] = pad_id
    return ids


def outputs(folder: Path, ids: np.ndarray, types_: np.ndarray | None = None) -> list[np.ndarray]:
    """Hidden states, pooled and the logits of three classes as this project computes them; ids: the directory's."""
    paddle = import_paddle("cpu")
    model = build_model(get_builder_kind("sequence_classification"), read_checkpoint(folder), manifest_with(LABELS))
    model.eval()
    swapped = np.where(ids == PAD_ID, 0, np.where(ids == 0, PAD_ID, ids))
    inputs = paddle.to_tensor(swapped), paddle.to_tensor(np.zeros_like(ids) if types_ is None else types_)
    with paddle.no_grad():
        hidden, pooled = model.ernie(*inputs)
        return [tensor.numpy() for tensor in (hidden, pooled, model(*inputs))]


def randomized(model: Any) -> Any:
    """The PaddleNLP layer with weights of which none is 0 or 1, and small embeddings, so that epsilon counts."""
    paddle = import_paddle("cpu")
    generator = np.random.default_rng(2)
    for name, tensor in model.state_dict().items():
        around = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        spread = 0.003 if "_embeddings" in name else 0.3
        values = around + spread * generator.standard_normal(tensor.shape)
        tensor.set_value(paddle.to_tensor(values.astype(np.float32)))
    model.eval()
    return model


def paddle_outputs(model: Any, ids: np.ndarray, pad_id: int, types_: np.ndarray | None = None) -> list[np.ndarray]:
    """Hidden states and pooled of a PaddleNLP encoder; the mask is explicit."""
    paddle = import_paddle("cpu")
    more = {} if types_ is None else {"token_type_ids": paddle.to_tensor(types_)}
    with paddle.no_grad():
        tensors = model(
            paddle.to_tensor(ids), attention_mask=paddle.to_tensor((ids != pad_id).astype(np.int64)), **more
        )
    return [tensor.numpy() for tensor in tensors[:2] if tensor is not None]


def largest(actual: list[np.ndarray], expected: list[np.ndarray], real: np.ndarray) -> float:
    """The largest difference of the hidden states of tokens, and of what is pooled."""
    return max(
        float(np.abs(actual[0] - expected[0])[real].max()),
        *(float(np.abs(a - b).max()) for a, b in zip(actual[1:], expected[1:], strict=False)),
    )


PREFIXES = {
    **{"Bert": "bert", "ErnieGram": "ernie_gram", "ErnieM": "ernie_m"},
    **{"Roberta": "roberta", "Skep": "skep", "TinyBert": "tinybert"},
    "PPMiniLM": "ppminilm",
}


@pytest.mark.parametrize("name", PREFIXES)
def test_as_paddlenlp_computes(tmp_path: Path, name: str) -> None:
    """Bare and as a task model; a directory that `save_pretrained` wrote."""
    transformers = import_paddlenlp()
    pad_id, entries = PAD_ID, write_xlm_r_tokenizer(tmp_path)
    arguments = {**SHAPE, "vocab_size": entries, "pad_token_id": pad_id}
    if name == "ErnieGram":
        arguments |= {"embedding_size": HIDDEN, "rel_pos_size": 7}
    if name == "PPMiniLM":
        arguments |= {"hidden_act": "relu"}  # as the published one
    config_class = getattr(transformers, f"{name}Model").config_class
    config = config_class(**arguments)
    task_model = getattr(transformers, f"{name}ForSequenceClassification")(config_class(**arguments, num_labels=LABELS))
    encoder = randomized(getattr(transformers, f"{name}Model")(config))
    ids = some_ids(entries, pad_id)
    types_ = None if name == "ErnieM" else np.random.default_rng(1).integers(0, 2, ids.shape)
    encoder.save_pretrained(str(tmp_path / "bare"))
    (tmp_path / "bare" / "tokenizer.json").write_bytes((tmp_path / "tokenizer.json").read_bytes())
    expected = paddle_outputs(encoder, ids, pad_id, types_)
    assert largest(outputs(tmp_path / "bare", ids, types_), expected, ids != pad_id) <= 1e-5

    randomized(task_model)
    task_model.save_pretrained(str(tmp_path / "task"))
    (tmp_path / "task" / "tokenizer.json").write_bytes((tmp_path / "tokenizer.json").read_bytes())
    expected = paddle_outputs(getattr(task_model, PREFIXES[name]), ids, pad_id, types_)
    paddle = import_paddle("cpu")
    with paddle.no_grad():
        if name == "Roberta":  # pools in its head
            first = paddle.to_tensor(expected[0][:, 0])
            expected.append(paddle.tanh(task_model.classifier.dense(first)).numpy())
            expected.append(task_model.classifier.out_proj(paddle.to_tensor(expected[1])).numpy())
        else:
            expected.append(task_model.classifier(paddle.to_tensor(expected[1])).numpy())
    actual = outputs(tmp_path / "task", ids, types_)
    assert largest(actual, expected, ids != pad_id) <= 1e-5
    checkpoint = read_checkpoint(tmp_path / "task")
    assert checkpoint.has_head and checkpoint.config == read_config(tmp_path / "task")
    assert checkpoint.config.pad_token_id == 0
    assert checkpoint.config.max_position_embeddings == (38 if name in ("ErnieM", "Roberta") else 40)


def test_hugging_face_ernie_m(tmp_path: Path) -> None:
    """Its layers have PaddleNLP's names, but for one more `self_attn`, and [out, in] matrices."""
    transformers = import_paddlenlp()
    entries = write_xlm_r_tokenizer(tmp_path)
    arguments = {**SHAPE, "vocab_size": entries, "pad_token_id": PAD_ID}
    encoder = randomized(transformers.ErnieMModel(transformers.ErnieMConfig(**arguments)))
    weights = {}
    for name, tensor in encoder.state_dict().items():
        new = name
        for part in ("q_proj", "k_proj", "v_proj"):
            new = new.replace(f"self_attn.{part}", f"self_attn.self_attn.{part}")
        value = tensor.numpy()
        weights[f"ernie_m.{new}"] = np.ascontiguousarray(
            value.T if value.ndim == 2 and "embeddings" not in name else value
        )
    save_file(weights, str(tmp_path / "model.safetensors"))
    config = {**arguments, "model_type": "ernie_m", "layer_norm_eps": 1e-5}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    ids = some_ids(entries, PAD_ID)
    assert largest(outputs(tmp_path, ids), paddle_outputs(encoder, ids, PAD_ID), ids != PAD_ID) <= 1e-5


def test_xlm_r_with_its_classification_head(tmp_path: Path) -> None:
    weights = write_xlm_r(tmp_path, architectures=["XLMRobertaForSequenceClassification"])
    generator = np.random.default_rng(3)
    encoder = {f"roberta.{name}": value for name, value in weights.items() if "pooler" not in name}
    head = {
        "classifier.dense.weight": weights["pooler.dense.weight"],
        "classifier.dense.bias": weights["pooler.dense.bias"],
        "classifier.out_proj.weight": generator.standard_normal((LABELS, HIDDEN)).astype(np.float32),
        "classifier.out_proj.bias": generator.standard_normal(LABELS).astype(np.float32),
    }
    save_file({**encoder, **head}, str(tmp_path / "model.safetensors"))
    ids = some_ids(len(weights[WORDS]), PAD_ID)
    hidden, pooled = hugging_face_forward(
        weights, ids, np.zeros_like(ids), 1e-5, pad_id=PAD_ID, first_position=PAD_ID + 1
    )
    logits = pooled @ head["classifier.out_proj.weight"].T + head["classifier.out_proj.bias"]
    assert largest(outputs(tmp_path, ids), [hidden, pooled, logits], ids != PAD_ID) <= 1e-5
    wrong = hugging_face_forward(weights, ids, np.zeros_like(ids), 1e-5, pad_id=PAD_ID)[0]
    assert np.abs(wrong - hidden)[ids != PAD_ID].max() > 1e-3, "a wrong first position would go unnoticed"


def test_xlm_r_fills_masks_with_its_own_head(tmp_path: Path) -> None:
    """lm_head is the pre-training head by another name; ids of <s> and <pad> have changed places in its bias too."""
    weights = write_xlm_r(tmp_path, architectures=["XLMRobertaForMaskedLM"])
    generator, entries = np.random.default_rng(4), len(weights[WORDS])
    head = {
        "lm_head.dense.weight": generator.standard_normal((HIDDEN, HIDDEN)).astype(np.float32),
        "lm_head.dense.bias": generator.standard_normal(HIDDEN).astype(np.float32),
        "lm_head.layer_norm.weight": generator.standard_normal(HIDDEN).astype(np.float32),
        "lm_head.layer_norm.bias": generator.standard_normal(HIDDEN).astype(np.float32),
        "lm_head.bias": generator.standard_normal(entries).astype(np.float32),
        "lm_head.decoder.weight": weights[WORDS],
    }
    save_file({**{f"roberta.{n}": v for n, v in weights.items()}, **head}, str(tmp_path / "model.safetensors"))
    kind = get_builder_kind("fill_mask")
    prepared = kind.prepare(read_checkpoint(tmp_path)).weights
    np.testing.assert_array_equal(prepared["cls.predictions.transform.weight"], head["lm_head.dense.weight"].T)
    np.testing.assert_array_equal(prepared["cls.predictions.layer_norm.bias"], head["lm_head.layer_norm.bias"])
    np.testing.assert_array_equal(
        prepared["cls.predictions.decoder_bias"], head["lm_head.bias"][[PAD_ID, 0, *range(2, entries)]]
    )
    assert not any("decoder_weight" in name for name in prepared)


def change(folder: Path, **changes: Any) -> None:
    """Change settings of config.json; None removes one."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    config = {name: value for name, value in config.items() if value is not None}
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new', supported is 'gelu' or 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True, supported is False"),
        ({"pool_act": "relu"}, "pool_act is 'relu', supported is 'tanh'"),
        ({"problem_type": "regression"}, "problem_type is 'regression', supported is 'single_label_classification' or"),
        ({"auto_map": {"AutoModel": "mine.Model"}}, "auto_map is {'AutoModel': 'mine.Model'}, supported is none"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config asks for gptq"),
        ({"rope_theta": 1e4, "sliding_window": 8}, "unknown settings rope_theta, sliding_window; take out"),
        ({"id2label": {"0": "a", "2": "b"}}, "the ids of id2label are 0, 2, expected 0 to n - 1"),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 3}, "num_labels is 3, id2label has 2"),
        (
            {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}},
            "label2id says that a is 1, id2label that 1 is b",
        ),
        ({"embedding_size": 16}, "embedding_size is 16, hidden_size 32: supported are equal ones"),
        ({"model_type": "electra"}, "model_type is electra, supported are ernie, bert, roberta, xlm-roberta, ernie_m"),
        ({"model_type": None, "architectures": ["NeZhaModel"]}, "a model of class NeZhaModel, supported are"),
        ({"pad_token_id": None}, "pad_token_id is None, xlm-roberta counts positions from it"),
        ({"pad_token_id": 3}, "pad_token_id is 3, from which positions are counted, but the tokenizer's pad token"),
        ({"max_position_embeddings": 2}, "max_position_embeddings is 2, but xlm-roberta starts at position 2"),
        ({"model_type": None, "type_vocab_size": 2}, "its weights are called roberta..., its configuration names no"),
    ],
)
def test_what_ernie_does_not_compute_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    weights = write_xlm_r(tmp_path)
    save_file({f"roberta.{name}": value for name, value in weights.items()}, str(tmp_path / "model.safetensors"))
    read_checkpoint(tmp_path)
    change(tmp_path, **changes)
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(tmp_path)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_harmless_settings_and_older_classes() -> None:
    harmless = {"chunk_size_feed_forward": 8, "use_cache": True, "position_embedding_type": "absolute", "fuse": True}
    assert parse_config({**CONFIG, **harmless}, "") == parse_config(CONFIG, "")
    plain = {name: value for name, value in CONFIG.items() if name not in ("model_type", "layer_norm_eps")}
    older = {"init_args": [{**plain, "init_class": "ErnieGramModel"}], "init_class": "ErnieGramForTokenClassification"}
    assert parse_config(older, "").layer_norm_eps == 1e-5
    assert parse_config({**plain, "init_class": "UIE"}, "").layer_norm_eps is None
    assert parse_config({**plain, "model_type": "ernie_gram", "layer_norm_eps": 1e-6}, "").layer_norm_eps == 1e-6


@pytest.mark.parametrize("name", ["Ernie", "Bert", "Roberta", "ErnieM", "ErnieGram", "Skep", "TinyBert"])
def test_every_setting_that_paddlenlp_writes_is_known(name: str) -> None:
    written = getattr(import_paddlenlp(), f"{name}Config")().to_dict()
    assert parse_config(written, "").hidden_size == written["hidden_size"]


def test_a_second_text_needs_its_token_type(tmp_path: Path) -> None:
    """A model with one token type, and a tokenizer that gives the second text of a pair another."""
    weights = write_xlm_r(tmp_path)
    save_file(weights, str(tmp_path / "model.safetensors"))
    path = tmp_path / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["post_processor"] = {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CheckpointError, match="gives the second text of a pair token type 1, the model has 1"):
        read_checkpoint(tmp_path)


def test_what_was_read_is_written_as_an_ernie(tmp_path: Path) -> None:
    """Read again, it is the same: positions are not cut twice, ids not exchanged twice."""
    weights = write_xlm_r(tmp_path / "a")
    save_file(weights, str(tmp_path / "a" / "model.safetensors"))
    first = read_checkpoint(tmp_path / "a")
    write_checkpoint(tmp_path / "b", first.config, first.weights, first.tokenizer)
    second = read_checkpoint(tmp_path / "b")
    assert second.config == first.config and second.tokenizer.fingerprint == first.tokenizer.fingerprint
    for name, value in first.weights.items():
        np.testing.assert_array_equal(second.weights[name], value, err_msg=name)
    assert len(to_hugging_face(first.weights)["ernie.embeddings.position_embeddings.weight"]) == 38


def test_unused_weights_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_xlm_r(tmp_path)
    more = {f"cls.seq_relationship.{part}": np.zeros((2, 2), np.float32) for part in ("weight", "bias")}
    more["embeddings.task_type_embeddings.weight"] = np.zeros((3, HIDDEN), np.float32)
    save_file({**weights, **more}, str(tmp_path / "model.safetensors"))
    checkpoint = read_checkpoint(tmp_path)
    model = build_model(get_builder_kind("sequence_classification"), checkpoint, manifest_with(LABELS))
    say_unused(model, checkpoint)
    modules = "cls.seq_relationship (2), ernie.embeddings.task_type_embeddings"
    assert capsys.readouterr().out == f"    unused weights of {tmp_path}: {modules}\n"
