"""Reads a SentencePiece model file, which is a protocol buffer (sentencepiece_model.proto, `ModelProto`)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ..errors import CheckpointError

Value = int | float | bytes
MODELS = {1: "unigram", 2: "BPE", 3: "word", 4: "character"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


class PieceType(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, kw_only=True)
class Piece:
    """An entry of the model; its id is its place."""

    text: str
    score: float  # log-probability
    type: PieceType


@dataclass(frozen=True, kw_only=True)
class SentencePieceModel:
    """A unigram model."""

    pieces: tuple[Piece, ...]
    characters_map: bytes  # precompiled rules of normalization; empty: none
    dummy_prefix: bool  # a blank is put before the text
    extra_blanks_removed: bool  # leading, trailing, and all but one of several

    @property
    def unknown(self) -> int:
        """The id of the unknown piece."""
        return next(id for id, piece in enumerate(self.pieces) if piece.type == PieceType.UNKNOWN)


def read_model(path: Path) -> SentencePieceModel:
    """CheckpointError where the file is no SentencePiece model, or one that texts cannot be read with here."""
    try:
        model, pieces, trainer, normalizer = _parse(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except (ValueError, IndexError, KeyError, TypeError, AssertionError, struct.error):
        raise CheckpointError(f"{path}: not a SentencePiece model") from None
    if not pieces or sum(piece.type == PieceType.UNKNOWN for piece in pieces) != 1:
        raise CheckpointError(f"{path}: not a SentencePiece model: it has no unknown piece")
    if model != 1:
        raise CheckpointError(f"{path}: its model is {MODELS.get(model, model)}; unigram is supported")
    unread = {PieceType.USER_DEFINED: "user-defined pieces", PieceType.BYTE: "pieces of bytes (byte_fallback)"}
    for piece in pieces:
        if piece.type in unread:
            raise CheckpointError(f"{path}: it has {unread[piece.type]}, such as {piece.text!r}: not supported")
    if trainer.get(24):
        raise CheckpointError(f"{path}: treat_whitespace_as_suffix is not supported")
    if not normalizer.get(5, 1):
        raise CheckpointError(f"{path}: escape_whitespaces false is not supported")
    characters_map = normalizer.get(2, b"")
    assert isinstance(characters_map, bytes)
    return SentencePieceModel(
        pieces=tuple(pieces),
        characters_map=characters_map,
        dummy_prefix=bool(normalizer.get(3, 1)),
        extra_blanks_removed=bool(normalizer.get(4, 1)),
    )


def _parse(data: bytes) -> tuple[int, list[Piece], dict[int, Value], dict[int, Value]]:
    pieces, trainer, normalizer = list[Piece](), dict[int, Value](), dict[int, Value]()
    for number, value in _fields(data):
        if number == 1:
            assert isinstance(value, bytes)
            piece = dict(_fields(value))
            text, score, kind = piece[1], piece.get(2, 0.0), piece.get(3, 1)
            assert isinstance(text, bytes) and isinstance(score, float) and isinstance(kind, int)
            pieces.append(Piece(text=text.decode(), score=score, type=PieceType(kind)))
        elif number in (2, 3):
            assert isinstance(value, bytes)
            (trainer if number == 2 else normalizer).update(_fields(value))
    model = trainer.get(3, 1)
    assert isinstance(model, int)
    return model, pieces, trainer, normalizer


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field of a message; of the four wire types only these occur in the file."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield number, value
        elif wire == BYTES:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise ValueError("a field is longer than the message")
            yield number, data[position : position + length]
            position += length
        elif wire == FIXED32:
            yield number, float(struct.unpack_from("<f", data, position)[0])
            position += 4
        elif wire == FIXED64:
            yield number, float(struct.unpack_from("<d", data, position)[0])
            position += 8
        else:
            raise ValueError(f"wire type {wire}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
