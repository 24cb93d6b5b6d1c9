"""Rows in every container, spans in every form: the same examples from all of them, and nothing changed in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from ernie_builders.errors import BuildError, DataError
from ernie_builders.readers import Example, get_reader
from ernie_builders.readers.files.report import Report
from ernie_builders.readers.sniff import sniff

from .samples import COLUMNS, ENTITIES, ROWS, SPANS, TABLES, TEXT, datasets_folder, file, json_file, studio, studio_span

FIELDS = {"text": "内容", "label": "标签"}


def read(path: Path, fields: dict[str, str], format: str = "table") -> tuple[list[Example], list[str]]:
    report = Report()
    return list(get_reader(format)(path, fields, "train", report)), list(report)


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_every_container(tmp_path: Path, name: str) -> None:
    examples, report = read(TABLES[name](tmp_path), FIELDS)
    assert [(e.texts[0], e.target) for e in examples] == ROWS
    encoding = {"csv of chinese excel": ["read as GB18030"], "tsv of excel": ["read as UTF-16"]}
    assert report == encoding.get(name, [])
    assert examples[0].line in (1, 2)


def test_a_datasets_folder(tmp_path: Path) -> None:
    examples, _ = read(datasets_folder(tmp_path), FIELDS)
    assert [(e.texts[0], e.target) for e in examples] == [(text, str(int(label == "差"))) for text, label in ROWS]


@pytest.mark.parametrize("name", ENTITIES)
def test_entities_of_every_form(tmp_path: Path, name: str) -> None:
    column = {"doccano, old": "labels", "doccano with relations": "entities"}.get(name, "label")
    fields = {"text": "text", "entities": column}
    if name == "msra of paddlenlp":
        fields = {"text": "text_a", "tags": "label"}
    if name == "tokens and tags":
        fields = {"text": "tokens", "tags": "tags"}
    examples, report = read(ENTITIES[name](tmp_path), fields)
    assert [(e.texts, e.target) for e in examples] == [((TEXT,), [list(span) for span in SPANS])] and report == []


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_tags(tmp_path: Path, name: str) -> None:
    (example,), report = read(COLUMNS[name](tmp_path), {}, "bio_columns")
    assert example == Example((TEXT,), [list(span) for span in SPANS], 1) and report == []


def test_english_columns_have_blanks_between_words(tmp_path: Path) -> None:
    """CoNLL 2003's form: four columns, documents marked."""
    text = (
        "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP B-MISC\n\nPeter NNP B-NP S-PER\n"
    )
    examples, _ = read(file("eng.train", text)(tmp_path), {}, "bio_columns")
    assert examples == [
        Example(("EU rejects German",), [[0, 2, "ORG"], [11, 17, "MISC"]], 3),
        Example(("Peter",), [[0, 5, "PER"]], 7),
    ]


def test_paddlenlp_rows_without_header(tmp_path: Path) -> None:
    path = file("train.txt", "黑苦荞茶的功效\t食品\r\n交界处的国家\t地理 \r\n")(tmp_path)
    fields = {"header": "no", "text": "1", "label": "2"}
    assert [(e.texts[0], e.target, e.line) for e in read(path, fields)[0]] == [
        ("黑苦荞茶的功效", "食品", 1),
        ("交界处的国家", "地理", 2),
    ]
    path = file("multi.txt", "离婚后抚养\t婚姻,婚姻##抚养\n没有\t\n")(tmp_path)
    assert [e.target for e in read(path, {}, "hierarchy_tsv")[0]] == [["婚姻", "婚姻##抚养"], []]


def test_a_tsv_with_quotation_marks_of_the_text(tmp_path: Path) -> None:
    """No program that quotes would have written these."""
    rows = '"好" 是他说的\t1\n"全部引用"\t0\n他说"差"\t0\n"没有结束\t1\n'
    examples, _ = read(file("a.tsv", "text\tlabel\n" + rows)(tmp_path), {"text": "text", "label": "label"})
    assert [e.texts[0] for e in examples] == ['"好" 是他说的', '"全部引用"', '他说"差"', '"没有结束']


