"""Unknown names and faulty files are reported in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.errors import CheckpointError, ConfigError
from ernie_builders.presets.loading import PRESETS_FILE, load_presets, preset_for

PRESETS = load_presets()


def test_a_directory_without_a_usable_configuration(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        PRESETS.model(str(tmp_path))
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json: not JSON"):
        PRESETS.model(str(tmp_path))
    shape = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps({**shape, "intermediate_size": "8"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json: intermediate_size is '8', expected a whole number"):
        PRESETS.model(str(tmp_path))
    (tmp_path / "config.json").unlink()
    (tmp_path / "model_config.json").write_text(json.dumps({"init_args": [shape]}), encoding="utf-8")
    model = PRESETS.model(str(tmp_path))
    assert (model.shape, model.encoder.intermediate) == ("1 x 4 x 2", 3072)


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("tnew", "embedded", "--preset tnew: no such preset; did you mean tnews or tnews_zoo?"),
        ("xyz", "embedded", "--preset xyz: no such preset; `--preset all --dry-run` lists them"),
        ("all", "embedded", "--preset all only lists the presets: add --dry-run"),
        (
            "tnews",
            "ernie-3.0-bas-zh",
            "--base-model ernie-3.0-bas-zh: no directory, and no model that PaddleNLP downloads; did you mean "
            "ernie-3.0-base-zh or ernie-3.0-xbase-zh?",
        ),
    ],
)
def test_unknown_names(name: str, model: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        preset_for(name, model)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3, warmup", "epoch = 3, warmup", "presets.afqmc.by.ernie-3.0-xbase-zh: epochs is missing"),
        ("warmup = 0.1", "warmups = 0.1", "presets.afqmc.by.ernie-3.0-xbase-zh: unknown field 'warmups'"),
        ("batch_size = 16", "batch_size = 1.5", "by.ernie-3.0-xbase-zh.batch_size: expected int, found 1.5"),
        ("learning_rate = 2e-5", "learning_rate = 0", "train.learning_rate is 0; it must be above 0"),
        (
            '"ernie-3.0-xbase-zh" = {',
            '"ernie-3.0-xbas-zh" = {',
            "no model, nor a size; did you mean ernie-3.0-xbase-zh",
        ),
        ('language = "zh"\nsource', 'language = "fr"\nsource', "presets.afqmc.language: 'fr' is none of zh, en"),
        ('source = "clue"', 'source = "blog"', "source 'blog' is none of clue, zoo, ernie, tiny, hierarchical"),
        ("max_length = 128", 'max_length = "128"', "presets.afqmc.max_length: expected int, found '128'"),
        ("max_length = 128\n", "", "presets.afqmc: "),
        ("layers = 20", 'layers = "20"', "models.ernie-3.0-xbase-zh.encoder.layers: expected int, found '20'"),
        ("layers = 20, ", "", "models.ernie-3.0-xbase-zh.encoder: "),
        ('like = ["large"]', "like = 5", "models.ernie-3.0-xbase-zh.like: expected a list of strings, found 5"),
        ("[sources]", "[source]", "presets.toml: 'sources' is missing"),
        ("[presets.tnews]", "[presets.tnews", "presets.toml: cannot be read ("),
        (
            'fields = { text = "sentence1"',
            "fields = { text = 1",
            "presets.cmnli.entry.fields: expected a table of strings",
        ),
    ],
)
def test_faults_of_the_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = PRESETS_FILE.read_text(encoding="utf-8")
    body = text.index("[presets.afqmc]") if "presets" in message and old in text[text.index("[presets.afqmc]") :] else 0
    assert old in text[body:]
    path = tmp_path / "presets.toml"
    path.write_text(text[:body] + text[body:].replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_presets(path)
    assert message in str(raised.value)
    assert "presets.toml" in str(raised.value) and "\n" not in str(raised.value).rstrip()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_presets(tmp_path / "none.toml")


def test_a_preset_without_values_for_a_model() -> None:
    large_only = replace(PRESETS.preset("tnews"), by={"large": {}, "ernie-2.0-large-en": {}})
    with pytest.raises(ConfigError, match=r"preset tnews has nothing for ernie-3\.0-nano-zh"):
        replace(PRESETS, presets={"tnews": large_only}).choose(large_only, "ernie-3.0-nano-zh")
