"""tasks.toml: every fault is reported with its file, task and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_builders.config.tasks import load_tasks, read_tasks
from ernie_builders.config.train import TrainConfig
from ernie_builders.errors import ConfigError

from ..places import TASKS


def fault(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "tasks.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as raised:
        load_tasks(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_tasks_that_ship() -> None:
    tasks = load_tasks()
    assert list(tasks)[:2] == ["tnews", "msra_ner"]
    assert len(tasks["iflytek"].labels) == 119 and tasks["iflytek"].labels[10].name == "社区服务"
    assert tasks["tnews"].labels[7].name == "news_edu"
    assert tasks["tnews"].labels[7].id == "108"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'title = "Topics"',
            "colour = 1",
            "tasks.topics: unknown field 'colour'; known are name, kind, title",
        ),
        ('title = "Topics"', 'name = "../other"', "tasks.topics: unknown field 'name': the table's own name is"),
        ('title = "Topics"', "options = 3", "tasks.topics.options: expected a table, found 3"),
        ('title = "Topics"', 'transfer = "x"', "tasks.topics.transfer: expected a table of tables"),
        (
            'title = "Topics"',
            'transfer.dev = { format = "clue_json", folder = "x" }',
            "tasks.topics.transfer.dev: is what the task's own rows are called; choose another name",
        ),
        ("epochs = 2", "epoch = 2", "tasks.topics.train: unknown field 'epoch'; known are epochs"),
        ("epochs = 2", 'epochs = "2"', "tasks.topics.train.epochs: expected float, found '2'"),
        ("epochs = 2", "epochs = 0", "tasks.topics.train: train.epochs is 0; it must be above 0"),
        ("epochs = 2", "epochs = nan", "tasks.topics.train: train.epochs is nan; it must be above 0"),
        ("epochs = 2", "epochs = inf", "tasks.topics.train: train.epochs is inf; it must be above 0"),
        (
            "epochs = 2",
            "warmup = 1",
            "tasks.topics.train: train.warmup is 1; it must be at least 0 and below 1",
        ),
        ("batch_size = 16", "batch_size = 1.5", "tasks.topics.train.batch_size: expected int, found 1.5"),
        ("batch_size = 16", "batch_size = true", "tasks.topics.train.batch_size: expected int, found True"),
        ("batch_size = 16", "amp = 1", "tasks.topics.train.amp: expected bool, found 1"),
        ('title = "Topics"', "title = 5", "tasks.topics.title: expected str, found 5"),
        ('kind = "sequence_classification"', 'kind = "poetry"', "tasks.topics: kind 'poetry' is none of "),
        ('kind = "sequence_classification"', "kind = []", "tasks.topics: kind [] is none of "),
        ('kind = "sequence_classification"', "", "tasks.topics: field 'kind' is missing"),
        ('format = "clue_json"', "format = 1", "tasks.topics.data.format: expected str, found 1"),
        ('text = "sentence"', "text = 1", "tasks.topics.data.fields: expected a table of strings"),
        ("max_length = 32", "max_length = 3", "tasks.topics.limits: max_length 3 is outside 4..4096"),
        ("max_length = 32", 'max_length = "32"', "tasks.topics.limits.max_length: expected int, found '32'"),
        ("doc_stride = 24", "doc_stride = 31", "tasks.topics.limits: doc_stride 31 is outside 1..30"),
        (
            "doc_stride = 24",
            'overflow = "cut"\ndoc_stride = 24',
            "tasks.topics.limits: overflow 'cut' is none of",
        ),
        (
            '["north", "south", "west"]',
            "5",
            "tasks.topics.labels: expected a list of names or a table id = name",
        ),
        ('["north", "south", "west"]', "[]", "tasks.topics.labels: expected a list of names"),
        (
            '["north", "south", "west"]',
            '["north"]',
            "tasks.topics: task topics: sequence_classification needs at least two",
        ),
        ('["north", "south", "west"]', '["a", "a"]', "tasks.topics: two labels have the same id"),
        ('["O", "B-PER", "I-PER"]', '["O", "I-PER"]', "tasks.names: "),
        ('["的一不是", "有人了在用"]', "[5]", "tasks.topics.examples: expected a list of texts"),
        ('["的一不是", "有人了在用"]', '"的"', "tasks.topics.examples: expected a list of texts"),
        (
            '["的一不是", "有人了在用"]',
            '[["a", "b"]]',
            "tasks.topics.examples: ('a', 'b') has 2 texts, the kind takes 1",
        ),
        ('title = "Topics"', 'variants = "fp32"', "tasks.topics.variants: expected a list of strings"),
        ("[tasks.topics]", "[tasks.'a/b']", "tasks.a/b: "),
    ],
)
def test_faults(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert TASKS.count(old) >= 1
    message = fault(
        tmp_path,
        TASKS.replace(old, new, 1) if "a/b" not in new else TASKS.replace("tasks.topics", "tasks.'a/b'"),
    )
    assert message.startswith(f"tasks.toml: {expected}")


def test_all_faults_of_a_table_at_once(tmp_path: Path) -> None:
    text = TASKS
    for old, new in (
        ('title = "Topics"', 'title = 5\nvariants = ["fp32", "w0.75-int9"]\ntokns = "pieces"'),
        ('["north", "south", "west"]', '["a", "a"]'),
        ('["的一不是", "有人了在用"]', '[["a", "b"]]'),
        ("batch_size = 16", "batch_size = 0\naccumulate = 'x'\nwarmup = 2"),
        ('text = "sentence"', "text = 1"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    file = tmp_path / "tasks.toml"
    file.write_text(text, encoding="utf-8")
    faults = read_tasks(file).faults
    assert [line.partition(": ")[2].partition(": ")[0] for line in str(faults["topics"]).split("; tasks.toml")] == [
        "tasks.topics",  # the labels
        "tasks.topics.examples",
        "tasks.topics",  # tokns
        "tasks.topics.title",
        "tasks.topics.data.fields",
        "tasks.topics.train.accumulate",
        "tasks.topics.train",  # batch_size
        "tasks.topics.train",  # warmup
        "tasks.topics.variants",
    ] and list(faults) == ["topics"]


def test_a_chinese_name(tmp_path: Path) -> None:
    """It is the title; its models have a name that Triton's Python backend can use, always the same."""
    file = tmp_path / "tasks.toml"
    file.write_text(TASKS.replace("[tasks.topics", '[tasks."工单1"'), encoding="utf-8")
    (fault,) = read_tasks(file).faults.values()
    assert str(fault).endswith("is found by it as its title: leave `title` out")
    file.write_text(file.read_text(encoding="utf-8").replace('title = "Topics"\n', "", 1), encoding="utf-8")
    tasks = read_tasks(file)
    task = tasks.tasks[tasks.name_of("工单1")]
    assert (task.name, task.title) == ("1_26582259", "工单1")
    assert tasks.name_of("names") == "names" and tasks.name_of("工单2") == "工单2"


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("sequence_classification", "", (128, 96, "window")),
        ("pair_classification", "max_length = 64", (64, 24, "truncate")),
        ("question_answering", "overflow = 'truncate'", (256, 96, "truncate")),
        ("token_classification", "doc_stride = 8", (128, 8, "window")),
    ],
)
def test_lengths_that_are_left_out_follow_the_kind(
    tmp_path: Path, kind: str, given: str, expected: tuple[int, int, str]
) -> None:
    labels = "['O', 'B-a', 'I-a']" if kind == "token_classification" else "[]" if "answering" in kind else "['a', 'b']"
    lines = ["[tasks.a]", f"kind = '{kind}'", "data = 'sub/rows.csv'", f"limits = {{ {given} }}"]
    path = tmp_path / "tasks.toml"
    path.write_text("\n".join([*lines, *([] if labels == "[]" else [f"labels = {labels}"])]), encoding="utf-8")
    task = load_tasks(path)["a"]
    assert (task.limits.max_length, task.limits.doc_stride, task.limits.overflow) == expected
    assert (task.data.folder, task.data.train, task.data.format) == ("sub", "rows.csv", "")