def test_labels_of_annotation_tools(tmp_path: Path) -> None:
    choice = ("sentiment", "choices", {"choices": ["好"]})
    path = json_file(
        "a.json",
        studio("甲", choice),
        studio("乙", annotations=[]),
        studio("丙", annotations=[{"was_cancelled": True, "result": []}]),
        {**studio("丁", choice), "annotations": [*studio("丁", choice)["annotations"], {"result": []}]},
    )(tmp_path)
    examples, report = read(path, {"text": "text", "label": "sentiment"})
    assert [(e.texts[0], e.target) for e in examples] == [("甲", "好"), ("丁", "好")]
    assert len(report) == 2 and report[0].startswith("2 tasks without an annotation, left out (lines ")
    assert report[1].startswith("1 tasks with several annotations, of which the first is taken")
    path = json_file("b.jsonl", {"text": "甲", "label": ["好"]}, {"text": "乙", "label": ["差"]})(tmp_path)
    assert [e.target for e in read(path, {"text": "text", "label": "label"})[0]] == ["好", "差"]
    path = json_file("c.jsonl", {"text": "甲", "label": ["好", "早"]}, {"text": "乙", "label": []})(tmp_path)
    assert [e.target for e in read(path, {"text": "text", "labels": "label"})[0]] == [["好", "早"], []]
    path = json_file("d.jsonl", {"text": "放首歌", "cats": ["music"], "entities": [[1, 3, "song"]]})(tmp_path)
    (example,), _ = read(path, {"text": "text", "intent": "cats", "entities": "entities"})
    assert example.target == {"intent": "music", "slots": [[1, 3, "song", "首歌"]]}


def test_offsets_of_a_browser_count_utf16_units(tmp_path: Path) -> None:
    """Label Studio's offsets behind an emoji; the words of the span say so."""
    text = "😀王小明和王小明"
    path = json_file("a.json", studio(text, studio_span(6, 9, "人名", "王小明")))(tmp_path)
    (example,), report = read(path, {"text": "text", "entities": "label"})
    assert example.target == [[5, 8, "人名"]] and report == ["offsets are UTF-16 units, converted to characters"]


def test_offsets_that_count_what_is_seen_as_one(tmp_path: Path) -> None:
    """Grapheme clusters, as doccano counts them where it is told to: an emoji of several, a mark, a flag."""
    text = "👩‍👩‍👧e\u0301🇨🇳王小明"
    row = {"text": text, "entities": [{"start": 3, "end": 6, "label": "人名", "text": "王小明"}]}
    (example,), report = read(json_file("a.jsonl", row)(tmp_path), {"text": "text", "entities": "entities"})
    start, end, _ = example.target[0]
    assert text[start:end] == "王小明" and report == ["offsets are grapheme clusters, converted to characters"]


def test_offsets_that_nothing_confirms_are_reported(tmp_path: Path) -> None:
    row = {"text": "😀王小明", "label": [[1, 4, "人名"]]}
    (example,), report = read(json_file("a.jsonl", row)(tmp_path), {"text": "text", "entities": "label"})
    assert example.target == [[1, 4, "人名"]] and "offsets taken as characters" in report[0] and "line 1" in report[0]


def test_a_span_is_moved_only_where_its_words_occur_once(tmp_path: Path) -> None:
    fields = {"text": "text", "entities": "label"}
    good = studio("王小明和王小明", studio_span(0, 3, "人名", "王小明"))
    path = json_file("a.json", good, studio("我和李四", studio_span(0, 2, "人名", "李四")))(tmp_path)
    examples, report = read(path, fields)
    assert examples[1].target == [[2, 4, "人名"]] and report[0].startswith("1 spans moved to where their words are")
    path = json_file("a.json", good, studio("王小明和王小明", studio_span(1, 4, "人名", "王小明")))(tmp_path)
    with pytest.raises(DataError, match=r"人名 at 1\.\.4 is '小明和', not '王小明', which occurs 2 times in the text"):
        read(path, fields)


