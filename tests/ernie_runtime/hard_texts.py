"""Texts that a tokenizer may stumble over, written by hand and mixed at random."""

from __future__ import annotations

import os
import random
import unicodedata
from functools import cache
from pathlib import Path

from ernie_runtime.text.tokenization import ErnieTokenizer

VOCAB = Path(__file__).parents[2] / "builders/ernie_assets/encoder/vocab.txt"
EVERY_CODE = "ERNIE_TEST_EVERY_CODE"
"""If this variable is set, `code_points` leaves none out."""
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
HARD = [
    "",
    " ",
    "\n\t \u3000",
    "\0",
    "今天天气不错，我们去公园吧！",
    "iPhone 15 Pro Max售价9,999元（约$1,399.00）",
    "ＡＢＣ１２３，全角：ｈｅｌｌｏ！",
    "深圳\u3000市  南山区\r\n科技园\t路 1 号",
    "喜欢😀👍🏽👩\u200d💻❤\ufe0f🇨🇳这个1\ufe0f\u20e3",
    "café naïve Ünïcödé",
    "cafe\u0301 nai\u0308ve A\u030angstrom \u212b \u2126 \u212a",
    "字\u0301字 \u0301 \u0301abc a\u0344\u0301b q\u0323\u0307 d\u0326\u0307x",
    "İstanbul ISPARTA ıI ẞß ΟΔΟΣ ΣΑΣ'Σ. ΑΣ",
    "a\0b\x01c\x7fd\x85e\u200bf\u200dg\ufeffh\ufffdi\xadj\ue000k\u0378l\x0bm\x0cn\x1co",
    "a\u2028b\u2029c\u00a0d\u2003e\u1680f\u202fg",
    "한국어 각 がぎぐ パピプ ﾊﾟ हिन्दी ไทย العَرَبِيَّة עִבְרִית",
    "豈更車 \U0002f800\U00020000\U0002a700\U0002ceaf\U0002ceb0\U00030000 葛\U000e0100飾 〇々〆〤",
    "² º µ Ø ŋ Ʊ ʊ ³ ª ¹ ½ ① Ⅷ ㊀ ㎏ ℃ № ™ ° × ÷ ≠ ≮ ¥ ￥ € ¨ ´ ` ^",
    "~!@#$%^&*()_+-=[]{}|\\;:'\",.<>/?`·！￥……（）——【】；：‘’“”，。《》？、「」『』〜～",
    "https://example.com/a_b?c=1&d=%20#x user@mail.cn C++ .NET 3.14e-10 v1.2.3",
    "x" * 100,
    "x" * 101,
    "中" * 300,
    "y" * 99 + "\u0301" * 40 + " " + "é" * 100 + " " + "é" * 101,
    "##a ##中 a##b #话题#",
    "\U0001d15e\u0f73\u0f71\u302e\u20dd",
    "\ud800中\udfff国\udc00",
]
SPECIAL_INSIDE = ["[SEP]", "甲[SEP]乙", "a[MASK]b [CLS] [PAD][UNK]", "我[MASK][MASK]你 [sep] [ MASK ]"]


def code_points(limit: int) -> list[int]:
    """Those below `limit` without surrogates: all that may be lowered, split or dropped, and a sample of the others.

    The others are letters without case or decomposition, private and unassigned ones. They lie in long runs that are
    treated alike; every sixteenth and both ends of a run are taken.
    """
    codes = [code for code in range(limit) if not 0xD800 <= code < 0xE000]
    if EVERY_CODE in os.environ:
        return codes
    categories = [unicodedata.category(chr(code)) for code in codes]
    return [
        code
        for i, code in enumerate(codes)
        if categories[i] not in ("Lo", "Co", "Cn")
        or unicodedata.decomposition(chr(code))
        or code % 16 == 0
        or not categories[max(i - 1, 0)] == categories[i] == categories[min(i + 1, len(codes) - 1)]
    ]


@cache
def fuzz() -> list[str]:
    """Texts that mix classes of characters, the same ones every time."""
    rng = random.Random(20)
    vocabulary = VOCAB.read_text(encoding="utf-8").split("\n")

    def span(*ranges: tuple[int, int]) -> list[str]:
        return [chr(c) for a, b in ranges for c in range(a, b + 1)]

    pools = [
        [t for t in vocabulary if len(t) == 1 and "\u4e00" <= t <= "\u9fff"],
        [t.removeprefix("##") for t in vocabulary if t.isascii() and t.strip("#").isalpha()],
        list("0123456789.,:%-/"),
        span((0x20, 0x7E)),
        span((0xFF01, 0xFF9F)),
        span((0x1F300, 0x1FAFF), (0x2600, 0x27BF), (0x1F1E6, 0x1F1FF)),
        list("\u200d\ufe0f\ufe0e\u200b\u200c\u2060\ufeff\ufffd\xad\0") + span((1, 31), (0x7F, 0x9F)),
        span((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x20D0, 0x20F0), (0x302A, 0x302F), (0x3099, 0x309A)),
        list(" \t\n\r\u3000\xa0\u2003\u2028\u2029\u1680"),
        span((0xC0, 0x24F), (0x1E00, 0x1FFF), (0x370, 0x52F)),
        span((0xAC00, 0xAC40), (0x1100, 0x11FF), (0x3040, 0x30FF)),
        span((0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0xF00, 0xFBC)),
        span((0xF900, 0xFAFF), (0x2F800, 0x2F830), (0x20000, 0x20010), (0x2CEA0, 0x2CEBF)),
        span((0x2000, 0x206F), (0x2100, 0x218B), (0x2200, 0x22FF), (0x3000, 0x303F), (0xB2, 0xBF)),
        [
            "İ",
            "Σ",
            "ß",
            "ﬁ",
            "Å",
            "\U0001d15e",
            "\ue000",
            "\U0010ffff",
            "\U000e0100",
            "x" * 101,
            "a\u0301" * 60,
        ],
    ]
    texts = []
    for _ in range(3000):
        chosen = rng.choices(pools, weights=[6, 4] + [1] * (len(pools) - 2), k=rng.randint(1, 4))
        texts.append("".join(rng.choice(rng.choice(chosen)) for _ in range(rng.randint(1, 40))))
    texts += ["".join(chr(rng.randrange(0xE000, 0x110000)) for _ in range(20)) for _ in range(100)]
    return texts


def ids_of(tokenizer: ErnieTokenizer, texts: list[str]) -> list[list[int]]:
    return [text.ids.tolist() for text in tokenizer(texts)]
