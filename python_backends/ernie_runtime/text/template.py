"""The special tokens around texts, as the `post_processor` of a tokenizer.json says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import VocabularyError
from .tokenizer import PairLayout

Place = tuple[str, tuple[int, ...], int]  # what stands there: "A", "B" or ""; ids of a special token; token type


def pair_layout(post_processor: Any, cls_id: int, sep_id: int) -> PairLayout:
    """The layout of pairs in a TemplateProcessing; VocabularyError for any layout that windows cannot have.

    One text must be `cls A sep`, two `cls A special... B sep`, with token type 0 up to B.
    """
    if not isinstance(post_processor, dict) or post_processor.get("type") != "TemplateProcessing":
        raise VocabularyError(
            "its post_processor is no TemplateProcessing: the special tokens around texts are not known"
        )
    ids = {name: tuple(token["ids"]) for name, token in post_processor["special_tokens"].items()}
    single, pair = ([_place(item, ids) for item in post_processor[key]] for key in ("single", "pair"))
    whole = ("", (cls_id,), 0), ("A", (), 0)
    if single != [*whole, ("", (sep_id,), 0)]:
        raise VocabularyError(
            f"its post_processor reads one text as {_shown(single)}; expected cls A sep, token type 0"
        )
    second = next((place for place in pair if place[0] == "B"), None)
    if second is None:
        raise VocabularyError("its post_processor has no place for a second text")
    between, second_type = pair[2 : pair.index(second)], second[2]
    expected = [*whole, *between, second, ("", (sep_id,), second_type)]
    if pair != expected or any(place[0] or place[2] for place in between):
        raise VocabularyError(
            f"its post_processor reads two texts as {_shown(pair)}; expected cls A special tokens B sep, "
            "token type 0 before B"
        )
    return PairLayout(between=tuple(id for _, special, _ in between for id in special), second_type=second_type)


def template(cls: tuple[str, int], sep: tuple[str, int], separators: int, second_type: int) -> dict[str, Any]:
    """A TemplateProcessing that `pair_layout` reads; cls, sep: name and id; separators: how many stand between."""

    def special(token: tuple[str, int], type_id: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token[0], "type_id": type_id}}

    def text(name: str, type_id: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": type_id}}

    head = [special(cls, 0), text("A", 0)]
    return {
        "type": "TemplateProcessing",
        "single": [*head, special(sep, 0)],
        "pair": [*head, *[special(sep, 0)] * separators, text("B", second_type), special(sep, second_type)],
        "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]} for name, id in (cls, sep)},
    }


def _place(item: Any, ids: dict[str, tuple[int, ...]]) -> Place:
    if "Sequence" in item:
        return item["Sequence"]["id"], (), item["Sequence"]["type_id"]
    token = item["SpecialToken"]
    return "", ids[token["id"]], token["type_id"]


def _shown(places: Sequence[Place]) -> str:
    return " ".join(f"{text or list(ids)}:{type_id}" for text, ids, type_id in places)
