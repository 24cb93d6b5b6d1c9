"""What tokenizer_config.json and special_tokens_map.json of a model directory say: obeyed, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CheckpointError

CONFIG = "tokenizer_config.json"
FILES = (CONFIG, "special_tokens_map.json")
ROLES = ("pad", "cls", "sep", "unk", "mask")
CLASSES = (
    "BertTokenizer",
    "BertTokenizerFast",
    "ErnieFastTokenizer",
    "ErnieMTokenizer",
    "ErnieTinyTokenizer",
    "ErnieTokenizer",
    "PPMiniLMTokenizer",
    "PreTrainedTokenizerFast",
    "RobertaChineseTokenizer",
    "SkepTokenizer",
    "TinyBertTokenizer",
    "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast",
)
ONLY: Mapping[str, tuple[Any, ...]] = {
    "tokenizer_class": (*CLASSES, None),
    "tokenize_chinese_chars": (True, None),
    "do_basic_tokenize": (True, None),
    "never_split": (None, []),
    "wordpieces_prefix": ("##", None),
    "padding_side": ("right", None),
    "truncation_side": ("right", None),
    "encoding": ("utf8", "utf-8", None),
    "sp_model_kwargs": ({}, None),
    "auto_map": (None,),
    # SKEP's: another value is RoBERTa's vocabulary
    "use_bpe_encoder": (False, None),
    "need_token_type_id": (True, None),
    "add_two_sep_token_inter": (False, None),
}
"""The values of settings that change tokens; another value is refused."""
HARMLESS = frozenset(
    {
        "added_tokens_decoder",
        "additional_special_tokens",
        "backend",
        "bos_token",
        "chat_template",
        "clean_up_tokenization_spaces",
        "eos_token",
        "extra_special_tokens",
        "init_class",
        "is_local",
        "max_len",
        "max_length",
        "max_position_embeddings",
        "model_input_names",
        "model_max_length",
        "model_type",
        "name_or_path",
        "pad_to_max_length",
        "pad_to_multiple_of",
        "pad_token_type_id",
        "padding",
        "processor_class",
        "return_tensors",
        "sentencepiece_model_file",
        "special_tokens_map_file",
        "stride",
        "tokenizer_file",
        "transformers_version",
        "truncation",
        "truncation_strategy",
        "trust_remote_code",
        "use_fast",
        "vocab_file",
        "word_dict",
    }
)
"""No token of a text depends on these. Of lengths, the task's limits.max_length says how much is read."""
OBEYED = frozenset(("do_lower_case", "strip_accents", "add_prefix_space", *(f"{role}_token" for role in ROLES)))


@dataclass(frozen=True, kw_only=True)
class TokenizerSettings:
    """The settings that are obeyed; None where a directory does not state one."""

    where: Path = field(default_factory=Path)  # the directory
    special: Mapping[str, str] = field(default_factory=dict)  # names of special tokens by role: `pad`, `cls`, ...
    lowercase: bool | None = None
    strip_accents: bool | None = None
    add_prefix_space: bool | None = None
    tokenizer_class: str = ""


def read_settings(folder: Path) -> TokenizerSettings:
    """CheckpointError for a value that nothing here does, for an unknown setting, and for files that are no JSON."""
    settings: dict[str, Any] = {}
    for name in FILES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path}: not JSON ({error})") from None
        if not isinstance(content, dict):
            raise CheckpointError(f"{path}: expected a JSON object")
        for key, value in content.items():
            _check(path, key, value)
        settings |= content
    special = {}
    for role in ROLES:
        value = settings.get(f"{role}_token")
        if isinstance(value, Mapping):  # an AddedToken
            value = value.get("content")
        if value is not None:
            special[role] = str(value)
    return TokenizerSettings(
        where=folder,
        special=special,
        lowercase=settings.get("do_lower_case"),
        strip_accents=settings.get("strip_accents"),
        add_prefix_space=settings.get("add_prefix_space"),
        tokenizer_class=settings.get("tokenizer_class") or "",
    )


def _check(path: Path, key: str, value: Any) -> None:
    if key in ONLY:
        if value not in ONLY[key]:
            known = ", ".join(json.dumps(known) for known in ONLY[key] if known is not None)
            raise CheckpointError(f"{path}: {key} {json.dumps(value)} is not supported; supported: {known or 'none'}")
    elif key not in HARMLESS and key not in OBEYED:
        raise CheckpointError(f"{path}: unknown setting {key!r}; take it out if no token depends on it")
    elif key in ("do_lower_case", "strip_accents", "add_prefix_space") and type(value) not in (bool, type(None)):
        raise CheckpointError(f"{path}: {key} is {json.dumps(value)}, expected true or false")