def test_file_faults(tmp_path: Path) -> None:
    assert "tasks.toml: not TOML: " in fault(tmp_path, "[tasks.a\n")
    assert "tasks.toml: cannot be read ('utf-8' codec" in fault(tmp_path, b"\xff")
    assert fault(tmp_path, "").endswith("tasks.toml: no [tasks.NAME] table")
    assert fault(tmp_path, "tasks = 5").endswith("tasks.toml: no [tasks.NAME] table")
    assert fault(tmp_path, "[tasks]\na = 5") == "tasks.toml: tasks.a: expected a table"
    assert fault(tmp_path, "[tasks.a]\nkind = 'fill_mask'") == "tasks.toml: tasks.a: field 'data' is missing"
    assert fault(tmp_path, "[tasks.a]\nkind = 'fill_mask'\ndata = '.'") == (
        "tasks.toml: tasks.a.data: '.' is a folder: name the files in it, { folder = \".\", train = ... }"
    )
    with pytest.raises(ConfigError, match=r"none\.toml: no such file \(--tasks-file\)"):
        load_tasks(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_tasks(tmp_path)


@pytest.mark.parametrize("name", ["max_grad_norm", "patience", "accumulate", "evals_per_epoch", "learning_rate"])
def test_hyperparameters_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=f"train.{name} is 0; it must be above 0"):
        TrainConfig(**{name: 0})


