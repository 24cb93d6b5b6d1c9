"""Every fault of a data file is named with its file and line, and with what was expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builders.errors import ConfigError, DataError
from builders.readers import Example
from builders.readers.bio_columns import read as bio_columns
from builders.readers.clue_json import read as clue_json

from .conftest import Place, write_topics

CLUE = {"text": "sentence", "label": "label"}
GOOD = '{"sentence": "上课", "label": "108"}'


def write(tmp_path: Path, content: bytes | str) -> Path:
    path = tmp_path / "train.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_clue_json(tmp_path: Path) -> None:
    path = write(tmp_path, f'{GOOD}\n\n{{"label": 109, "sentence": "", "keywords": "x"}}\n')
    assert list(clue_json(path, CLUE)) == [Example(("上课",), "108", 1), Example(("",), "109", 3)]
    pair = write(tmp_path, '{"a": "x", "b": "y", "label": 0}')
    assert list(clue_json(pair, {"text": "a", "text_pair": "b", "label": "label"})) == [Example(("x", "y"), "0", 1)]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, end: str, mark: bytes) -> None:
    content = mark + f"{GOOD}\n{GOOD}{end}".replace("\n", end or "\n").encode()
    assert list(clue_json(write(tmp_path, content), CLUE)) == [Example(("上课",), "108", n) for n in (1, 2)]
    content = mark + "北\tB-LOC\n京\tI-LOC\n\n人\tO".replace("\n", end or "\n").encode()
    expected = [Example(("北京",), [[0, 2, "LOC"]], 1), Example(("人",), [], 4)]
    assert list(bio_columns(write(tmp_path, content), {})) == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"sentence": "上课"', "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ("上课\t108", "not a JSON object"),
        ('["上课", "108"]', "expected a JSON object with sentence and label"),
        ('{"sentence": "上课"}', "field 'label' is missing; found sentence"),
        ('{"label": "108"}', "field 'sentence' is missing; found label"),
        ("{}", "field 'sentence' is missing; found none"),
        ('{"sentence": 5, "label": "108"}', "field 'sentence' must be a string, found 5"),
        ('{"sentence": null, "label": "108"}', "field 'sentence' must be a string, found None"),
        ('{"sentence": "\\ud83d", "label": "108"}', "field 'sentence' holds half a surrogate pair"),
        (
            '{"sentence": "上课", "label": null}',
            "field 'label' must be a string or a whole number, found None",
        ),
        ('{"sentence": "上课", "label": ["108"]}', "field 'label' must be a string or a whole number"),
        ('{"sentence": "上课", "label": true}', "field 'label' must be a string or a whole number"),
    ],
)
def test_clue_json_faults(tmp_path: Path, line: str, says: str) -> None:
    path = write(tmp_path, f"{GOOD}\n\n{line}\n{GOOD}")
    with pytest.raises(DataError) as raised:
        list(clue_json(path, CLUE))
    assert str(raised.value).startswith(f"{path}:3: {says}")
    assert "\n" not in str(raised.value)


def test_clue_json_needs_its_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.fields must name the file's text and label"):
        list(clue_json(write(tmp_path, GOOD), {}))


def test_bio_columns(tmp_path: Path) -> None:
    rows = [
        "我",
        "B-PER",
        "们",
        "B-PER",
        "在",
        "I-LOC",
        "北",
        "I-LOC",
        "京",
        "I-ORG",
        "ab",
        "I-ORG",
        " ",
        "O",
        "x",
        "I-ORG",
    ]
    content = "\n".join(f"{a}\t{b}" for a, b in zip(rows[::2], rows[1::2], strict=True))
    (example,) = bio_columns(write(tmp_path, content + "\n\n\n"), {})
    # Entities that touch stay apart, an I- that continues nothing begins one, a token may be long.
    spans = [[0, 1, "PER"], [1, 2, "PER"], [2, 4, "LOC"], [4, 7, "ORG"], [8, 9, "ORG"]]
    assert example == Example(("我们在北京ab x",), spans, 1)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("北 B-LOC", "expected `character TAB tag`, found '北 B-LOC'"),
        ("北", "expected `character TAB tag`, found '北'"),
        ("\tO", "expected `character TAB tag`"),
        ("北\tB-LOC\tx", "expected `character TAB tag`"),
        ("北\tLOC", "expected a tag O, B-TYPE or I-TYPE, found 'LOC'"),
        ("北\tS-LOC", "expected a tag O, B-TYPE or I-TYPE, found 'S-LOC'"),
        ("北\tB-", "expected a tag O, B-TYPE or I-TYPE, found 'B-'"),
        ("北\to", "expected a tag O, B-TYPE or I-TYPE, found 'o'"),
    ],
)
def test_bio_faults(tmp_path: Path, line: str, says: str) -> None:
    path = write(tmp_path, f"我\tO\n{line}\n")
    with pytest.raises(DataError) as raised:
        list(bio_columns(path, {}))
    assert str(raised.value).startswith(f"{path}:2: {says}")


@pytest.mark.parametrize("reader", [clue_json, bio_columns])
def test_not_utf8(tmp_path: Path, reader: Callable[..., object]) -> None:
    first = f"{GOOD}\n" if reader is clue_json else "我\tO\n"
    path = write(tmp_path, first.encode() + "北京".encode("gbk"))
    with pytest.raises(DataError, match=r"train\.json:2: not UTF-8 at byte 0 of the line; save the file as UTF-8"):
        list(reader(path, CLUE))  # type: ignore[call-overload]
    with pytest.raises(DataError, match="none: no such file"):
        list(reader(tmp_path / "none", CLUE))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("topics/train.json", "", "train.json: no rows"),
        ("topics/train.json", "\n\n", "train.json: no rows"),
        (
            "topics/dev.json",
            '{"sentence": "的", "label": "east"}',
            "dev.json:1: label 'east' is none of north, south, west",
        ),
        ("topics/train.json", None, "train.json: no such file; [tasks.topics.data] names it"),
        (
            "names/dev.txt",
            "的\tO\n\n一\tB-LOC\n",
            "dev.txt:3: entity type 'LOC' has no B-LOC among the labels",
        ),
        ("names/train.txt", "", "train.txt: no rows"),
    ],
)
def test_through_the_data_stage(
    place: Place,
    tmp_path: Path,
    characters: list[str],
    one_line: Callable[..., str],
    file: str,
    content: str | None,
    says: str,
) -> None:
    data = tmp_path / "data"
    write_topics(data / "topics" / "train.json", [("的", "north")])
    write_topics(data / "topics" / "dev.json", [("的", "north")])
    (data / "names").mkdir()
    for split in ("train", "dev"):
        (data / "names" / f"{split}.txt").write_text("的\tB-PER\n", encoding="utf-8")
    mine = replace(place, data_dir=data)
    task = file.split("/")[0]
    assert mine.build("--until", "data", task=task) == 0
    if content is None:
        (data / file).unlink()
    else:
        (data / file).write_text(content, encoding="utf-8")
    one_line(mine.build("--until", "data", task=task), f"{data / file}"[:-4], says)


def test_archive_and_folder(
    place: Place, tmp_path: Path, one_line: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    import tarfile

    packed = tmp_path / "packed"
    packed.mkdir()
    mine = replace(place, data_dir=packed)
    one_line(mine.build("--until", "data"), "topics: no such directory, and no topics.tar.xz beside it")
    archive = packed / "topics.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(place.data_dir / "topics", "topics")
    assert mine.build("--until", "data") == 0
    assert "unpacking topics.tar.xz" in capsys.readouterr().out
    assert mine.build("--until", "data") == 0
    assert "unpacking" not in capsys.readouterr().out

    whole = archive.read_bytes()
    for broken in (b"no archive", whole[: len(whole) // 2], whole[:400] + bytes(200) + whole[600:]):
        archive.write_bytes(broken)
        one_line(replace(mine, root=tmp_path / "new").build("--until", "data"), "topics.tar.xz: cannot be unpacked")
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(place.data_dir / "names", "names")
    one_line(
        replace(mine, root=tmp_path / "new").build("--until", "data"),
        "topics.tar.xz: holds no folder topics/",
    )
