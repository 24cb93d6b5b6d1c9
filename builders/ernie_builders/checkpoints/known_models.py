"""Base models that PaddleNLP knows by name, besides those of presets.toml: shapes, and the classes that read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

ALIASES: Mapping[str, str] = {"ernie-2.0-en": "ernie-2.0-base-en"}
"""Names that models had before."""
CLASSES: Mapping[str, tuple[str, str]] = {
    "ernie": ("ErnieModel", "ErnieTokenizer"),
    "ernie_m": ("ErnieMModel", "ErnieMTokenizer"),
    "ernie_gram": ("ErnieGramModel", "ErnieGramTokenizer"),
    "bert": ("BertModel", "BertTokenizer"),
    "roberta": ("RobertaModel", "RobertaChineseTokenizer"),
    "skep": ("SkepModel", "SkepTokenizer"),
    "tinybert": ("TinyBertModel", "TinyBertTokenizer"),
    "ppminilm": ("PPMiniLMModel", "PPMiniLMTokenizer"),
    "ernie-tiny": ("ErnieModel", "ErnieTinyTokenizer"),
}
"""Family, or a name that differs from its family -> PaddleNLP's classes of model and tokenizer."""
# Family, language, layers x hidden size x heads, feed-forward, vocabulary, positions, token types, task types: names.
TABLE = """
ernie zh 12x768x12 3072 18000 513 2 0: ernie-1.0-base-zh rocketqa-zh-dureader-query-encoder
    rocketqa-zh-dureader-para-encoder rocketqa-zh-dureader-cross-encoder
ernie zh 12x768x12 3072 40000 512 4 3: ernie-1.0-base-zh-cw
ernie zh 24x1024x16 3072 18000 512 2 0: ernie-1.0-large-zh-cw
ernie zh 3x1024x16 4096 50006 600 2 0: ernie-tiny
ernie en 12x768x12 3072 30522 512 4 0: ernie-2.0-base-en-finetuned-squad rocketqa-v1-marco-query-encoder
    rocketqa-v1-marco-para-encoder rocketqa-v1-marco-cross-encoder rocketqav2-en-marco-cross-encoder
    rocketqav2-en-marco-query-encoder rocketqav2-en-marco-para-encoder uie-base-en
    ernie-search-base-dual-encoder-marco-en
ernie en 24x1024x16 4096 30522 512 4 0: ernie-search-large-cross-encoder-marco-en
ernie zh 12x768x12 3072 40000 2048 4 3: ernie-3.0-tiny-base-v1-zh rocketqa-base-cross-encoder
    rocketqa-zh-base-query-encoder rocketqa-zh-base-para-encoder uie-base uie-senta-base uie-base-answer-extractor
    uie-base-qa-filter
ernie zh 6x768x12 3072 40000 2048 4 16: ernie-3.0-tiny-medium-v1-zh rocketqa-medium-cross-encoder
    rocketqa-zh-medium-query-encoder rocketqa-zh-medium-para-encoder uie-medium uie-senta-medium
ernie zh 6x384x12 1536 40000 2048 4 16: ernie-3.0-tiny-mini-v1-zh rocketqa-mini-cross-encoder
    rocketqa-zh-mini-query-encoder rocketqa-zh-mini-para-encoder uie-mini uie-senta-mini
ernie zh 4x384x12 1536 40000 2048 4 16: ernie-3.0-tiny-micro-v1-zh rocketqa-micro-cross-encoder
    rocketqa-zh-micro-query-encoder rocketqa-zh-micro-para-encoder uie-micro uie-senta-micro
ernie zh 4x312x12 1248 40000 2048 4 16: ernie-3.0-tiny-nano-v1-zh rocketqa-nano-cross-encoder
    rocketqa-zh-nano-query-encoder rocketqa-zh-nano-para-encoder uie-nano uie-senta-nano
ernie zh 24x1024x16 3072 17965 512 2 3: utc-large
ernie zh 20x1024x16 4096 39981 2048 4 16: utc-xbase
ernie zh 12x768x12 3072 39981 2048 4 0: utc-base
ernie zh 6x768x12 3072 39981 2048 4 0: utc-medium
ernie zh 6x384x12 1536 39981 2048 4 0: utc-mini
ernie zh 4x384x12 1536 39981 2048 4 0: utc-micro
ernie zh 4x312x12 1248 39981 2048 4 0: utc-nano
ernie zh 3x128x2 512 39981 2048 4 0: utc-pico
ernie_m - 12x768x12 3072 250002 512 2 0: ernie-m-base uie-m-base
ernie_m - 24x1024x16 4096 250002 512 2 0: ernie-m-large uie-m-large
ernie_gram zh 12x768x12 3072 18018 512 2 0: ernie-gram-zh ernie-gram-zh-finetuned-dureader-robust
bert en 12x768x12 3072 30522 512 2 0: bert-base-uncased
bert en 24x1024x16 4096 30522 512 2 0: bert-large-uncased
bert - 12x768x12 3072 105879 512 2 0: bert-base-multilingual-uncased
bert en 12x768x12 3072 28996 512 2 0: bert-base-cased
bert zh 12x768x12 3072 21128 512 2 0: bert-base-chinese bert-wwm-chinese bert-wwm-ext-chinese macbert-base-chinese
    uer/chinese-roberta-base
bert - 12x768x12 3072 119547 512 2 0: bert-base-multilingual-cased
bert en 24x1024x16 4096 28996 512 2 0: bert-large-cased
bert zh 24x1024x16 4096 21128 512 2 0: macbert-large-chinese
bert zh 12x768x12 3072 13685 512 2 0: simbert-base-chinese
bert zh 8x512x8 2048 21128 512 2 0: uer/chinese-roberta-medium
bert zh 6x768x12 3072 21128 512 2 0: uer/chinese-roberta-6l-768h
bert zh 4x512x8 2048 21128 512 2 0: uer/chinese-roberta-small
bert zh 4x256x4 1024 21128 512 2 0: uer/chinese-roberta-mini
bert zh 2x128x2 512 21128 512 2 0: uer/chinese-roberta-tiny
roberta zh 12x768x12 3072 21128 511 2 0: hfl/roberta-wwm-ext
roberta zh 24x1024x16 4096 21128 511 2 0: hfl/roberta-wwm-ext-large
roberta zh 6x768x12 3072 21128 511 2 0: hfl/rbt6
roberta zh 4x768x12 3072 21128 511 2 0: hfl/rbt4
roberta zh 3x768x12 3072 21128 511 2 0: hfl/rbt3
roberta zh 3x1024x16 4096 21128 511 2 0: hfl/rbtl3
skep zh 24x1024x16 4096 12800 512 4 0: skep_ernie_1.0_large_ch
skep en 24x1024x16 4096 30522 512 4 0: skep_ernie_2.0_large_en
tinybert en 4x312x12 1200 30522 512 2 0: tinybert-4l-312d tinybert-4l-312d-v2
tinybert en 6x768x12 3072 30522 512 2 0: tinybert-6l-768d tinybert-6l-768d-v2
tinybert zh 4x312x12 1200 21128 512 2 0: tinybert-4l-312d-zh
tinybert zh 6x768x12 3072 21128 512 2 0: tinybert-6l-768d-zh
ppminilm zh 6x768x12 3072 21128 512 2 0: ppminilm-6l-768h
"""
READ = "ERNIE, ERNIE-M, ERNIE-Gram, BERT, Chinese RoBERTa, SKEP, TinyBERT and PP-MiniLM"
UNREAD = (
    (r"ernie-doc-", "ERNIE-Doc"),
    (r"ernie-gen-", "ERNIE-Gen"),
    (r"ernie-code-", "ERNIE-Code"),
    (r"ernie-layoutx-|uie-x-", "ERNIE-Layout"),
    (r"(disco_diffusion_)?ernie_vil-", "ERNIE-ViL"),
    (r"ernie-ctm$|wordtag$|nptag$", "ERNIE-CTM"),
    (r"(ernie-health-chinese|(chinese-)?electra-)", "ELECTRA"),
    (r"ernie-3\.0-tiny-mini-v2-en$|roberta-(base|large)$|skep_roberta_", "a model with RoBERTa's English vocabulary"),
    (r"cl-tohoku/", "a model with a Japanese tokenizer"),
    (r"(chinese-)?xlnet-", "XLNet"),
    (r"chinese_GAU-", "GAU"),
    (r"pai-painter-", "Artist"),
    (r"plato-|unified_transformer-", "a unified Transformer"),
    (r"unimo-text-", "UNIMO"),
    (r"dalle-", "DALL-E"),
    (r"(facebook|microsoft|deepset|sshleifer|EleutherAI|THUDM|funnel-transformer)[/-]", "another model"),
    (r"(albert|bart|bigbird|blenderbot|convbert|deberta|distilbert|fnet|gpt|layoutlm|layoutxlm|luke|mbart)", "\\1"),
    (r"(megatronbert|mobilebert|mpnet|nezha|nystromformer|opt|prophetnet|reformer|rembert)", "\\1"),
    (r"(ChineseBERT|ctrl$|roformer|squeezebert|t5|vi-layout|xlm|llama)", "\\1"),
)
"""Beginnings of the names of models that PaddleNLP has and that are not read here, and what they are."""


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A row of the table, for one of its names."""

    family: str
    language: str  # zh or en; empty: several
    shape: tuple[int, int, int, int]  # layers, hidden size, heads, feed-forward
    tables: tuple[int, int, int, int]  # rows of vocabulary, positions, token types, task types


@cache
def known_models() -> Mapping[str, KnownModel]:
    """The models of the table by name."""
    found = {}
    for line in TABLE.replace("\n    ", " ").strip().splitlines():
        shape, _, names = line.partition(": ")
        family, language, *numbers = shape.replace("x", " ").split()
        layers, hidden, heads, inner, words, positions, types, tasks = map(int, numbers)
        model = KnownModel(
            family=family,
            language=language.strip("-"),
            shape=(layers, hidden, heads, inner),
            tables=(words, positions, types, tasks),
        )
        found.update(dict.fromkeys(names.split(), model))
    return found


def classes_of(name: str) -> tuple[str, str]:
    """PaddleNLP's classes of model and tokenizer for a name; ERNIE's for one that the table lacks."""
    model = known_models().get(name)
    return CLASSES.get(name, CLASSES[model.family if model else "ernie"])


def unread_model(name: str) -> str:
    """What a name of PaddleNLP's stands for, where that model is not read; else an empty string."""
    for pattern, model in UNREAD:
        if match := re.match(pattern, name):
            return match.expand(model)
    return ""


def unread_fault(name: str) -> str:
    """One line for a name that `unread_model` knows."""
    return f"--base-model {name}: PaddleNLP has it, but it is {unread_model(name)}; read are {READ}"
