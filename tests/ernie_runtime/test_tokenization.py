"""Ids against PaddleNLP, offsets against the text they point into."""

from __future__ import annotations

import hashlib
import random
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer

from ernie_runtime.errors import VocabularyError
from ernie_runtime.tokenization import ErnieTokenizer

VOCAB = Path(__file__).parents[2] / "builders/assets/encoder/vocab.txt"
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


def lowered(text: str) -> str:
    return "".join(char.lower() for char in text)


class Reference:
    """PaddleNLP's tokenizer."""

    def __init__(self, vocab: Path) -> None:
        pytest.importorskip("paddlenlp", reason="PaddleNLP is in the build extra")
        from paddlenlp.transformers import ErnieTokenizer as PaddleTokenizer

        self.paddle = PaddleTokenizer(vocab_file=str(vocab), do_lower_case=True)

    def ids(self, text: str) -> list[int]:
        return [int(i) for i in self.paddle(text)["input_ids"][1:-1]]

    def ids_without_special(self, text: str) -> list[int]:
        """What its __call__ does where it finds no special token in the text."""
        return [int(i) for i in self.paddle.convert_tokens_to_ids(self.paddle._tokenize(lowered(text)))]


@pytest.fixture(scope="module")
def tokenizer() -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(VOCAB)


