"""presets.toml: what was published, for which model, and what stands in where nothing was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builders import build_all
from builders.config import TaskConfig, TrainConfig, load_tasks, typed
from builders.errors import CheckpointError, ConfigError
from builders.models import find_base_model
from builders.presets import PRESETS_FILE, Presets, choice_for, load_presets, preset_for, task_names

from .conftest import Place

OneLine = Callable[..., str]
PRESETS, TASKS = load_presets(), load_tasks()
ASKED = (
    [f"ernie-3.0-{size}-zh" for size in ("xbase", "base", "medium", "mini", "micro", "nano")]
    + [f"ernie-3.0-tiny-{size}-v2-zh" for size in ("base", "medium", "mini", "micro", "nano", "pico")]
    + ["ernie-1.0", "ernie-2.0-base-en", "ernie-2.0-large-en"]
)
GLUE = ("cola", "sst2", "stsb", "qqp", "mnli", "qnli", "rte", "mrpc", "wnli")
CLUE = ("tnews", "iflytek", "afqmc", "ocnli", "cmnli", "cluewsc2020", "csl")
OTHERS = ("cmrc2018", "drcd", "msra_ner", "xnli", "lcqmc", "bq", "chnsenticorp", "nlpcc_dbqa", "intent_slots")


def test_every_preset_and_model_that_was_asked_for() -> None:
    assert {*GLUE, *CLUE, *OTHERS, "hierarchical"} <= set(PRESETS.presets)
    assert set(ASKED) <= set(PRESETS.models)


@pytest.mark.parametrize("model", [*PRESETS.models, "embedded"])
def test_every_preset_has_an_answer_for_every_model(model: str) -> None:
    for name, preset in PRESETS.presets.items():
        choice = preset_for(name, model)
        assert choice.row in preset.by
        assert choice.exact == (
            choice.row in (model, choice.model.size if choice.model.language == preset.language else "")
        )
        train = typed(TrainConfig, choice.train, name)
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


def test_dropout_that_was_searched_too() -> None:
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


def test_a_directory_without_a_usable_configuration(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        PRESETS.model(str(tmp_path))
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        PRESETS.model(str(tmp_path))
    shape = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps({**shape, "intermediate_size": "8"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json: intermediate_size is '8', expected a whole number"):
        PRESETS.model(str(tmp_path))
    (tmp_path / "config.json").unlink()
    (tmp_path / "model_config.json").write_text(json.dumps({"init_args": [shape]}), encoding="utf-8")
    model = PRESETS.model(str(tmp_path))
    assert (model.shape, model.encoder.intermediate) == ("1 x 4 x 2", 3072)


def task(**changes: object) -> TaskConfig:
    return replace(TASKS["chnsenticorp"], **changes)  # type: ignore[arg-type]


def test_what_a_preset_changes_and_what_stays() -> None:
    before = task(train=TrainConfig(epochs=7, dropout=0.3, windows_per_text=1, evals_per_epoch=5, accumulate=4))
    after = preset_for("chnsenticorp", "ernie-1.0").apply(before)
    assert (after.train.epochs, after.train.batch_size, after.train.accumulate) == (10, 24, 1)
    assert (after.train.dropout, after.train.warmup, after.train.weight_decay) == (0.1, 0.0, 0.01)
    assert (after.train.windows_per_text, after.train.evals_per_epoch) == (1, 5)
    assert (before.limits.max_length, before.limits.doc_stride) == (192, 128)
    assert (after.limits.max_length, after.limits.doc_stride) == (256, 171), "128 of 192"
    assert after.labels == before.labels and after.data == before.data


def test_a_published_stride_and_options() -> None:
    after = preset_for("cmrc2018", "ernie-3.0-medium-zh").apply(task(options={"n_best": 3}))
    assert (after.limits.max_length, after.limits.doc_stride) == (512, 128)
    assert after.options == {"n_best": 3, "max_answer_tokens": 50}


def test_a_stride_always_fits() -> None:
    limits = replace(task().limits, max_length=32, doc_stride=30)
    after = preset_for("intent_slots", "ernie-3.0-tiny-nano-v2-zh").apply(task(limits=limits))
    assert (after.limits.max_length, after.limits.doc_stride) == (16, 14)


def test_published_means_each_task_s_own() -> None:
    def found(name: str) -> str | None:
        choice = choice_for("published", name, "ernie-3.0-medium-zh")
        return choice.preset.name if choice else None

    assert [found(name) for name in ("tnews", "cmrc2018", "nlpcc2018_slu", "event_hierarchy")] == [
        "tnews",
        "cmrc2018",
        "intent_slots",
        "hierarchical",
    ]
    assert found("poetry") is None
    assert choice_for("", "tnews", "embedded") is None
    assert task_names("cmrc2018_clue", ["tnews", "cmrc2018"]) == ["cmrc2018"]
    assert task_names("published", ["tnews", "poetry"]) == ["tnews", "poetry"]


@pytest.mark.parametrize(
    ("name", "model", "says"),
    [
        ("tnew", "embedded", "--preset tnew: no such preset; did you mean tnews or tnews_zoo?"),
        ("xyz", "embedded", "--preset xyz: no such preset; `--preset all --dry-run` lists them"),
        ("all", "embedded", "--preset all only lists the presets: add --dry-run"),
        (
            "tnews",
            "ernie-3.0-bas-zh",
            "--base-model ernie-3.0-bas-zh: no directory, and no model of presets.toml; did you mean "
            "ernie-3.0-base-zh or ernie-3.0-xbase-zh?",
        ),
    ],
)
def test_names_that_are_none(name: str, model: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        preset_for(name, model)
    assert str(raised.value) == says


@pytest.mark.parametrize(
    ("old", "new", "says"),
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
def test_faults_of_the_file(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = PRESETS_FILE.read_text(encoding="utf-8")
    body = text.index("[presets.afqmc]") if "presets" in says and old in text[text.index("[presets.afqmc]") :] else 0
    assert old in text[body:]
    path = tmp_path / "presets.toml"
    path.write_text(text[:body] + text[body:].replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_presets(path)
    assert says in str(raised.value)
    assert "presets.toml" in str(raised.value) and "\n" not in str(raised.value).rstrip()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_presets(tmp_path / "none.toml")


def test_nothing_for_a_model_is_told() -> None:
    alone = replace(PRESETS.preset("tnews"), by={"large": {}, "ernie-2.0-large-en": {}})
    with pytest.raises(ConfigError, match=r"preset tnews has nothing for ernie-3\.0-nano-zh"):
        Presets(PRESETS.sources, PRESETS.models, {"tnews": alone}).choose(alone, "ernie-3.0-nano-zh")


def chosen(*arguments: str) -> list[TaskConfig]:
    return build_all.chosen_tasks(build_all.parser().parse_args(list(arguments)))


def test_on_the_command_line() -> None:
    (tnews,) = chosen("--tasks", "tnews", "--base-model", "ernie-3.0-base-zh", "--preset", "tnews")
    assert (tnews.train.batch_size, tnews.train.learning_rate, tnews.train.epochs) == (32, 3e-5, 3)
    (alone,) = chosen("--base-model", "ernie-3.0-base-zh", "--preset", "tnews")
    assert alone == tnews, "a preset without --tasks is for its own task"
    (changed,) = chosen("--preset", "tnews", "--set", "epochs=1", "--set", "learning_rate=1e-3")
    assert (changed.train.epochs, changed.train.learning_rate, changed.train.batch_size) == (1, 1e-3, 16), "--set wins"
    both = chosen("--tasks", "tnews,csl", "--preset", "published", "--base-model", "ernie-3.0-micro-zh")
    assert [(t.train.batch_size, t.limits.max_length) for t in both] == [(32, 128), (64, 256)]
    (other,) = chosen("--tasks", "chnsenticorp", "--preset", "tnews")
    assert other.train.learning_rate == 5e-5, "any preset for any task"


def test_faults_on_the_command_line(place: Place, one_line: OneLine) -> None:
    one_line(place.build("--preset", "tnew"), "--preset tnew: no such preset; did you mean tnews")
    one_line(place.build("--preset", "all"), "--preset all only lists the presets: add --dry-run")
    one_line(
        place.build("--preset", "cmnli", task="all"),
        "--preset cmnli: tasks.toml has no task for it; --dry-run says what to add",
    )
    one_line(
        place.build("--preset", "tnews", "--checkpoint", f"topics={place.base_model}"),
        "--preset tnews trains, --checkpoint topics=",
    )
    assert not place.cache.exists() and not place.output.exists()


def test_a_build_with_a_preset(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """It says whose figures they are, reads with the preset's length, and the card's command has it."""
    assert place.build("--preset", "intent_slots", "--until", "data") == 0
    assert "[topics] preset intent_slots: fallback: this set has nothing for " in capsys.readouterr().out
    inputs = json.loads((place.stage("data") / "done.json").read_text(encoding="utf-8"))["inputs"]
    assert (inputs["limits"]["max_length"], inputs["limits"]["doc_stride"]) == (16, 12)
    args = build_all.parser().parse_args(place.arguments("--preset", "intent_slots", "--set", "epochs=1"))
    (task,) = build_all.chosen_tasks(args)
    assert build_all._reproduce(args, task).endswith(" --preset intent_slots --set epochs=1")


def test_a_preset_longer_than_the_encoder_can_read(place: Place, one_line: OneLine) -> None:
    one_line(place.build("--preset", "tnews"), "tasks.topics.limits.max_length is 128, ", " has 64 positions")
