"""What a file is, guessed and then read: format, columns, kind, labels and the reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_builders import build_all
from ernie_builders.errors import DataError
from ernie_builders.readers import get_reader
from ernie_builders.readers.sniff import sniff
from ernie_builders.start import init

from .samples import COLUMNS, ENTITIES, ROWS, SPANS, TABLES, TEXT, datasets_folder, file, json_file


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path: Path, name: str) -> None:
    found = sniff(TABLES[name](tmp_path))
    assert (found.format, dict(found.fields)) == ("table", {"text": "内容", "label": "标签"})
    assert found.kind == "sequence_classification" and dict(found.labels) == {"好": 2, "差": 2}
    assert found.files["train"].rows == 4 and found.examples["差"][0] == (ROWS[1][0],)
    assert found.reasons == ("'标签' has 2 different values: classes",) and found.lengths is not None


def test_names_of_classes(tmp_path: Path) -> None:
    found = sniff(datasets_folder(tmp_path))
    assert dict(found.labels) == {"0": 2, "1": 2} and dict(found.names) == {"0": "好", "1": "差"}
    rows = [{"sentence": f"文{i}", "label": str(100 + i % 2), "label_desc": "ab"[i % 2]} for i in range(8)]
    found = sniff(json_file("train.json", *rows)(tmp_path))
    assert dict(found.fields) == {"text": "sentence", "label": "label"} and dict(found.names) == {
        "100": "a",
        "101": "b",
    }


@pytest.mark.parametrize("name", [*ENTITIES, *COLUMNS])
def test_entities(tmp_path: Path, name: str) -> None:
    found = sniff({**ENTITIES, **COLUMNS}[name](tmp_path))
    assert found.kind == "token_classification" and dict(found.labels) == {"人名": 1, "机构": 1}
    closed = name in ("bioes", "bmes", "bilou")
    prefixes = "BIES" if closed else "BI"
    assert found.tags == ("O", *(f"{prefix}-{kind}" for *_, kind in SPANS for prefix in prefixes))
    assert found.examples["机构"] == ((TEXT,),)


@pytest.mark.parametrize(
    ("name", "text", "kind", "fields"),
    [
        ("a.txt", "黑苦荞茶\t食品\n国家\t地理\n茶叶\t食品\n海洋\t地理\n", "sequence_classification", {"label": "2"}),
        (
            "a.tsv",
            "甲一\t乙二\t1\n丙三\t丁四\t0\n戊五\t己六\t1\n庚\t辛\t0\n",
            "pair_classification",
            {"text_pair": "2"},
        ),
        ("a.tsv", "".join(f"甲{i}句\t乙{i}句\t{i % 5}.5\n" for i in range(12)), "similarity", {"score": "3"}),
        ("a.txt", "离婚\t婚姻,婚姻##抚养\n借钱\t债务\n", "hierarchical_classification", {"labels": "2"}),
    ],
)
def test_rows_without_a_header(tmp_path: Path, name: str, text: str, kind: str, fields: dict[str, str]) -> None:
    found = sniff(file(name, text)(tmp_path))
    assert found.kind == kind and found.fields["header"] == "no" and found.fields["text"] == "1"
    assert {key: found.fields[key] for key in fields} == fields


def test_a_folder_of_paddlenlp(tmp_path: Path) -> None:
    """Leaves only in label.txt: their parents are labels too, before them."""
    for split in ("train", "dev"):
        file(f"{split}.txt", "他们离婚了\t婚姻##离婚\n他欠钱\t债务##借贷\n")(tmp_path)
    file("label.txt", "\ufeff债务##借贷\r\n婚姻##离婚 \r\n婚姻##抚养\r\n\r\n")(tmp_path)
    found = sniff(tmp_path)
    assert found.kind == "hierarchical_classification" and found.label_file == tmp_path / "label.txt"
    assert list(found.labels) == ["债务", "债务##借贷", "婚姻", "婚姻##离婚", "婚姻##抚养"]
    assert {split: f.path.name for split, f in found.files.items()} == {"train": "train.txt", "dev": "dev.txt"}


def test_other_forms(tmp_path: Path) -> None:
    rows = "qid\ttext_a\ttext_b\tlabel\n1\t问\t甲\t0\n1\t问\t乙\t1\n"
    assert sniff(file("dbqa.tsv", rows)(tmp_path)).kind == "ranking"
    row = {"id": 1, "question": "谁？", "context": "是他。", "answers": {"text": ["他"], "answer_start": [1]}}
    assert sniff(json_file("qa.jsonl", row)(tmp_path)).kind == "question_answering"
    rows = "".join("1\t放歌\tmusic\t放<song>歌</song>\n" for _ in range(3))
    assert dict(sniff(file("slu.txt", rows)(tmp_path)).slots) == {"song": 3}
    pairs = [{"sentence1": f"甲{i}", "sentence2": f"乙{i}", "label": ["-", "是", "否", "是"][i % 4]} for i in range(8)]
    found = sniff(json_file("ocnli.jsonl", *pairs)(tmp_path))
    assert found.fields["drop"] == "-" and list(found.labels) == ["否", "是"] and found.files["train"].repairs


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "a,b\n", "a.csv: no rows"),
        ("a.txt", "只有文本\n没有标签\n各不相同\n", "a.txt: no column looks like"),
        ("a.txt", "<html>\n<p>\n", "markup or an empty file"),
        ("a.csv", "text,label\n好,1\n差\n", "a.csv:3: 1 cell, the header has 2"),
    ],
)
def test_what_is_no_data(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        sniff(file(name, text)(tmp_path))
    assert message in str(raised.value)
    (tmp_path / "b.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataError, match="no file is called train, and 2 others may be it: "):
        sniff(tmp_path)


@pytest.mark.parametrize(
    ("labels", "listed", "several"),
    [
        (("食品,水果", "水果"), "", True),  # one of them stands alone, too
        (("食品,水果", "水果,酒"), "食品\n水果\n酒\n", True),
        (("价格高,质量差", "价格低,质量好"), "", False),
        (("价格高,质量差", "价格高"), "价格高,质量差\n价格高\n", False),
    ],
)
def test_labels_with_commas(tmp_path: Path, labels: tuple[str, str], listed: str, several: bool) -> None:
    """PaddleNLP's files: several labels, or names that have a comma."""
    file("train.txt", "".join(f"第{i}条茶\t{labels[i % 2]}\n" for i in range(24)))(tmp_path)
    if listed:
        file("label.txt", listed)(tmp_path)
    expected = "hierarchical_classification" if several else "sequence_classification"
    assert sniff(tmp_path).kind == expected


