"""Small SentencePiece tokenizers, trained on a few lines, in the form in which the project publishes them."""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, trainers
from tokenizers.models import Unigram

from ernie_runtime.text.template import template
from ernie_runtime.text.tokenizer import SpecialTokens
from ernie_runtime.text.unigram import SETTINGS, UnigramSettings, UnigramTokenizer, dumps, settings_json

SPECIAL = SpecialTokens(pad="<pad>", cls="<s>", sep="</s>", unk="<unk>", mask="<mask>")
LINES = [
    "今天天气不错，我们去公园吧！今天天气真好。",
    "我们昨天在公园看见今天的报纸，天气不错。",
    "深圳市南山区科技园路 1 号，科技园，南山区。",
    "iPhone 15 Pro Max 售价 9,999 元，iPhone 售价不错。",
    "the weather in the park is good, the park is good",
    "喜欢这个，喜欢科技，喜欢公园。",
]


@cache
def trained() -> Tokenizer:
    """Normalized as XLM-R's is in spirit: NFKC, runs of blanks are one."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    names = [SPECIAL.pad, SPECIAL.cls, SPECIAL.sep, SPECIAL.unk, SPECIAL.mask]
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=names, unk_token=SPECIAL.unk, show_progress=False, initial_alphabet=["▁"]
    )
    tokenizer.train_from_iterator(LINES * 4, trainer)
    return tokenizer


def published(separators: int = 2, second_type: int = 0, **changes: Any) -> dict[str, Any]:
    """Its tokenizer.json in the project's form, as JSON data; pairs as in XLM-R."""
    import json

    document = json.loads(trained().to_str())
    entries = len(document["model"]["vocab"])
    for entry in document["model"]["vocab"][:5]:
        entry[0] += " "
    document |= {
        "added_tokens": [],
        "post_processor": template((SPECIAL.cls, 1), (SPECIAL.sep, 2), separators, second_type),
    }
    document["model"][SETTINGS] = settings_json(UnigramSettings(special=SPECIAL, entries=entries))
    return document | changes


@cache
def unigram(separators: int = 2, second_type: int = 0) -> UnigramTokenizer:
    """The tokenizer."""
    return UnigramTokenizer(dumps(published(separators, second_type)))
