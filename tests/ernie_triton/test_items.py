"""Texts on their way out, refusals and gRPC errors on their way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ernie_triton.errors import ErnieTritonError, ServerError, ServerOverloaded, ServerTimeout, ServerUnavailable
from ernie_triton.items import as_items, encode_item, group_rows, item_reason, refused_rows
from ernie_triton.replies import NotFound, Refused, translate
from ernie_triton.requests import retry_batches

SINGLE_TEXT, TEXT_AND_PAIR = ("TEXT",), ("TEXT", "TEXT_PAIR")
QUERY_AND_CANDIDATES = ("QUERY", "CANDIDATES")


def test_one_text_is_a_list_of_one() -> None:
    assert as_items("好") == ["好"]
    assert as_items(text for text in "ab") == ["a", "b"]
    assert as_items({"text": "好"}) == [{"text": "好"}]
    assert as_items(("a", "b"), SINGLE_TEXT) == ["a", "b"]
    assert as_items(("a", "b"), TEXT_AND_PAIR) == [("a", "b")]
    assert as_items(("a", ["b", "c"]), QUERY_AND_CANDIDATES) == [("a", ["b", "c"])]
    assert as_items((("a", "b"), ("c", "d")), TEXT_AND_PAIR) == [("a", "b"), ("c", "d")]
    assert as_items(["a", "b"], TEXT_AND_PAIR) == ["a", "b"]  # refused, item by item
    for wrong, kind in ((b"ab", "bytes"), (3, "int"), (None, "NoneType")):
        assert [encode_item(item, ["TEXT"]) for item in as_items(wrong)] == [f"expected a str, got {kind}"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("item", "inputs", "row"),
    [
        ("好", SINGLE_TEXT, ("好".encode(),)),
        ("", SINGLE_TEXT, (b"",)),
        (("好",), SINGLE_TEXT, ("好".encode(),)),
        (("a", "b"), TEXT_AND_PAIR, (b"a", b"b")),
        (["a", "b"], TEXT_AND_PAIR, (b"a", b"b")),
        ({"text": "好"}, SINGLE_TEXT, ("好".encode(),)),
        ({"text_pair": "b", "Text": "a"}, TEXT_AND_PAIR, (b"a", b"b")),
        (("a", ["b", "好"]), QUERY_AND_CANDIDATES, (b"a", '["b", "好"]'.encode())),
        ({"query": "a", "candidates": ("b",)}, QUERY_AND_CANDIDATES, (b"a", b'["b"]')),
        (("a", '["b"]'), QUERY_AND_CANDIDATES, (b"a", b'["b"]')),
    ],
)
def test_rows(item: object, inputs: tuple[str, ...], row: tuple[bytes, ...]) -> None:
    assert encode_item(item, inputs) == row  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("item", "inputs", "why"),
    [
        (None, SINGLE_TEXT, "expected a str, got NoneType"),
        (float("nan"), SINGLE_TEXT, "expected a str, got float"),
        (b"bytes", SINGLE_TEXT, "expected a str, got bytes"),
        (("a", "b"), SINGLE_TEXT, "expected a str, got tuple of (str, str)"),
        ("a", TEXT_AND_PAIR, "expected a tuple of 2 str (TEXT, TEXT_PAIR), got str"),
        (("a", 1), TEXT_AND_PAIR, "expected a tuple of 2 str (TEXT, TEXT_PAIR), got tuple of (str, int)"),
        (("a", ["b"]), TEXT_AND_PAIR, "expected a tuple of 2 str (TEXT, TEXT_PAIR), got tuple of (str, list)"),
        ("a", QUERY_AND_CANDIDATES, "expected a tuple of 2 (QUERY, CANDIDATES), a str and a list of str, got str"),
        ({"text": "a"}, TEXT_AND_PAIR, "expected a dict with text, text_pair, got one with no text_pair"),
        ({"text": "a", "label": "b"}, SINGLE_TEXT, "expected a dict with text, got one with unknown label"),
        ({"text": 3}, SINGLE_TEXT, "expected a str, got tuple of (int)"),
        ("好\ud83d", SINGLE_TEXT, "not UTF-8: a lone surrogate (U+D83D) at character 1"),
    ],
)
def test_items_that_cannot_be_sent_have_a_reason(item: object, inputs: tuple[str, ...], why: str) -> None:
    assert encode_item(item, inputs) == why  # type: ignore[arg-type]


def test_requests_keep_the_order_and_both_limits() -> None:
    rows: list[tuple[bytes, ...] | str] = [(b"x" * n,) for n in (1, 1, 1, 9, 2)]
    a, b, c, long, d = rows
    assert list(group_rows(rows, 2, 100)) == [[a, b], [c, long], [d]]
    assert list(group_rows(rows, 9, 4)) == [[a, b, c], [long], [d]]
    assert list(group_rows([a, "empty", b, "empty", c], 3, 100)) == [[a, "empty", b], ["empty", c]]
    assert list(group_rows([], 9, 4)) == []


def test_no_text_is_read_before_its_turn() -> None:
    """A full request is sent without waiting for the next line of a slow input."""
    yielded = []

    def entries() -> Iterator[tuple[bytes, ...]]:
        for n in range(9):
            yielded.append(n)
            yield (b"x",)

    next(group_rows(entries(), 2))
    assert yielded == [0, 1]


REFUSED = "in ensemble 'tnews', item 0: the text is empty; item 2: not UTF-8: a; b; and 2 more"


def test_reasons_of_a_refused_request() -> None:
    assert refused_rows(REFUSED, 5) == {0: "the text is empty", 2: "not UTF-8: a; b"}
    assert refused_rows("in ensemble 'tnews', item 0: the text is empty", 1) == {0: "the text is empty"}
    too_large = "in ensemble 'tnews', the request needs 1,980 windows, at most 1,024: send fewer texts at once"
    assert refused_rows(too_large, 10) == {}
    assert refused_rows(too_large, 1)[0].startswith("the request needs 1,980 windows")
    assert item_reason("item 12: the text is empty") == "the text is empty"


def test_texts_asked_again_after_a_refusal() -> None:
    assert retry_batches([4, 7, 9], {4: "empty"}) == [[7, 9]]
    assert retry_batches([4, 7], {4: "empty", 7: "empty"}) == []
    assert retry_batches([4, 7, 9], {}) == [[4], [7, 9]]


@pytest.mark.parametrize(
    ("status", "message", "kind", "words"),
    [
        ("NOT_FOUND", "Request for unknown model: 'x' is not found", NotFound, "unknown"),
        ("UNAVAILABLE", "Request for unknown model: 'x' has no available versions", NotFound, "no available"),
        ("INVALID_ARGUMENT", "item 0: the text is empty", Refused, "empty"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", ServerTimeout, "within 2.5 s"),
        (
            "UNAVAILABLE",
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Failed to connect "
            "to remote host: Connection refused",
            ServerUnavailable,
            r"no Triton server answers at host:1, .*gRPC port \(Connection refused\)",
        ),
        ("UNAVAILABLE", "Exceeds maximum queue size", ServerOverloaded, "overloaded: try again later"),
        ("UNAVAILABLE", "Server not ready", ServerUnavailable, "host:1 is starting or stopping"),
        ("INTERNAL", "broken\npipe", ServerError, r"broken pipe \(INTERNAL\)"),
    ],
)
def test_grpc_errors(status: str, message: str, kind: type[ErnieTritonError], words: str) -> None:
    error = translate(status, message, "host:1", 2.5)
    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error