def test_folders_in_the_place_of_files(tmp_path: Path) -> None:
    """ERNIE's own data: xnli/train/1, xnli/dev/1, names without a suffix."""
    for split, numbers in (("train", (1, 2, 10)), ("dev", (1,))):
        (tmp_path / split).mkdir()
        for number in numbers:
            rows = "".join(f"{number}甲{i}\t乙句{i}\t{'同' if i % 2 else '异'}\n" for i in range(4))
            file(str(number), rows)(tmp_path / split)
    found = sniff(tmp_path)
    assert found.kind == "pair_classification" and dict(found.labels) == {"同": 8, "异": 8}
    assert {split: f.rows for split, f in found.files.items()} == {"train": 12, "dev": 4}
    examples = list(get_reader(found.format)(tmp_path / "train", found.fields))
    assert [e.texts[0] for e in examples[3:9]] == ["1甲3", "2甲0", "2甲1", "2甲2", "2甲3", "10甲0"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: a folder without files"):
        list(get_reader("table")(tmp_path / "empty", found.fields))


def hub_folder(folder: Path) -> Path:
    """As Hugging Face keeps a data set: data/ with shards of parquet."""
    import pandas

    (folder / "data").mkdir()
    for name, at in (("train-00000-of-00002", 0), ("train-00001-of-00002", 2), ("validation-00000-of-00001", 0)):
        rows = ROWS[at : at + 2] if name.startswith("train") else ROWS
        pandas.DataFrame(rows, columns=["内容", "标签"]).to_parquet(folder / "data" / f"{name}.parquet")
    return folder


def test_shards_of_hugging_face(tmp_path: Path) -> None:
    found = sniff(hub_folder(tmp_path))
    assert {split: file.rows for split, file in found.files.items()} == {"train": 4, "dev": 4}
    (tmp_path / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"train-00001-of-00002\.parquet of its shards are not beside it"):
        sniff(tmp_path)


def test_several_files_for_a_split_are_refused(tmp_path: Path) -> None:
    for name in ("train_a.csv", "train_b.csv"):
        (tmp_path / name).write_text("text,label\n甲,1\n乙,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"2 files may be train: train_a\.csv, train_b\.csv; give the file itself"):
        sniff(tmp_path)


@pytest.mark.parametrize("kind", ["hub", "datasets"])
def test_what_init_writes_for_a_folder_reads_its_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """A tasks file names shards by the first one, and a folder that `datasets` saved by its name."""
    if kind == "hub":
        folder, rows = hub_folder(tmp_path), "train 4 rows"
    else:
        folder, rows = datasets_folder(tmp_path), ""
    tasks = tmp_path / "tasks.toml"
    assert init.main([str(folder), "--name", "reviews", "--output", str(tasks)]) == 0
    code = build_all.main(["--tasks-file", str(tasks), "--until", "data", "--cache", str(tmp_path / "cache")])
    shown = capsys.readouterr()
    if rows:
        assert code == 0 and rows in shown.out, shown.err
    else:
        assert code == 1 and "saved: 4 rows are too few to hold out a tenth" in shown.err, "they were read"


def test_two_equal_sentences_in_the_first_row_are_no_header(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    rows = [
        "他在跳舞。\t他在跳舞。\t5",
        "她在唱歌。\t有人唱歌。\t4",
        "下雨了。\t我们走吧。\t0",
        "天晴。\t是晴天。\t4.5",
    ]
    path.write_text("\n".join(rows * 3) + "\n", encoding="utf-8")
    found = sniff(path)
    assert found.kind == "similarity"
    assert found.files["train"].rows == 12
    path.write_text("text\ttext\tlabel\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"two columns of the header are called 'text'"):
        sniff(path)
