"""From labelled text to a tasks file that builds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders import build_all
from ernie_builders.config.tasks import TaskConfig, load_tasks
from ernie_builders.errors import PublishError
from ernie_builders.repository.compare import published_manifest
from ernie_builders.start import init
from ernie_triton.local import LocalTasks

from ..command_line import OneLine
from ..places import Place, topic_rows


def table(path: Path, characters: list[str], count: int = 120) -> Path:
    """A spreadsheet's CSV, with Chinese names of columns."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["内容", "类别"])
        writer.writerows(topic_rows(characters, count, seed=1))
    return path


def written(path: Path, *more: str) -> TaskConfig:
    """The task that init writes for a file."""
    output = path.parent / "tickets.toml"
    assert init.main([str(path), "--name", "tickets", "--output", str(output), *more]) == 0
    return load_tasks(output)["tickets"]


def test_a_table_of_texts_and_labels(tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    task = written(table(tmp_path / "工单 (1).csv", characters))
    assert task.kind == "sequence_classification"
    assert [label.id for label in task.labels] == ["north", "south", "west"]
    assert task.data.fields == {"text": "内容", "label": "类别"}
    assert task.limits.max_length == 32
    out = capsys.readouterr().out
    assert "next: ernie-triton build" in out
    written(tmp_path / "工单 (1).csv", "--force", "--json")
    as_json = capsys.readouterr()
    assert as_json.err == out and sum(json.loads(as_json.out)["labels"].values()) == 120
    assert "120 rows" in out
    for label in ("north", "south", "west"):
        assert f"  {label}: " in out


def test_rows_of_a_session_are_held_out_together(
    tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, rows = tmp_path / "rows.csv", topic_rows(characters, 120, seed=1)
    lines = [f"{text},{label},{i // 3 if i != 5 else ''}" for i, (text, label) in enumerate(rows)]
    path.write_text("\n".join(["text,label,会话", *lines]) + "\n", encoding="utf-8")
    written(path)
    assert "--group '会话' would hold out" in capsys.readouterr().out
    for column, why in (("label", "is a text or the label"), ("客户", "is not there; others are 会话")):
        assert init.main([str(path), "--output", str(tmp_path / "b.toml"), "--group", column]) == 1
        assert why in capsys.readouterr().err
    task = written(path, "--force", "--group", "会话")
    assert task.data.fields == {"text": "text", "label": "label", "group": "会话"}
    build = ["--tasks-file", str(tmp_path / "tickets.toml"), "--cache", str(tmp_path / "cache"), "--until", "data"]
    assert build_all.main(build) == 0
    captured = capsys.readouterr()
    assert "rows are held out to evaluate on, whole groups by '会话'" in captured.out
    assert "1 rows without a '会话', each a group of its own (line 7)" in captured.err
    folder = next((tmp_path / "cache" / "tickets" / "data").glob("*/dev.jsonl")).parent
    groups = []
    for split in ("train", "dev"):
        rows_read = map(json.loads, (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines())
        groups.append({row[3] for row in rows_read if len(row) > 3})
    assert groups[1] and not groups[0] & groups[1]
    assert build_all.main([*build, "--group", "客户"]) == 1
    assert "the header has no column '客户'" in capsys.readouterr().err


def test_four_lines_by_hand(tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    table(tmp_path / "工单.csv", characters)
    path = tmp_path / "hand.toml"
    lines = ["[tasks.hand]", 'kind = "sequence_classification"', 'labels = ["north", "south", "west"]']
    path.write_text("\n".join([*lines, 'data = "工单.csv"']), encoding="utf-8")
    build = ["--tasks-file", str(path), "--cache", str(tmp_path / "cache"), "--until", "data"]
    assert build_all.main([*build, "--dry-run"]) == 0
    planned = capsys.readouterr()
    assert "max_length 128 tokens (by the kind), doc_stride 96 (by the kind)" in planned.out
    assert build_all.main(build) == 0
    assert "工单.csv: read as CSV (text = 内容, label = 类别)" in capsys.readouterr().err
    path.write_text(path.read_text(encoding="utf-8").replace("sequence", "token"), encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace('"north"', '"O", "B-a", "I-a"'), encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(', "south", "west"', ""), encoding="utf-8")
    assert build_all.main(build) == 1
    assert "looks like sequence_classification" in capsys.readouterr().err


def test_classes_of_an_older_doccano(tmp_path: Path) -> None:
    rows = [{"id": i, "text": f"第{i}条", "annotations": [{"label": 1 + i % 2, "user": 1}]} for i in range(20)]
    path = tmp_path / "doccano.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    task = written(path)
    assert (task.kind, [label.id for label in task.labels]) == ("sequence_classification", ["1", "2"])


def test_groups_of_candidates_have_the_labels_of_a_ranking(tmp_path: Path) -> None:
    path = tmp_path / "dbqa.tsv"
    rows = [f"{q}\t问题{q}是什么？\t答案{c}\t{int(c == 0)}\n" for q in range(20) for c in range(3)]
    path.write_text("qid\ttext_a\ttext_b\tlabel\n" + "".join(rows), encoding="utf-8")
    task = written(path)
    assert (task.kind, task.data.format) == ("ranking", "ranking_groups") and len(task.labels) == 2


def test_spans_of_doccano_become_tags(tmp_path: Path) -> None:
    rows = [{"id": i, "text": f"王小明{i}在北京", "label": [[0, 3, "PER"], [5, 7, "LOC"]]} for i in range(10, 40)]
    path = tmp_path / "doccano.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    task = written(path)
    assert task.kind == "token_classification"
    assert {label.id for label in task.labels} == {"O", "B-LOC", "I-LOC", "B-PER", "I-PER"}


def test_what_is_written_builds_and_is_evaluated_on_rows_that_were_not_trained_on(
    tmp_path: Path, characters: list[str], place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "工单.csv", characters)
    assert init.main([str(path), "--output", str(tmp_path / "工单.toml")]) == 0
    local = replace(place, root=tmp_path)
    arguments = ["--tasks-file", str(tmp_path / "工单.toml"), "--base-model", str(place.base_model), "--tasks", "工单"]
    arguments += ["--cache", str(local.cache), "--output", str(local.output), "--set", "epochs=1"]
    capfd.readouterr()
    code = build_all.main([*arguments, "--json"])
    shown = capfd.readouterr()
    assert code == 0, shown.err
    assert "12 of 120 rows are held out" in shown.err
    (built,) = json.loads(shown.out)["tasks"]
    assert (built["title"], built["version"], built["measured_on"]) == ("工单", 1, "dev, 12 rows")
    assert built["variants"]["fp32"]["figure"] > 0 and built["variants"]["fp32"]["error"] > 0
    name = built["task"]
    data = local.stage("data", name)
    train, dev = ((data / f"{split}.jsonl").read_text(encoding="utf-8").splitlines() for split in ("train", "dev"))
    assert (len(train), len(dev)) == (108, 12)
    assert {json.loads(row)[0][0] for row in train}.isdisjoint({json.loads(row)[0][0] for row in dev})
    assert name.isascii() and (local.output / name / "config.pbtxt").is_file()
    assert published_manifest(local.output, "工单").task == name
    with pytest.raises(PublishError, match="has no task '工单分'; did you mean 工单"):
        published_manifest(local.output, "工单分")
    assert LocalTasks(local.output).task("工单").name == name


def test_too_few_rows_to_evaluate_on_are_refused(
    tmp_path: Path, characters: list[str], place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    written(table(tmp_path / "tickets.csv", characters, count=9))
    capfd.readouterr()
    arguments = ["--tasks-file", str(tmp_path / "tickets.toml"), "--base-model", str(place.base_model)]
    assert build_all.main([*arguments, "--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "models")]) == 1
    assert "9 rows are too few to hold out a tenth" in capfd.readouterr().err


def test_a_tasks_file_is_not_replaced_unasked(tmp_path: Path, characters: list[str], one_line: OneLine) -> None:
    path = table(tmp_path / "tickets.csv", characters)
    written(path)
    code = init.main([str(path), "--output", str(tmp_path / "tickets.toml")])
    one_line(code, "exists already", "--force", program="ernie-triton init")


def test_what_is_no_labelled_text_is_refused(tmp_path: Path, one_line: OneLine) -> None:
    (tmp_path / "page.html").write_text("<html>\n<body>\n", encoding="utf-8")
    one_line(init.main([str(tmp_path / "page.html")]), "markup", program="ernie-triton init")
    one_line(init.main([str(tmp_path / "absent.csv")]), "no such file", program="ernie-triton init")


def test_what_cannot_be_built_is_not_written(tmp_path: Path, one_line: OneLine) -> None:
    path, output = tmp_path / "one.csv", tmp_path / "one.toml"
    path.write_text("text,label\n" + "".join(f"第{i}条工单,a\n" for i in range(30)), encoding="utf-8")
    output.write_text("# kept\n", encoding="utf-8")
    code = init.main([str(path), "--output", str(output), "--force"])
    one_line(code, "tasks.one", "at least two labels", program="ernie-triton init")
    assert output.read_text(encoding="utf-8") == "# kept\n" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("context", "script"),
    [("在歐洲，梵語的學術研究由德國學者開創。", "t2s"), ("在欧洲，梵语的学术研究由德国学者开创。", None)],
)
def test_questions_in_traditional_characters_are_read_as_simplified(
    tmp_path: Path, context: str, script: str | None
) -> None:
    """DRCD's form; the encoder that ships knows three quarters of DRCD's characters."""
    questions = [
        {"id": str(i), "question": f"第{i}個在哪？", "answers": [{"text": context[1:3], "answer_start": 1}]}
        for i in range(20)
    ]
    path = tmp_path / "DRCD.json"
    document = {"data": [{"paragraphs": [{"context": context, "qas": questions}]}]}
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    assert written(path).options.get("script") == script
