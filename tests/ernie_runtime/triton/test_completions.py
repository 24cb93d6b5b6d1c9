"""Datagrams between the processes of a server."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from ernie_runtime.triton.completions import MESSAGE, Inbox, Outbox, address

Ends = Callable[..., tuple[Inbox, Outbox]]
WARNED: list[str] = []


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Both ends of a model's mail."""
    WARNED.clear()
    with ExitStack() as stack:

        def connect(model: str, parallel: int = 1) -> tuple[Inbox, Outbox]:
            at = address(model, "1")
            inbox, outbox = Inbox(at, WARNED.append), Outbox(at, parallel)
            return stack.enter_context(closing(inbox)), stack.enter_context(closing(outbox))

        yield connect


def test_messages_arrive_in_order(ends: Ends) -> None:
    inbox, outbox = ends("a_tokenizer", 2)
    outbox.send(1, 0.5)  # nobody listens yet: lost, and no error
    assert list(inbox.receive()) == []
    outbox.send(2, 0.5)
    outbox.send(3, 1.0)
    assert list(inbox.receive()) == [(2, 0.25), (3, 0.5)]
    assert list(inbox.receive()) == []


def test_models_and_versions_do_not_hear_each_other() -> None:
    assert len({address(model, version) for model in ("a", "b") for version in ("1", "2")}) == 4


def test_a_new_instance_waits_for_the_name(ends: Ends) -> None:
    (old, outbox), (new, _) = ends("b_tokenizer"), ends("b_tokenizer")
    assert list(old.receive()) == list(new.receive()) == []
    outbox.send(1, 1.0)
    assert list(new.receive()) == []
    assert len(WARNED) == 1 and "another instance" in WARNED[0]
    assert list(old.receive()) == [(1, 1.0)]
    old.close()
    assert list(new.receive()) == []
    outbox.send(2, 1.0)
    assert list(new.receive()) == [(2, 1.0)]


def test_an_inbox_that_nobody_empties_does_not_hold_up_an_encoder(ends: Ends) -> None:
    inbox, outbox = ends("c_tokenizer")
    list(inbox.receive())
    for _ in range(5000):
        outbox.send(1, 1.0)
    assert 0 < len(list(inbox.receive())) < 5000


def test_malformed_messages_are_ignored(ends: Ends) -> None:
    inbox, outbox = ends("d_tokenizer")
    list(inbox.receive())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        numbers = [MESSAGE.pack(1, seconds) for seconds in (math.nan, math.inf, -1.0, 1e9)]
        for wrong in (b"", b"abc", b"x" * 100, *numbers):
            sender.sendto(wrong, address("d_tokenizer", "1"))
    outbox.send(4, 1.0)
    assert list(inbox.receive()) == [(4, 1.0)]
