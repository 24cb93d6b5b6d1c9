"""Cuts texts into windows, the rows of the encoder's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidItem
from ..json_types import Json
from ..manifest import Limits
from .prefixes import NO_PREFIXES, Prefixes

if TYPE_CHECKING:
    from .tokenizer import TokenizedText, Tokenizer


MAX_WINDOWS = 1024  # in one request; also the encoder's max_batch_size


@dataclass(frozen=True, kw_only=True)
class Document:
    """One item of a request: what the postprocessor needs to know about it besides its windows.

    `error` is None, or the reason why the item cannot be answered; such an item still has one (empty) window, so that
    rows and items keep their order through the encoder.
    """

    text: str
    tokens: int  # without special tokens
    windows: int
    truncated: bool
    error: str | None = None
    extra: Json = field(default_factory=dict)  # further JSON data for the kind's decode
    utf16: bool = False  # whether the answer's positions are to be in UTF-16 units


@dataclass(frozen=True, kw_only=True)
class Window:
    """One row for the encoder: [CLS] tokens [SEP], or [CLS] tokens [SEP] tokens [SEP]."""

    owner: int  # index of the document in its request
    input_ids: np.ndarray  # int64 [L]
    token_type_ids: np.ndarray  # int64 [L]
    offsets: np.ndarray  # int32 [L, 2], character offsets into the text; (0, 0) for special tokens


def decode_utf8(raw: bytes | str) -> str:
    """The text of a BYTES element; InvalidItem where it is not UTF-8."""
    if isinstance(raw, bytes):
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidItem(f"not UTF-8: {error.reason} at byte {error.start}") from None
    if any("\ud800" <= c <= "\udfff" for c in raw):
        raise InvalidItem("not UTF-8: a lone surrogate")
    return raw


def window_starts(tokens: int, room: int, doc_stride: int, overflow: str) -> list[int]:
    """Indices of the first tokens of the windows that cover `tokens` tokens, each of at most `room` tokens.

    Windows start `doc_stride` apart (the SQuAD recipe of Devlin et al. 2018); the last one is moved back until it is
    full, which gives its first tokens as much context as the text has.
    """
    if tokens <= room or overflow == "truncate":
        return [0]
    starts = list(range(0, tokens - room, doc_stride))
    return [*starts, tokens - room]


def make_windows(owner: int, text: TokenizedText, tokenizer: Tokenizer, limits: Limits) -> list[Window]:
    """The windows of one single-text document, in order."""
    room = limits.max_length - 2
    windows = []
    for start in window_starts(len(text.ids), room, limits.doc_stride, limits.overflow):
        ids = text.ids[start : start + room]
        input_ids = np.empty(len(ids) + 2, np.int64)
        input_ids[0], input_ids[1:-1], input_ids[-1] = tokenizer.cls_id, ids, tokenizer.sep_id
        offsets = np.zeros((len(ids) + 2, 2), np.int32)
        offsets[1:-1] = text.offsets[start : start + room]
        windows.append(
            Window(owner=owner, input_ids=input_ids, token_type_ids=np.zeros_like(input_ids), offsets=offsets)
        )
    return windows


def empty_window(owner: int, tokenizer: Tokenizer) -> Window:
    """The placeholder row of an item that cannot be answered: [CLS] [SEP]."""
    ids = np.array([tokenizer.cls_id, tokenizer.sep_id], np.int64)
    return Window(owner=owner, input_ids=ids, token_type_ids=np.zeros_like(ids), offsets=np.zeros((2, 2), np.int32))


def read_texts(
    items: Sequence[tuple[bytes | str, ...]], limits: Limits, names: Sequence[str] = ("the text",)
) -> tuple[list[tuple[str, ...]], list[str | None]]:
    """The texts of each item, and None or the reason why they cannot be read (the texts are then empty).

    names: what messages call the texts of an item.
    """
    texts: list[tuple[str, ...]] = []
    errors: list[str | None] = []
    for item in items:
        try:
            texts.append(tuple(read_text(raw, limits, name) for raw, name in zip(item, names, strict=True)))
            errors.append(None)
        except InvalidItem as error:
            texts.append(("",) * len(item))
            errors.append(str(error))
    return texts, errors


def read_text(raw: bytes | str, limits: Limits, name: str) -> str:
    """A text as sent; InvalidItem, which begins with `name`, where it is not UTF-8 or is too long."""
    try:
        text = decode_utf8(raw)
    except InvalidItem as error:
        raise InvalidItem(f"{name} is {error}") from None
    if len(text) > limits.max_chars:
        raise InvalidItem(f"{name} has {len(text):,} characters, this task takes at most {limits.max_chars:,}")
    return text


def empty_fault(text: str, name: str = "the text") -> str:
    """The reason why a text without tokens cannot be answered; name: what the message calls it."""
    return f"{name} is empty" if not text else f"{name} has only spaces or control characters"


class DocumentBuilder:
    """Collects the documents and windows of the items of one or more requests, in order."""

    def __init__(self, tokenizer: Tokenizer, prefixes: Prefixes = NO_PREFIXES) -> None:
        self.tokenizer, self.prefixes = tokenizer, prefixes
        self.documents: list[Document] = []
        self.windows: list[Window] = []

    @property
    def owner(self) -> int:
        """Index of the next document."""
        return len(self.documents)

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """The tokens of each text, with its prefix."""
        return self.prefixes.tokenize(texts, self.tokenizer)

    def empty_fault(self, text: str, name: str = "the text") -> str:
        """`empty_fault` of what is behind the text's prefix."""
        return empty_fault(self.prefixes.split(text)[1], name)

    def refuse(self, text: str, fault: str) -> None:
        """Add an item that cannot be answered."""
        self.windows.append(empty_window(self.owner, self.tokenizer))
        self.documents.append(Document(text=text, tokens=0, windows=0, truncated=False, error=fault))

    def add(
        self, text: str, tokens: int, windows: Sequence[Window], truncated: bool, extra: Json | None = None
    ) -> None:
        """Add an item with its windows; it is refused where it needs more windows than a request can have."""
        if len(windows) > MAX_WINDOWS:
            self.refuse(text, f"the text needs {len(windows):,} windows, a request can have {MAX_WINDOWS:,}")
            return
        self.documents.append(
            Document(text=text, tokens=tokens, windows=len(windows), truncated=truncated, error=None, extra=extra or {})
        )
        self.windows.extend(windows)


def single_text_documents(
    items: Sequence[tuple[bytes | str, ...]], tokenizer: Tokenizer, limits: Limits, prefixes: Prefixes = NO_PREFIXES
) -> tuple[list[Document], list[Window]]:
    """Tokenize the items of one or more requests in one Rust call, and cut them into windows.

    items: one-element tuples, UTF-8 bytes or str. Returns one document per item and at least one window per document,
    windows ordered by owner. A bad item becomes a document with `error`; nothing is raised for it.
    """
    texts, errors = read_texts(items, limits)
    builder = DocumentBuilder(tokenizer, prefixes)
    for (text,), tokenized, fault in zip(texts, builder.tokenize([text for (text,) in texts]), errors, strict=True):
        tokens = len(tokenized.ids)
        if fault is not None or tokens == 0:
            builder.refuse(text, fault or builder.empty_fault(text))
            continue
        windows = make_windows(builder.owner, tokenized, tokenizer, limits)
        builder.add(text, tokens, windows, limits.overflow == "truncate" and tokens > limits.max_length - 2)
    return builder.documents, builder.windows
