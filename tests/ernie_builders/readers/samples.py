"""Data as people have it: one small file of each form, written by the libraries that write such files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = [("房间很干净，服务\n也好", "好"), ('他说"太吵"，要走', "差"), ("早餐一般；还行", "好"), ("電梯坏了", "差")]
TEXT = "王小明在北京大学读书。"
SPANS = [(0, 3, "人名"), (4, 8, "机构")]
BIO = "B-人名 I-人名 I-人名 O B-机构 I-机构 I-机构 I-机构 O O O"
BIOES = "B-人名 I-人名 E-人名 O B-机构 I-机构 I-机构 E-机构 O O O"
BMES = BIOES.replace("I-", "M-")
SEPARATOR = "\x02"
Write = Callable[[Path], Path]


def separated(delimiter: str, quoting: int = csv.QUOTE_MINIMAL, header: bool = True) -> str:
    """The rows by Python's csv module."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("内容", "标签")] * header + ROWS)
    return out.getvalue()


def file(name: str, text: str, encoding: str = "utf-8") -> Write:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def json_file(name: str, *rows: Any) -> Write:
    """A row per line, or an array where the name ends with .json."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return file(name, json.dumps(rows, ensure_ascii=False, indent=1) if name.endswith(".json") else lines)


def frame(name: str) -> Write:
    """The rows by pandas."""

    def write(folder: Path) -> Path:
        import pandas

        data, path = pandas.DataFrame(ROWS, columns=["内容", "标签"]), folder / name
        if name.endswith(".xlsx"):
            data.to_excel(path, index=False)
        elif name.endswith(".parquet"):
            data.to_parquet(path)
        elif name.endswith(".csv"):
            data.to_csv(path)  # with its index, a column without a name
        else:
            data.to_csv(path, sep="\t", index=False)
        return path

    return write


def datasets_folder(folder: Path) -> Path:
    """The rows by Hugging Face's datasets, the labels as ClassLabel."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"内容": Value("string"), "标签": ClassLabel(names=["好", "差"])})
    rows = {"内容": [text for text, _ in ROWS], "标签": [label for _, label in ROWS]}
    Dataset.from_dict(rows, features=features).save_to_disk(str(folder / "saved"))
    return folder / "saved"


TABLES: dict[str, Write] = {
    "csv": file("rows.csv", separated(",")),
    "csv with all quotes": file("rows.csv", separated(",", csv.QUOTE_ALL)),
    "csv of excel": file("rows.csv", separated(";"), "utf-8-sig"),
    "csv of chinese excel": file("rows.csv", separated(","), "gb18030"),
    "csv of pandas": frame("rows.csv"),
    "tsv of pandas": frame("rows.tsv"),
    "tsv with all quotes": file("rows.tsv", separated("\t", csv.QUOTE_ALL)),
    "tsv of excel": file("rows.txt", separated("\t"), "utf-16"),
    "xlsx": frame("rows.xlsx"),
    "parquet": frame("rows.parquet"),
    "json lines": json_file("rows.jsonl", *({"内容": text, "标签": label} for text, label in ROWS)),
    "json array": json_file("rows.json", *({"内容": text, "标签": label} for text, label in ROWS)),
}


def studio(text: str, *results: tuple[str, str, dict[str, Any]], **task: Any) -> dict[str, Any]:
    """A task of Label Studio."""
    result = [{"from_name": name, "to_name": "text", "type": kind, "value": value} for name, kind, value in results]
    return {"id": 1, "data": {"text": text}, "annotations": [{"id": 1, "result": result}], **task}


def studio_span(start: int, end: int, label: str, text: str) -> tuple[str, str, dict[str, Any]]:
    return ("label", "labels", {"start": start, "end": end, "text": text, "labels": [label]})


ENTITIES: dict[str, Write] = {
    "doccano": json_file("a.jsonl", {"id": 1, "text": TEXT, "label": [list(span) for span in SPANS]}),
    "doccano, old": json_file("a.jsonl", {"id": 1, "text": TEXT, "labels": [list(span) for span in SPANS]}),
    "doccano with relations": json_file(
        "a.jsonl",
        {
            "text": TEXT,
            "entities": [
                {"id": i, "label": k, "start_offset": s, "end_offset": e} for i, (s, e, k) in enumerate(SPANS)
            ],
            "relations": [],
        },
    ),
    "label studio": json_file("a.json", studio(TEXT, *(studio_span(s, e, k, TEXT[s:e]) for s, e, k in SPANS))),
    "label studio, small": json_file(
        "a.json",
        {
            "id": 1,
            "text": TEXT,
            "label": [{"start": s, "end": e, "text": TEXT[s:e], "labels": [k]} for s, e, k in SPANS],
        },
    ),
    "cluener": json_file("a.json", {"text": TEXT, "label": {k: {TEXT[s:e]: [[s, e - 1]]} for s, e, k in SPANS}}),
    "msra of paddlenlp": file("a.tsv", f"text_a\tlabel\n{SEPARATOR.join(TEXT)}\t{SEPARATOR.join(BIO.split())}\n"),
    "tokens and tags": json_file("a.jsonl", {"tokens": list(TEXT), "tags": BMES.split()}),
}
COLUMNS: dict[str, Write] = {
    name: file("a.txt", "\n".join(f"{c}{mark}{tag}" for c, tag in zip(TEXT, tags.split(), strict=True)) + "\n")
    for name, mark, tags in [
        ("bio, tabs", "\t", BIO),
        ("bio, blanks", " ", BIO),
        ("bio, \\x02", SEPARATOR, BIO.replace("-", "_")),
        ("bioes", "\t", BIOES),
        ("bmes", " ", BMES),
        ("bilou", "\t", BIOES.replace("E-", "L-")),
        ("conll, four columns", " NR O ", BIO),
    ]
}
