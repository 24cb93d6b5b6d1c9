"""A checkpoint's tokenizer.json in the project's form: padding is id 0, special tokens are no added tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ernie_runtime.errors import VocabularyError
from ernie_runtime.text.sentencepiece_text import BLANK, Reading
from ernie_runtime.text.template import template
from ernie_runtime.text.tokenizer import SpecialTokens
from ernie_runtime.text.unigram import SETTINGS, UnigramSettings, UnigramTokenizer, dumps, settings_json

from .sentencepiece_model import PieceType, SentencePieceModel
from .tokenizer_settings import CONFIG, ROLES, TokenizerSettings

USUAL = {"pad": ("<pad>", "[PAD]"), "mask": ("<mask>", "[MASK]")}


def unigram_tokenizer(document: dict[str, Any], settings: TokenizerSettings) -> tuple[UnigramTokenizer, int]:
    """The tokenizer of a Unigram tokenizer.json, and the id that its pad token has there.

    document: its JSON data, changed in place. VocabularyError for what it asks for and nothing here does, and for
    settings that it contradicts.
    """
    model = document["model"]
    if model.get("byte_fallback"):
        raise VocabularyError("model.byte_fallback is not supported")
    if not _has_metaspace(document["pre_tokenizer"]):
        raise VocabularyError(f"its pre_tokenizer has no Metaspace of {BLANK!r}: not a SentencePiece tokenizer")
    special = _special_tokens(document, settings.special)
    _check_settings(document, settings)
    plain = [token["content"] for token in document["added_tokens"] if not token["special"]]
    if plain:
        raise VocabularyError(f"added token {plain[0]!r} is matched in a text before the model: not supported")
    vocab = model["vocab"]
    ids = {piece: index for index, (piece, _) in enumerate(vocab)}
    for token in document["added_tokens"]:
        name, index = token["content"], token["id"]
        if index == len(vocab) and name not in ids:
            vocab.append([name, 0.0])
            ids[name] = index
        if ids.get(name) != index:
            raise VocabularyError(f"added token {name!r} has id {index}, which is not its place in the vocabulary")
    silent = {*special.names, *(token["content"] for token in document["added_tokens"])}
    for entry in vocab:
        if entry[0] in silent:
            entry[0] += " "  # no word of a text contains a blank
    document |= {"added_tokens": [], "truncation": None, "padding": None}
    document["post_processor"] = _template(document["post_processor"], special, ids)
    model[SETTINGS] = settings_json(UnigramSettings(special=special, entries=len(vocab)))
    return _with_pad_first(document, ids[special.pad])


def sentencepiece_tokenizer(
    model: SentencePieceModel,
    tokens: Sequence[str],
    special: SpecialTokens,
    reading: Reading,
    separators: int,
) -> tuple[UnigramTokenizer, int]:
    """The tokenizer of a SentencePiece model and the tokens of a vocabulary by id, and the pad token's id in it.

    Pieces that are no tokens still split texts, and are unknown. separators: between two texts; with one, as in BERT,
    the second has token type 1, with two, as in XLM-R, it has 0.
    """
    scores = {piece.text: piece.score for piece in model.pieces if piece.type == PieceType.NORMAL}
    ids = {token: id for id, token in enumerate(tokens)}  # of two lines the last one counts
    missing = [name for name in special.names if name not in ids]
    if missing:
        raise VocabularyError(f"the vocabulary lacks {', '.join(missing)}")
    found = {token for token in scores if token not in special.names}
    vocab: list[list[Any]] = [
        [token, scores[token]] if token in found and ids[token] == id else [f"{token} ", 0.0]
        for id, token in enumerate(tokens)
    ]
    vocab += [[piece, score] for piece, score in scores.items() if piece not in ids]
    charsmap = base64.b64encode(model.characters_map).decode()
    document: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap} if charsmap else None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": "always", "split": True},
        "post_processor": template(
            (special.cls, ids[special.cls]), (special.sep, ids[special.sep]), separators, int(separators == 1)
        ),
        "decoder": None,
        "model": {
            "type": "Unigram",
            "unk_id": ids[special.unk],
            "vocab": vocab,
            SETTINGS: settings_json(UnigramSettings(special=special, entries=len(tokens), reading=reading)),
        },
    }
    return _with_pad_first(document, ids[special.pad])


def _with_pad_first(document: dict[str, Any], pad_id: int) -> tuple[UnigramTokenizer, int]:
    order = list(range(document["model"][SETTINGS]["entries"]))
    order[0], order[pad_id] = pad_id, 0
    return UnigramTokenizer(dumps(renumber(document, order))), pad_id


def renumber(document: dict[str, Any], old_ids: Sequence[int]) -> dict[str, Any]:
    """The tokenizer.json whose id i is the old id old_ids[i], in the project's form; VocabularyError if it lacks one.

    Pieces after the entries stay; document: changed in place.
    """
    model, new_ids = document["model"], {old: new for new, old in enumerate(old_ids)}
    entries = model[SETTINGS]["entries"]
    names = {model["vocab"][id][0].removesuffix(" ") for id in old_ids}
    missing = [name for name in model[SETTINGS]["special"].values() if name not in names]
    if missing:
        raise VocabularyError(f"the vocabulary would lose {', '.join(missing)}")
    for token in document["post_processor"]["special_tokens"].values():
        token["ids"] = [new_ids[id] for id in token["ids"]]
    model["unk_id"] = new_ids[model["unk_id"]]
    lowest = min(score for _, score in model["vocab"])
    model["vocab"] = [*(model["vocab"][id] for id in old_ids), *model["vocab"][entries:]]
    # An unknown character costs 10 more than the least likely piece. No text has the first entry, padding.
    if lowest < min(score for _, score in model["vocab"]):
        model["vocab"][0][1] = lowest
    model[SETTINGS]["entries"] = len(old_ids)
    return document


def _check_settings(document: dict[str, Any], settings: TokenizerSettings) -> None:
    normalizer, pre_tokenizer = document.get("normalizer"), json.dumps(document["pre_tokenizer"])
    if settings.lowercase is not None and settings.lowercase != ('"Lowercase"' in json.dumps(normalizer)):
        raise VocabularyError(f"its normalizer contradicts do_lower_case {settings.lowercase} of {CONFIG}")
    prefixed = '"add_prefix_space": true' in pre_tokenizer or '"prepend_scheme": "always"' in pre_tokenizer
    first = '"prepend_scheme": "first"' in pre_tokenizer
    if settings.add_prefix_space is not None and settings.add_prefix_space != (prefixed or first):
        raise VocabularyError(f"its pre_tokenizer contradicts add_prefix_space {settings.add_prefix_space} of {CONFIG}")


def _has_metaspace(pre_tokenizer: Any) -> bool:
    if not isinstance(pre_tokenizer, dict):
        return False
    if pre_tokenizer.get("type") == "Sequence":
        return any(_has_metaspace(part) for part in pre_tokenizer["pretokenizers"])
    return pre_tokenizer.get("type") == "Metaspace" and pre_tokenizer.get("replacement") == BLANK


def _special_tokens(document: dict[str, Any], stated: Mapping[str, str]) -> SpecialTokens:
    """The special tokens: those stated, else those of the post-processor, the model, and the usual names."""
    names = dict(stated)
    vocab, added = document["model"]["vocab"], [token["content"] for token in document["added_tokens"]]
    known = {*added, *(piece for piece, _ in vocab)}
    unk = document["model"].get("unk_id")
    if unk is None:
        raise VocabularyError("its model has no unk_id, so no token stands for unknown characters")
    names.setdefault("unk", vocab[unk][0])
    if names["unk"] != vocab[unk][0]:
        raise VocabularyError(f"unk_token is {names['unk']}, the model's own is {vocab[unk][0]}")
    processor = document.get("post_processor") or {}
    if processor.get("type") == "TemplateProcessing":
        around = [item["SpecialToken"]["id"] for item in processor["single"] if "SpecialToken" in item]
    else:
        around = [processor[key][0] for key in ("cls", "sep") if key in processor]
    for role, name in zip(("cls", "sep"), around, strict=False):
        names.setdefault(role, name)
    if document.get("padding"):
        names.setdefault("pad", document["padding"]["pad_token"])
    for role, usual in USUAL.items():
        names.setdefault(role, next((name for name in usual if name in known), usual[0]))
    missing = [f"{role}_token" for role in ROLES if names.get(role) not in known]
    if missing:
        raise VocabularyError(f"no {' and no '.join(missing)} in the vocabulary")
    return SpecialTokens(**{role: names[role] for role in ROLES})


def _template(processor: Any, special: SpecialTokens, ids: Mapping[str, int]) -> Any:
    """The post-processor as TemplateProcessing."""
    kind = (processor or {}).get("type")
    cls, sep = ((name, ids[name]) for name in (special.cls, special.sep))
    if kind == "RobertaProcessing":
        return template(cls, sep, separators=2, second_type=0)
    if kind == "BertProcessing":
        return template(cls, sep, separators=1, second_type=1)
    return processor