@pytest.mark.parametrize(
    ("row", "fields", "message"),
    [
        ({"text": "北京", "e": [[0, 6, "L"]]}, {"entities": "e"}, "offsets seem to count bytes of UTF-8"),
        ({"text": "北京", "e": [[0, 9, "L"]]}, {"entities": "e"}, "L at 0..9 lies outside the text of 2 characters"),
        ({"text": "北京", "e": [["0", 2, "L"]]}, {"entities": "e"}, "expected a span such as [start, end, label]"),
        ({"text": "北京", "e": 7}, {"entities": "e"}, "expected a list of labelled spans, found '7'"),
        ({"text": "北京", "e": {"L": {"北京": [0, 1]}}}, {"entities": "e"}, "expected {label: {words:"),
        ({"text": ["北"], "t": ["O", "O"]}, {"tags": "t"}, "1 tokens and 2 tags: there must be one for each token"),
        ({"text": ["北"], "t": ["Q"]}, {"tags": "t"}, "field 't': expected a tag O or one such as B-TYPE"),
        ({"text": "北京", "s": "高"}, {"score": "s"}, "field 's': the score '高' is not a number"),
        ({"text": "北京", "s": None}, {"score": "s"}, "field 's': the score None is not a number"),
        ({"text": "北京", "s": 1}, {"score": "s", "label": "s"}, "name the file's text and one of label, labels"),
        ({"text": "北京", "s": 1}, {"lable": "s"}, "data.fields.lable is none of text, text_pair, label"),
    ],
)
def test_faults(tmp_path: Path, row: dict[str, Any], fields: dict[str, str], message: str) -> None:
    path = json_file("a.jsonl", row)(tmp_path)
    with pytest.raises(BuildError) as raised:
        read(path, {"text": "text", **fields})
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'text,label\n好,1\n"坏,0\n', "a.csv:3: a quotation mark opens a cell that is never closed"),
        ("a.csv", 'text,label\n"好"的,1\n', "a.csv:2: after the quotation mark that closes a cell there is no ','"),
        ("a.csv", "text,label\n好,1,2\n", "a.csv:2: 3 cells, the header has 2"),
        ("a.csv", "text,text\n好,1\n", "a.csv:1: two columns of the header are called 'text'"),
        ("a.csv", "a,b\n好,1\n", "a.csv:1: the header has no column 'text'; it has a, b"),
        ("a.json", '[{"text": "a", "label": 1} {"text": "b"}]', "a comma or ] is missing after an item"),
        ("a.json", '[{"text": "a", "label": 1},\n{"text": ]', "a.json:2: not a JSON object"),
        ("a.xls", "\xd0\xcf\x11\xe0", "save it as .xlsx or as CSV"),
        ("a.parquet", "PAR1nothing", "no parquet file that can be read"),
        ("a.xlsx", "PK\x03\x04nothing", "no workbook that can be read"),
        ("a.csv", "Rar!\x1a\x07", "a RAR archive, no text"),
    ],
)
def test_faults_of_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1" if content[0] in "\xd0P" else "utf-8"))
    with pytest.raises(DataError) as raised:
        read(path, {"text": "text", "label": "label"})
    assert message in str(raised.value) and str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)


def test_workbooks_with_several_sheets(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "空"
    for title, text in (("一", "甲"), ("二", "乙")):
        sheet = book.create_sheet(title)
        for row in (("text", "label", None), (text, 1, None), (None, None, None), ("丙", 2.0, None)):
            sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    fields = {"text": "text", "label": "label"}
    examples, report = read(tmp_path / "a.xlsx", fields)
    assert [(e.texts[0], e.target, e.line) for e in examples] == [("甲", "1", 2), ("丙", "2", 4)]
    assert report == ["sheet '一' is read, '二' not (data.fields.sheet chooses)"]
    assert read(tmp_path / "a.xlsx", {**fields, "sheet": "二"})[0][0].texts == ("乙",)
    with pytest.raises(BuildError, match=r"data\.fields\.sheet is '三'; the workbook has 空, 一, 二"):
        read(tmp_path / "a.xlsx", {**fields, "sheet": "三"})


def test_queries_with_a_candidate_per_row(tmp_path: Path) -> None:
    rows = "qid\ttext_a\ttext_b\tlabel\n1\t问\t甲\t0\n1\t问\t乙\t1\n2\t另\t丙\t0\n1\t问\t丁\t0\n"
    examples, report = read(file("dbqa.tsv", rows)(tmp_path), {}, "ranking_groups")
    assert examples == [Example(("问", json.dumps(["甲", "乙", "丁"], ensure_ascii=False)), [1], 2)]
    assert report == ["1 queries without a candidate labelled 1, left out (line 4)"]
    with pytest.raises(DataError, match="the query '异' has the same id as '问' at line 2"):
        read(file("dbqa.tsv", rows + "1\t异\t甲\t0\n")(tmp_path), {}, "ranking_groups")


def test_a_workbook_by_any_name_and_a_table_by_that_of_a_workbook(tmp_path: Path) -> None:
    import openpyxl

    fields = {"text": "text", "label": "label"}
    book = openpyxl.Workbook()
    for row in (("text", "label"), ("好", "a")):
        book.active.append(row)
    book.save(tmp_path / "book.xlsx")
    (tmp_path / "book.xlsx").rename(tmp_path / "book.csv")
    assert read(tmp_path / "book.csv", fields)[0][0].target == "a"
    (tmp_path / "table.xls").write_text("text,label\n好,a\n", encoding="utf-8")
    assert read(tmp_path / "table.xls", fields)[0][0].target == "a"
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("rows.csv", "text,label\n")
    with pytest.raises(DataError, match=r"a zip archive, no .xlsx \(rows.csv\): unpack it"):
        read(tmp_path / "a.zip", fields)


@pytest.mark.parametrize("label", ["", "  ", None, [], {"choices": []}])
def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path, label: object) -> None:
    rows = [{"text": "好", "label": "a"}, {"text": "坏", "label": label}, {"text": "差", "label": "b"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    examples, report = read(path, {"text": "text", "label": "label"})
    assert [example.target for example in examples] == ["a", "b"]
    assert list(report) == ["1 rows without a label, left out (line 2)"]
    found = sniff(path)
    assert (found.kind, list(found.labels)) == ("sequence_classification", ["a", "b"])
