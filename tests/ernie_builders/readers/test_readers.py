"""Every fault in a data file is reported with its file, its line and what was expected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.errors import ConfigError
from ernie_builders.readers import Example, get_reader
from ernie_builders.readers.bio_columns import read as bio_columns

from ..command_line import OneLine
from ..places import Place, write_topics

clue_json = get_reader("clue_json")
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


def test_clue_json_needs_its_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.fields must name the file's text and one of label, "):
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
    ("file", "content", "message"),
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
    one_line: OneLine,
    file: str,
    content: str | None,
    message: str,
) -> None:
    data = tmp_path / "data"
    write_topics(data / "topics" / "train.json", [("的", "north")])
    write_topics(data / "topics" / "dev.json", [("的", "north")])
    (data / "names").mkdir()
    for split in ("train", "dev"):
        (data / "names" / f"{split}.txt").write_text("的\tB-PER\n", encoding="utf-8")
    own_place = replace(place, data_dir=data)
    task = file.split("/")[0]
    assert own_place.build("--until", "data", task=task) == 0
    if content is None:
        (data / file).unlink()
    else:
        (data / file).write_text(content, encoding="utf-8")
    one_line(own_place.build("--until", "data", task=task), f"{data / file}"[:-4], message)


def test_archive_and_folder(
    place: Place, tmp_path: Path, one_line: OneLine, capsys: pytest.CaptureFixture[str]
) -> None:
    import tarfile

    packed = tmp_path / "packed"
    packed.mkdir()
    packed_place = replace(place, data_dir=packed)
    one_line(packed_place.build("--until", "data"), "topics: no such directory, and no topics.tar.xz beside it")
    archive = packed / "topics.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(place.data_dir / "topics", "topics")
    assert packed_place.build("--until", "data") == 0
    assert "unpacking topics.tar.xz" in capsys.readouterr().out
    assert packed_place.build("--until", "data") == 0
    assert "unpacking" not in capsys.readouterr().out

    archive_bytes = archive.read_bytes()
    for broken in (
        b"no archive",
        archive_bytes[: len(archive_bytes) // 2],
        archive_bytes[:400] + bytes(200) + archive_bytes[600:],
    ):
        archive.write_bytes(broken)
        one_line(
            replace(packed_place, root=tmp_path / "new").build("--until", "data"), "topics.tar.xz: cannot be unpacked"
        )
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(place.data_dir / "names", "names")
    one_line(
        replace(packed_place, root=tmp_path / "new").build("--until", "data"),
        "topics.tar.xz: holds no folder topics/",
    )
