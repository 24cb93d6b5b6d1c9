"""presets.toml: which hyperparameters are published for which model, and the fallback where none are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_builders.config.schema import parse_table
from ernie_builders.config.tasks import load_tasks
from ernie_builders.config.train import TrainConfig
from ernie_builders.modeling.model import find_base_model
from ernie_builders.presets.loading import load_presets, preset_for

PRESETS, TASKS = load_presets(), load_tasks()
REQUIRED_MODELS = (
    [f"ernie-3.0-{size}-zh" for size in ("xbase", "base", "medium", "mini", "micro", "nano")]
    + [f"ernie-3.0-tiny-{size}-v2-zh" for size in ("base", "medium", "mini", "micro", "nano", "pico")]
    + ["ernie-1.0", "ernie-2.0-base-en", "ernie-2.0-large-en"]
)
GLUE = ("cola", "sst2", "stsb", "qqp", "mnli", "qnli", "rte", "mrpc", "wnli")
CLUE = ("tnews", "iflytek", "afqmc", "ocnli", "cmnli", "cluewsc2020", "csl")
OTHERS = ("cmrc2018", "drcd", "msra_ner", "xnli", "lcqmc", "bq", "chnsenticorp", "nlpcc_dbqa", "intent_slots")


def test_all_required_presets_and_models_are_there() -> None:
    assert {*GLUE, *CLUE, *OTHERS, "hierarchical"} <= set(PRESETS.presets)
    assert set(REQUIRED_MODELS) <= set(PRESETS.models)


@pytest.mark.parametrize("model", [*PRESETS.models, "embedded"])
def test_every_preset_has_an_answer_for_every_model(model: str) -> None:
    for name, preset in PRESETS.presets.items():
        choice = preset_for(name, model)
        assert choice.row in preset.by
        assert choice.exact == (
            choice.row in (model, choice.model.size if choice.model.language == preset.language else "")
        )
        train = parse_table(TrainConfig, choice.train, name)
        assert train.batch_size in (4, 8, 16, 24, 32, 64, 128, 256, 512)
        assert 5e-6 <= train.learning_rate <= 1e-4
        applied = choice.apply(TASKS.get(preset.tasks[0], TASKS["tnews"]))
        assert applied.limits.max_length == choice.max_length
        assert 1 <= applied.limits.doc_stride <= choice.max_length - 2


@pytest.mark.parametrize(
    ("preset", "model", "batch", "rate", "epochs", "length"),
    [
        # PaddleNLP's CLUE benchmark.
        ("tnews", "ernie-3.0-xbase-zh", 32, 3e-5, 3, 128),
        ("tnews", "ernie-3.0-nano-zh", 16, 5e-5, 3, 128),
        ("iflytek", "ernie-3.0-base-zh", 32, 5e-5, 3, 128),
        ("afqmc", "ernie-3.0-mini-zh", 64, 5e-5, 3, 128),
        ("ocnli", "ernie-3.0-medium-zh", 64, 1e-5, 5, 128),
        ("cmnli", "ernie-3.0-xbase-zh", 64, 3e-5, 2, 128),
        ("cluewsc2020", "ernie-3.0-nano-zh", 8, 1e-5, 50, 128),
        ("csl", "ernie-3.0-micro-zh", 64, 3e-5, 5, 256),
        ("cmrc2018_clue", "ernie-3.0-base-zh", 24, 2e-5, 2, 512),
        # Its examples of ERNIE 3.0, Tiny and hierarchical classification.
        ("cmrc2018", "ernie-3.0-medium-zh", 24, 3e-5, 8, 512),
        ("msra_ner", "ernie-3.0-medium-zh", 32, 5e-5, 3, 128),
        ("intent_slots", "ernie-3.0-tiny-nano-v2-zh", 64, 5e-5, 30, 16),
        ("hierarchical", "ernie-3.0-medium-zh", 32, 3e-5, 100, 128),
        # ERNIE's repository: where it gives two batches, the first is the large model's.
        ("xnli", "ernie-1.0", 512, 1e-4, 3, 512),
        ("chnsenticorp", "ernie-1.0", 24, 5e-5, 10, 256),
        ("msra_ner_ernie2", "ernie-1.0", 16, 5e-5, 6, 256),
        ("drcd", "ernie-2.0-large-zh", 64, 3e-5, 2, 512),
        ("lcqmc", "ernie-2.0-large-zh", 32, 5e-6, 3, 128),
        ("cola", "ernie-2.0-base-en", 64, 3e-5, 3, 128),
        ("cola", "ernie-2.0-large-en", 32, 3e-5, 5, 128),
        ("sst2", "ernie-2.0-base-en", 256, 2e-5, 4, 128),
        ("sst2", "ernie-2.0-large-en", 64, 2e-5, 4, 128),
        ("mnli", "ernie-2.0-base-en", 512, 3e-5, 3, 128),
        ("qqp", "ernie-2.0-large-en", 256, 5e-5, 3, 128),
        ("rte", "ernie-2.0-base-en", 4, 2e-5, 4, 128),
        ("rte", "ernie-2.0-large-en", 16, 3e-5, 5, 128),
        ("mrpc", "ernie-2.0-base-en", 32, 3e-5, 4, 128),
        ("wnli", "ernie-2.0-base-en", 8, 2e-5, 4, 512),
    ],
)
def test_published_for_this_model(preset: str, model: str, batch: int, rate: float, epochs: int, length: int) -> None:
    choice = preset_for(preset, model)
    assert choice.exact
    assert choice.origin.startswith(f"published for {model}")
    assert (choice.train["batch_size"], choice.train["learning_rate"], choice.train["epochs"]) == (batch, rate, epochs)
    assert choice.max_length == length


def test_published_dropout() -> None:
    assert preset_for("cluewsc2020", "ernie-3.0-medium-zh").train["dropout"] == 0.0
    assert preset_for("cluewsc2020", "ernie-3.0-xbase-zh").train["dropout"] == 0.1
    assert preset_for("iflytek", "ernie-3.0-medium-zh").train["dropout"] == 0.1
    assert preset_for("iflytek", "ernie-3.0-nano-zh").train["dropout"] == 0.0


@pytest.mark.parametrize(
    ("preset", "model", "row"),
    [
        ("tnews", "ernie-3.0-tiny-base-v2-zh", "ernie-3.0-base-zh"),  # the same shape
        ("tnews", "ernie-3.0-tiny-pico-v2-zh", "ernie-3.0-nano-zh"),  # the nearest smaller one is not published
        ("lcqmc", "ernie-3.0-xbase-zh", "large"),
        ("lcqmc", "ernie-3.0-nano-zh", "base"),
        ("msra_ner", "ernie-3.0-xbase-zh", "large"),
        ("hierarchical", "ernie-3.0-nano-zh", "ernie-3.0-medium-zh"),  # the only row there is
        ("cola", "ernie-3.0-base-zh", "base"),  # another language
        ("tnews", "ernie-2.0-large-en", "ernie-2.0-large-zh"),
        ("tnews", "embedded", "ernie-3.0-nano-zh"),  # its layers are Nano's
    ],
)
def test_fallbacks_are_named(preset: str, model: str, row: str) -> None:
    choice = preset_for(preset, model)
    assert (choice.row, choice.exact) == (row, False)
    assert choice.origin.startswith(f"fallback: this set has nothing for {model}; taken from ")
    assert row in choice.origin


def test_a_row_may_come_from_another_source() -> None:
    choice = preset_for("msra_ner", "ernie-2.0-large-zh")
    assert (choice.max_length, choice.train["epochs"], choice.train["batch_size"]) == (256, 6, 16)
    assert choice.source == PRESETS.sources["ernie"] != preset_for("msra_ner", "ernie-3.0-medium-zh").source


@pytest.mark.parametrize(
    ("model", "millions"),
    [("xbase", 296), ("base", 118), ("medium", 75), ("mini", 27), ("micro", 23), ("nano", 18)],
)
def test_parameters_as_published(model: str, millions: int) -> None:
    assert round(PRESETS.model(f"ernie-3.0-{model}-zh").parameters / 1e6) == millions


@pytest.mark.parametrize("name", ["embedded", "random:2x64x2", "tiny"])
def test_parameters_are_those_of_the_weights(name: str, base_model: Path) -> None:
    name = str(base_model) if name == "tiny" else name
    weights = {key: value for key, value in find_base_model(name).weights.items() if key.startswith("ernie.")}
    model = PRESETS.model(name)
    pooler = model.encoder.hidden * (model.encoder.hidden + 1)
    counted = sum(value.size for value in weights.values())
    assert model.parameters == counted + (0 if any("pooler" in key for key in weights) else pooler)


def test_shapes() -> None:
    shapes = {model.name: model.shape for model in PRESETS.models.values()}
    assert shapes["ernie-3.0-xbase-zh"] == "20 x 1024 x 16"
    assert shapes["ernie-3.0-tiny-pico-v2-zh"] == "3 x 128 x 2"
    for size in ("base", "medium", "mini", "micro", "nano"):
        assert shapes[f"ernie-3.0-{size}-zh"] == shapes[f"ernie-3.0-tiny-{size}-v2-zh"]
