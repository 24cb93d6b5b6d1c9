"""Spoken commands: tags are parsed strictly, and sessions are never divided between splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_builders.errors import ConfigError, DataError
from ernie_builders.readers import Example, get_reader
from ernie_builders.readers.nlpcc_slu import in_dev, parse_tagged, read

GOOD = "7\t取消\tnavigation.cancel_navigation\t取消"


def write(tmp_path: Path, *lines: str, end: str = "\n") -> Path:
    path = tmp_path / "corpus.txt"
    path.write_bytes(end.join(lines).encode())
    return path


def slots(tagged: str) -> list[list[object]]:
    return parse_tagged(tagged, "here")[1]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n"])
def test_read(tmp_path: Path, end: str, last: str) -> None:
    play = "7\t播放体验吧\tmusic.play\t播放<song>体验||体面</song>吧"
    path = write(tmp_path, "\ufeff" + play, GOOD, "", "8\t米静\tOTHERS\t米静" + last.replace("\n", end), end=end)
    assert list(read(path, {})) == [
        Example(("播放体验吧",), {"intent": "music.play", "slots": [[2, 4, "song", "体面"]]}, 1),
        Example(("取消",), {"intent": "navigation.cancel_navigation", "slots": []}, 2),
        Example(("米静",), {"intent": "OTHERS", "slots": []}, 4),
    ]
    assert list(get_reader("nlpcc_slu")(path, {})) == list(read(path, {}))


@pytest.mark.parametrize(
    ("tagged", "text", "slots"),
    [
        ("", "", []),
        ("播放", "播放", []),
        ("<song>花心</song>", "花心", [[0, 2, "song", "花心"]]),
        (
            "<singer>周华健</singer><song>花心</song>",
            "周华健花心",
            [[0, 3, "singer", "周华健"], [3, 5, "song", "花心"]],
        ),
        ("<song>a</song><song>a</song>", "aa", [[0, 1, "song", "a"], [1, 2, "song", "a"]]),
        ("听<song>i  miss you||I miss you</song> 吧", "听i  miss you 吧", [[1, 12, "song", "I miss you"]]),
        ("a||b", "a||b", []),
        ("<song>a|b</song>", "a|b", [[0, 3, "song", "a|b"]]),
        ("😀<phone_num>18866668888</phone_num>", "😀18866668888", [[1, 12, "phone_num", "18866668888"]]),
    ],
)
def test_parse_tagged(tagged: str, text: str, slots: list[list[object]]) -> None:
    assert parse_tagged(tagged, "here") == (text, slots)
    assert all(text[start:end] for start, end, *_ in slots)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_faulty_line_is_reported_from_either_split(tmp_path: Path, split: str) -> None:
    path = write(tmp_path, GOOD, "7\t取消")
    with pytest.raises(DataError, match=r"corpus\.txt:2: expected `session TAB"):
        list(read(path, {"dev_percent": "10"}, split))


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """2,000 sessions of three utterances, some of them in two places of the file."""
    lines = []
    for session in [*range(2000), *range(0, 2000, 50)]:
        lines += [f"{session}\t第{n}句\tOTHERS\t第{n}句" for n in range(3)] + [""]
    return write(tmp_path, *lines)


def session_of(path: Path, examples: list[Example]) -> list[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return [lines[example.line - 1].split("\t")[0] for example in examples]


def test_sessions_are_never_divided(sessions: Path) -> None:
    columns = {"dev_percent": "10"}
    everything = list(read(sessions, {}))
    train, dev = (list(read(sessions, columns, split)) for split in ("train", "dev"))
    assert sorted([*train, *dev], key=lambda e: e.line) == everything
    left, right = set(session_of(sessions, train)), set(session_of(sessions, dev))
    assert not left & right and len(left | right) == 2000
    assert 160 <= len(right) <= 240
    assert list(read(sessions, columns, "dev")) == dev


def test_the_split_depends_on_the_session_s_name(tmp_path: Path, sessions: Path) -> None:
    """Not by its place in the file: a file that grows moves nothing from one split to the other."""
    before = set(session_of(sessions, list(read(sessions, {"dev_percent": "10"}, "dev"))))
    blocks = sessions.read_text(encoding="utf-8").split("\n\n")
    shuffled = tmp_path / "shuffled.txt"
    shuffled.write_text("\n\n".join(["new\t一\tOTHERS\t一", *reversed(blocks)]), encoding="utf-8")
    after = set(session_of(shuffled, list(read(shuffled, {"dev_percent": "10"}, "dev"))))
    assert after - {"new"} == before
    assert before < set(session_of(sessions, list(read(sessions, {"dev_percent": "30"}, "dev"))))
    assert [in_dev("117194488", p) for p in (0, 100)] == [False, True]


@pytest.mark.parametrize("columns", [{}, {"dev_percent": "0"}])
def test_a_separate_file_is_read_whole(sessions: Path, columns: dict[str, str]) -> None:
    for split in ("train", "dev", ""):
        assert len(list(read(sessions, columns, split))) == 3 * 2040


@pytest.mark.parametrize("percent", ["x", "", "-1", "100", "nan"])
def test_dev_percent_must_be_a_share(sessions: Path, percent: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.fields\.dev_percent is '.*'; expected a number from 0"):
        list(read(sessions, {"dev_percent": percent}, "train"))