def test_labels_from_a_file_beside_the_tasks_file(tmp_path: Path) -> None:
    file = tmp_path / "tasks.toml"
    file.write_text(TASKS.replace('["north", "south", "west"]', '"places.txt"'), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"tasks\.topics\.labels: {tmp_path}/places\.txt: no such file"):
        load_tasks(file)
    (tmp_path / "places.txt").write_text("n\tnorth\n\ns\tsouth\nwest\n", encoding="utf-8")
    labels = load_tasks(file)["topics"].labels
    assert [(label.id, label.name) for label in labels] == [("n", "north"), ("s", "south"), ("west", "west")]


def test_the_other_tasks_of_a_file_with_a_faulty_one(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text(TASKS.replace("batch_size = 16", "batch_size = 1.5", 1), encoding="utf-8")
    file = read_tasks(path)
    assert (list(file.tasks), list(file.faults)) == (["names"], ["topics"])
    fault = "tasks.toml: tasks.topics.train.batch_size: expected int, found 1.5"
    assert str(file.faults["topics"]) == fault
    with pytest.raises(ConfigError) as raised:
        file.check()
    assert str(raised.value) == fault
    file = read_tasks()
    file.check()
    assert not file.faults and file.tasks == load_tasks()


def test_options_are_checked_beside_faulty_limits(tmp_path: Path) -> None:
    path = tmp_path / "tasks.toml"
    path.write_text(
        """
[tasks.a]
kind = "sequence_classification"
labels = ["x"]
limits = { max_length = 2, doc_stride = 0, overflow = "cut" }
options = { pooling = "no", colour = 1 }
data = { format = "table", folder = "." }
[tasks.b]
kind = "ranking"
labels = ["0", "1"]
limits = { max_length = 2, doc_stride = 1, overflow = "truncate" }
data = { format = "table", folder = "." }
""",
        encoding="utf-8",
    )
    faults = {name: str(fault) for name, fault in read_tasks(path).faults.items()}
    for found in ("options.colour", "options.pooling", "at least two labels", "max_length 2", "doc_stride 0", "'cut'"):
        assert found in faults["a"]
    assert "overflow" not in faults["b"] and "max_length 2 is outside" in faults["b"], (
        "nothing that its limits do not say"
    )
