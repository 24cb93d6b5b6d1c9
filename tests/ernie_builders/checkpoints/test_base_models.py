"""`--base-model shipped:TASK`: the encoder of a checkpoint that ships."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ernie_builders.checkpoints.base_models import downloadable, folder_of, is_download
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.known_models import CLASSES, known_models, unread_model
from ernie_builders.config.tasks import ASSETS
from ernie_builders.errors import CheckpointError, ConfigError
from ernie_builders.framework import import_paddlenlp
from ernie_builders.modeling.model import find_base_model
from ernie_builders.presets.loading import load_presets


def test_the_encoder_without_head_and_labels() -> None:
    encoder = find_base_model("shipped:iflytek")
    checkpoint = read_checkpoint(ASSETS / "checkpoints" / "iflytek")
    assert not encoder.has_head
    assert encoder.name == "shipped:iflytek"
    assert checkpoint.config.id2label is not None and encoder.config == checkpoint.config.without_task()
    assert {name for name in checkpoint.weights if name.startswith("ernie.")} == set(encoder.weights)
    assert folder_of("shipped:iflytek") == ASSETS / "checkpoints" / "iflytek"
    assert not is_download("shipped:iflytek")


def test_a_checkpoint_that_does_not_ship() -> None:
    with pytest.raises(CheckpointError, match=r"shipped:poems: no such checkpoint ships; there are .*tnews"):
        find_base_model("shipped:poems")


@pytest.mark.parametrize("family", sorted({known.family for known in known_models().values()}))
def test_every_name_of_paddlenlp_has_the_shape_that_paddlenlp_gives_it(family: str) -> None:
    transformers, presets = import_paddlenlp(), load_presets()
    module = importlib.import_module(f"paddlenlp.transformers.{family}.configuration")
    (table,) = (vars(module)[name] for name in vars(module) if name.endswith("PRETRAINED_INIT_CONFIGURATION"))
    config_class = getattr(transformers, CLASSES[family][0]).config_class
    for name, settings in table.items():
        if unread_model(name):  # RoBERTa's English vocabulary
            continue
        config, model = config_class(**settings), presets.model(name)
        encoder, tables = model.encoder, model.embeddings
        assert is_download(name) and presets.models.get(name, downloadable(name)) == model
        assert (encoder.layers, encoder.hidden, encoder.heads) == (
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
        ), name
        assert tables.vocabulary == config.vocab_size, name
        assert encoder.intermediate == (4 * config.hidden_size if family == "ernie_m" else config.intermediate_size)
        cut_off = {"ernie_m": 2, "roberta": 1}.get(family, 0)  # positions that no text has
        assert tables.positions == config.max_position_embeddings - cut_off, name
        assert tables.task_types == (config.task_type_vocab_size if getattr(config, "use_task_id", False) else 0), name


def tables() -> Iterator[str]:
    """The names in all tables of PaddleNLP, of models and of tokenizers, from its source."""
    import_paddlenlp()
    package = importlib.import_module("paddlenlp.transformers")
    folder = Path(str(package.__file__)).parent
    for path in (path for name in ("configuration", "modeling", "tokenizer") for path in folder.glob(f"*/{name}.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign) else []
            named = [getattr(target, "id", getattr(target, "attr", "")) for target in targets]
            if any(name.upper().endswith("PRETRAINED_INIT_CONFIGURATION") for name in named):
                value = getattr(node, "value", None)
                keys = value.keys if isinstance(value, ast.Dict) else []
                yield from (key.value for key in keys if isinstance(key, ast.Constant))


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in PaddleNLP's source
def test_every_other_name_of_paddlenlp_is_refused_for_what_it_is() -> None:
    presets, names = load_presets(), set(tables()) - {"model_state"}  # a placeholder of its table
    assert len(names) > 250
    for name in sorted(names):
        if name in known_models() or name in presets.models or name == "ernie-1.0" or name.startswith("__"):
            assert not unread_model(name), name
            continue
        assert not is_download(name), name
        with pytest.raises(ConfigError, match=rf"{name}: PaddleNLP has it, but it is \w.*; read are ERNIE, "):
            presets.model(name)
    with pytest.raises(CheckpointError, match=r"ernie-doc-base-zh: PaddleNLP has it, but it is ERNIE-Doc; read are"):
        find_base_model("ernie-doc-base-zh")


def test_an_older_name_and_a_near_miss() -> None:
    presets = load_presets()
    assert presets.model("ernie-2.0-en") == presets.model("ernie-2.0-base-en")
    assert is_download("ernie-2.0-en") and is_download("uie-base") and not is_download("uie-bas")
    with pytest.raises(ConfigError, match=r"did you mean .*uie-base"):
        presets.model("uie-bas")