@pytest.fixture(scope="module")
def every_letter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary in which every character has a token, so that ids tell characters apart."""
    chars = [chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000 and c not in (0x0A, 0x0D)]
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("".join(f"{t}\n" for t in [*SPECIAL, *chars, *(f"##{c}" for c in chars)]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reference() -> Iterator[Callable[[Path], Reference]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield Reference


@pytest.fixture(scope="module")
def fuzz() -> list[str]:
    """Texts that mix classes of characters, the same ones every time."""
    rng = random.Random(20)
    one = VOCAB.read_text(encoding="utf-8").split("\n")

    def span(*ranges: tuple[int, int]) -> list[str]:
        return [chr(c) for a, b in ranges for c in range(a, b + 1)]

    pools = [
        [t for t in one if len(t) == 1 and "\u4e00" <= t <= "\u9fff"],
        [t.removeprefix("##") for t in one if t.isascii() and t.strip("#").isalpha()],
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


def test_ids_are_paddlenlps(tokenizer: ErnieTokenizer, reference: Callable[[Path], Reference], fuzz: list[str]) -> None:
    paddle = reference(VOCAB)
    texts = HARD + fuzz
    wrong = [text for text, ids in zip(texts, ids_of(tokenizer, texts), strict=True) if paddle.ids(text) != ids]
    assert wrong == []


def test_special_tokens_in_a_text_are_ordinary_characters(
    tokenizer: ErnieTokenizer, reference: Callable[[Path], Reference]
) -> None:
    paddle = reference(VOCAB)
    for text, ids in zip(SPECIAL_INSIDE, ids_of(tokenizer, SPECIAL_INSIDE), strict=True):
        assert ids == paddle.ids_without_special(text)
        assert not set(ids) & {tokenizer.sep_id, tokenizer.cls_id, tokenizer.mask_id, tokenizer.pad_id}
    pieces = [tokenizer.token(i).removeprefix("##") for i in tokenizer(["[SEP]"])[0].ids]
    assert "".join(pieces) == "[sep]"


def test_fuzz_on_every_letter(every_letter: Path, reference: Callable[[Path], Reference], fuzz: list[str]) -> None:
    """With no [UNK] to hide behind. Every code point once inside a word and once alone."""
    ours, paddle = ErnieTokenizer.from_vocab(every_letter), reference(every_letter)
    codes = [c for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    texts = [" ".join(f"a{chr(c)}b {chr(c)}" for c in codes[i : i + 48]) for i in range(0, len(codes), 48)]
    texts += [text for text in HARD if text not in SPECIAL_INSIDE] + fuzz[:300]
    wrong = [text for text, ids in zip(texts, ids_of(ours, texts), strict=True) if paddle.ids(text) != ids]
    assert wrong == []


def bare(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) != "Mn" and not unicodedata.combining(c))


def readable(text: str) -> str:
    """The characters of a text that reach the vocabulary, without combining marks."""
    kept = (c for c in text if c in "\t\n\r" or (unicodedata.category(c)[0] != "C" and c != "\ufffd"))
    return bare(unicodedata.normalize("NFD", lowered("".join(kept))))


def test_offsets_point_at_the_source(tokenizer: ErnieTokenizer, every_letter: Path, fuzz: list[str]) -> None:
    texts = HARD + SPECIAL_INSIDE + fuzz
    for one in (tokenizer, ErnieTokenizer.from_vocab(every_letter)):
        for text, tokenized in zip(texts, one(texts), strict=True):
            starts, ends = tokenized.offsets.T
            assert tokenized.ids.dtype == np.int64 and tokenized.offsets.dtype == np.int32
            assert tokenized.offsets.shape == (len(tokenized.ids), 2)
            assert (starts >= 0).all() and (starts < ends).all() and (ends <= len(text)).all(), text
            assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all(), text
            covered = np.zeros(len(text), bool)
            for token, (start, end) in zip(tokenized.ids, tokenized.offsets.tolist(), strict=True):
                piece, source = bare(one.token(token).removeprefix("##")), readable(text[start:end])
                one_of_several = len(bare(text[start:end])) == 1 and piece in source
                assert token == one.unk_id or piece == source or one_of_several, text
                covered[start:end] = True
            left = "".join(c for c, inside in zip(text, covered, strict=True) if not inside)
            assert readable(left).split() == [], text


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("cafe\u0301 bar", ["cafe\u0301", "bar"]),
        ("café中", ["café", "中"]),
        ("a\0b \0中\0", ["a\0b", "中"]),
        ("葛\U000e0100飾", ["葛\U000e0100", "飾"]),
        ("👩\u200d💻❤\ufe0f!", ["👩", "💻", "❤\ufe0f", "!"]),
        ("  中  国 ", ["中", "国"]),
        ("\u0301中\u0301\u0302 \u0301国", ["中\u0301\u0302", "国"]),
        ("각" + "龘" + "ＡＢ", ["각", "龘", "ＡＢ"]),
        ("x" * 101 + "\u0301 国", ["x" * 101 + "\u0301", "国"]),
        ("\ud800中\udfff国", ["中", "国"]),
        ("İ中", ["İ", "中"]),
    ],
)
def test_spans(tokenizer: ErnieTokenizer, text: str, spans: list[str]) -> None:
    words: list[list[int]] = []
    (tokenized,) = tokenizer([text])
    for token, (start, end) in zip(tokenized.ids.tolist(), tokenized.offsets.tolist(), strict=True):
        if tokenizer.token(token).startswith("##"):
            words[-1][1] = end
        else:
            words.append([start, end])
    assert [text[start:end] for start, end in words] == spans


def test_one_text_at_a_time_is_the_same(tokenizer: ErnieTokenizer, fuzz: list[str]) -> None:
    texts = HARD + fuzz[:300]
    for text, together in zip(texts, tokenizer(texts), strict=True):
        (alone,) = tokenizer([text])
        assert alone.ids.tolist() == together.ids.tolist()
        assert alone.offsets.tolist() == together.offsets.tolist()
    assert tokenizer([]) == []
    assert [len(t.ids) for t in tokenizer(["", "中", " "])] == [0, 1, 0]


def test_vocabulary(tokenizer: ErnieTokenizer) -> None:
    lines = VOCAB.read_text(encoding="utf-8").split("\n")[:-1]
    assert tokenizer.vocab_size == len(lines)
    assert [tokenizer.token(i) for i in range(len(lines))] == lines
    assert all(tokenizer.id(line) == i for i, line in enumerate(lines))
    assert [tokenizer.token(i) for i in (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id)] == SPECIAL[:3]
    assert [tokenizer.token(i) for i in (tokenizer.mask_id, tokenizer.unk_id)] == SPECIAL[3:]
    assert tokenizer.fingerprint == hashlib.sha256(VOCAB.read_bytes()).hexdigest()
    assert tokenizer.id("no such token") is None
    for id in (-1, len(lines)):
        with pytest.raises(IndexError):
            tokenizer.token(id)


def test_the_last_of_repeated_lines_counts(tmp_path: Path, reference: Callable[[Path], Reference]) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\r\n".join([*SPECIAL, "$", "中", "$", "国", "$", ""]), encoding="utf-8")
    ours = ErnieTokenizer.from_vocab(path)
    assert ids_of(ours, ["$中国"]) == [[9, 6, 8]] == [reference(path).ids("$中国")]
    assert (ours.vocab_size, ours.id("$"), ours.token(5), ours.token(7)) == (10, 9, "$", "$")
    ours.save(tmp_path / "tokenizer.json")
    loaded = ErnieTokenizer.from_file(tmp_path / "tokenizer.json")
    assert (loaded.vocab_size, loaded.id("$"), loaded.token(5)) == (10, 9, "$")
    assert (
        loaded.fingerprint == ours.fingerprint == hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    )


def test_save_and_load(tokenizer: ErnieTokenizer, fuzz: list[str], tmp_path: Path) -> None:
    first, second = tmp_path / "tokenizer.json", tmp_path / "again.json"
    tokenizer.save(first)
    loaded = ErnieTokenizer.from_file(first)
    loaded.save(second)
    assert first.read_bytes() == second.read_bytes()
    ErnieTokenizer.from_vocab(VOCAB).save(second)
    assert first.read_bytes() == second.read_bytes()
    assert loaded.fingerprint == tokenizer.fingerprint
    texts = HARD + fuzz[:500]
    for a, b in zip(tokenizer(texts), loaded(texts), strict=True):
        assert a.ids.tolist() == b.ids.tolist() and a.offsets.tolist() == b.offsets.tolist()
    assert Tokenizer.from_file(str(first)).encode("今天").ids == ids_of(tokenizer, ["今天"])[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        ("[PAD]\n[CLS]\n[SEP]\n中\n".encode(), r"lacks \[UNK\], \[MASK\]"),
        ("\n".join(["中", *SPECIAL]).encode(), r"\[PAD\] has id 1"),
        ("\n".join([*SPECIAL, "中"]).encode("gb18030"), "not UTF-8"),
        ("\n".join([*SPECIAL, "中"]).encode("utf-8-sig"), r"lacks \[PAD\]"),
        (None, "No such file"),
    ],
)
def test_bad_vocabularies(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VocabularyError, match=rf"vocab\.txt: .*{message}") as caught:
        ErnieTokenizer.from_vocab(path)
    assert "\n" not in str(caught.value)


def test_bad_tokenizer_files(tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(VocabularyError, match=r"tokenizer\.json: "):
        ErnieTokenizer.from_file(path)
    path.write_text("{}")
    with pytest.raises(VocabularyError, match=r"not a tokenizer\.json"):
        ErnieTokenizer.from_file(path)
    tokenizer.save(path)
    cutting = Tokenizer.from_file(str(path))
    cutting.add_special_tokens([AddedToken("[SEP]")])
    cutting.save(str(path))
    with pytest.raises(VocabularyError, match="special tokens"):
        ErnieTokenizer.from_file(path)
