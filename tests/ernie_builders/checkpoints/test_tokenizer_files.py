"""Which files of a model directory define its tokenizer, and what its settings may ask for."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from ernie_builders.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from ernie_builders.checkpoints.tokenizer_files import read_tokenizer, renumbered, write_tokenizer
from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import CheckpointError, ConfigError
from ernie_builders.stages.draft import tokenizer_for
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.unigram import UnigramTokenizer

from ...ernie_runtime.hard_texts import HARD, VOCAB, fuzz
from ...ernie_runtime.sentencepiece_samples import LINES, SPECIAL, trained
from ..tiny import CONFIG, random_hugging_face, write_hugging_face

WORD_PIECE = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "今", "天", "the", "##m", "The", "é"]


@pytest.fixture
def xlm_r(tmp_path: Path) -> Path:
    """tokenizer.json as Hugging Face writes XLM-R's: <s> has id 0, <pad> 1, special tokens are added tokens."""
    document = json.loads(trained().to_str())
    vocab = document["model"]["vocab"]
    vocab[0], vocab[1] = vocab[1], vocab[0]
    names = [SPECIAL.cls, SPECIAL.pad, SPECIAL.sep, SPECIAL.unk, SPECIAL.mask]
    tokenizer = Tokenizer(models.Unigram([tuple(entry) for entry in vocab], unk_id=3))
    tokenizer.normalizer, tokenizer.pre_tokenizer = trained().normalizer, trained().pre_tokenizer
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def settings(folder: Path, **values: Any) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_tokenizer(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ids_of_hugging_face_with_padding_first(xlm_r: Path) -> None:
    stored, reference = read_tokenizer(xlm_r), Tokenizer.from_file(str(xlm_r / "tokenizer.json"))
    assert stored.pad_id == 1 and stored.tokenizer.special_ids == (0, 1, 2, 3, 4)
    assert [stored.tokenizer.token(id) for id in stored.tokenizer.special_ids] == list(SPECIAL.names)
    places = {0: 1, 1: 0}
    for text, tokens in zip(LINES, stored.tokenizer(LINES), strict=True):
        ids = reference.encode(text, add_special_tokens=False).ids
        assert [places.get(id, id) for id in tokens.ids.tolist()] == ids
    assert reference.encode("今天", "天气").ids.count(2) == 3
    assert stored.tokenizer.pair.between == (2, 2)


def test_rows_of_the_table_follow_the_padding(xlm_r: Path, tmp_path: Path) -> None:
    table = "embeddings.word_embeddings.weight"
    weights = random_hugging_face()
    folder = write_hugging_face(tmp_path / "model", weights, CONFIG, VOCAB)
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_bytes((xlm_r / "tokenizer.json").read_bytes())
    checkpoint = read_checkpoint(folder)
    ours, theirs = checkpoint.weights[f"ernie.{table}"], weights[table]
    assert np.array_equal(ours[:2], theirs[1::-1]) and np.array_equal(ours[2:], theirs[2:])
    write_checkpoint(tmp_path / "copy", checkpoint.config, checkpoint.weights, checkpoint.tokenizer)
    copy = read_checkpoint(tmp_path / "copy")
    assert copy.tokenizer.fingerprint == checkpoint.tokenizer.fingerprint
    assert np.array_equal(copy.weights[f"ernie.{table}"], ours)


def test_renumbered(xlm_r: Path) -> None:
    tokenizer = read_tokenizer(xlm_r).tokenizer
    assert isinstance(tokenizer, UnigramTokenizer)
    kept = [id for id in range(tokenizer.vocab_size) if id < 5 or len(tokenizer.token(id)) < 3]
    cut = renumbered(tokenizer, kept)
    assert [cut.token(new) for new in range(cut.vocab_size)] == [tokenizer.token(old) for old in kept]
    for text, before, after in zip(LINES, tokenizer(LINES), cut(LINES), strict=True):
        if set(before.ids.tolist()) <= set(kept):
            assert [kept[id] for id in after.ids] == before.ids.tolist(), text
    with pytest.raises(CheckpointError, match="the vocabulary would lose <mask>"):
        renumbered(tokenizer, [id for id in kept if id != tokenizer.mask_id])
    with pytest.raises(CheckpointError, match="only a SentencePiece"):
        renumbered(ErnieTokenizer.from_vocab(VOCAB), kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["model"].update(type="BPE"), "its model is BPE; WordPiece and Unigram"),
        (lambda d: d["model"].update(byte_fallback=True), "model.byte_fallback is not supported"),
        (lambda d: d["model"].update(unk_id=None), "its model has no unk_id"),
        (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "its pre_tokenizer has no Metaspace"),
        (lambda d: d.update(post_processor=None), "no cls_token and no sep_token in the vocabulary"),
        (lambda d: d["added_tokens"][0].update(special=False), "added token '<s>' is matched in a text"),
        (lambda d: d["added_tokens"][0].update(id=7), "added token '<s>' has id 7, which is not its place"),
        (lambda d: d["post_processor"]["pair"].reverse(), "its post_processor reads two texts as"),
        (lambda d: d["post_processor"]["single"].pop(), "no sep_token in the vocabulary|reads one text as"),
        (lambda d: d.pop("added_tokens"), "not a tokenizer.json"),
    ],
)
def test_unigram_files_that_are_refused(change: Any, message: str, xlm_r: Path) -> None:
    path = xlm_r / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: .*({message})") as caught:
        read_tokenizer(xlm_r)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"do_lower_case": True}, "its normalizer contradicts do_lower_case True"),
        ({"add_prefix_space": False}, "its pre_tokenizer contradicts add_prefix_space False"),
        ({"unk_token": "<s>"}, "unk_token is <s>, the model's own is <unk>"),
        ({"mask_token": "[MASK]"}, "no mask_token in the vocabulary"),
        ({"tokenizer_class": "T5Tokenizer"}, 'tokenizer_class "T5Tokenizer" is not supported'),
        ({"sp_model_kwargs": {"alpha": 0.1}}, "sp_model_kwargs"),
        ({"padding_side": "left"}, 'padding_side "left" is not supported; supported: "right"'),
        ({"sparkle": 1}, "unknown setting 'sparkle'"),
        ({"do_lower_case": "yes"}, 'do_lower_case is "yes", expected true or false'),
    ],
)
def test_settings_that_are_refused(values: dict[str, Any], message: str, xlm_r: Path) -> None:
    settings(xlm_r, **values)
    assert message in refusal(xlm_r)


def test_settings_that_are_obeyed(xlm_r: Path) -> None:
    values = {"mask_token": {"content": "<mask>", "lstrip": True}, "pad_token": "<pad>", "model_max_length": 512}
    settings(xlm_r, tokenizer_class="XLMRobertaTokenizerFast", add_prefix_space=True, sp_model_kwargs={}, **values)
    assert read_tokenizer(xlm_r).tokenizer.special == SPECIAL


@pytest.fixture
def word_piece(tmp_path: Path) -> Path:
    """vocab.txt alone."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORD_PIECE) + "\n", encoding="utf-8")
    return tmp_path


def write_bert_json(folder: Path, tokens: list[str], lowercase: bool = True) -> None:
    """tokenizer.json as Hugging Face writes BERT's."""
    vocab = {token: id for id, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.save(str(folder / "tokenizer.json"))


def test_cased_words_have_paddlenlps_ids(tmp_path: Path) -> None:
    pytest.importorskip("paddlenlp")
    chars = [chr(code) for code in range(0x3400) if code not in (0x0A, 0x0D)]
    tokens = [*WORD_PIECE[:5], *chars, *(f"##{char}" for char in chars)]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    settings(tmp_path, do_lower_case=False)
    tokenizer = read_tokenizer(tmp_path).tokenizer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from paddlenlp.transformers import ErnieTokenizer as PaddleTokenizer

        paddle = PaddleTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=False)
    texts = [text for text in HARD + fuzz()[::4] if not any("\ud800" <= char <= "\udfff" for char in text)]
    wrong = []
    for text, ours in zip(texts, tokenizer(texts), strict=True):
        expected = list(map(int, paddle.convert_tokens_to_ids(paddle._tokenize(text))))
        if ours.ids.tolist() != expected:
            wrong.append(text)
        starts, ends = ours.offsets.T
        assert (starts < ends).all() and (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all(), text
    assert wrong == []


def test_a_cased_vocabulary_stays_cased(word_piece: Path, tmp_path: Path) -> None:
    lower = read_tokenizer(word_piece).tokenizer
    settings(word_piece, do_lower_case=False)
    cased = read_tokenizer(word_piece).tokenizer
    assert [tokens.ids.tolist() for tokens in cased(["The", "the", "é", "今"])] == [[9], [7], [10], [5]]
    assert lower(["The"])[0].ids.tolist() == [7] and lower.fingerprint != cased.fingerprint
    write_tokenizer(tmp_path / "copy", cased)
    assert read_tokenizer(tmp_path / "copy").tokenizer.fingerprint == cased.fingerprint
    cased.save(tmp_path / "tokenizer.json")
    assert ErnieTokenizer.from_file(tmp_path / "tokenizer.json").fingerprint == cased.fingerprint
    write_tokenizer(tmp_path / "copy", lower)
    assert read_tokenizer(tmp_path / "copy").tokenizer.fingerprint == lower.fingerprint


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_tokenizer_json_of_words_alone(word_piece: Path, lowercase: bool) -> None:
    write_bert_json(word_piece, WORD_PIECE, lowercase)
    both = read_tokenizer(word_piece).tokenizer
    (word_piece / "vocab.txt").unlink()
    alone = read_tokenizer(word_piece).tokenizer
    assert both.fingerprint == alone.fingerprint and isinstance(alone, ErnieTokenizer)
    assert alone.lowercase is lowercase


def test_files_that_disagree(word_piece: Path) -> None:
    write_bert_json(word_piece, [*WORD_PIECE[:-1], "新"])
    assert refusal(word_piece).endswith("vocab.txt: not the vocabulary of tokenizer.json beside it")
    write_bert_json(word_piece, WORD_PIECE, lowercase=False)
    settings(word_piece, do_lower_case=True)
    assert "lowercase is not do_lower_case of tokenizer_config.json" in refusal(word_piece)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenize_chinese_chars": False}, "tokenize_chinese_chars false is not supported"),
        ({"strip_accents": False}, "strip_accents False with do_lower_case True is not supported"),
        ({"strip_accents": True, "do_lower_case": False}, "strip_accents True with do_lower_case False"),
        ({"cls_token": "<s>"}, "cls_token '<s>': of WordPiece only [CLS] is supported"),
        ({"never_split": ["x"]}, 'never_split ["x"] is not supported'),
    ],
)
def test_settings_of_words_that_are_refused(values: dict[str, Any], message: str, word_piece: Path) -> None:
    settings(word_piece, **values)
    assert message in refusal(word_piece)


def test_directories_without_a_tokenizer(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("no vocab.txt and no tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("junk")
    assert "tokenizer.json: not a tokenizer.json" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("kind", "tokens", "by_character"),
    [
        ("token_classification", "", True),
        ("question_answering", "", True),
        ("fill_mask", "", True),
        ("fill_mask", "pieces", False),
        ("sequence_classification", "", False),
        ("sequence_classification", "characters", True),
    ],
)
def test_how_a_task_reads(kind: str, tokens: str, by_character: bool, xlm_r: Path) -> None:
    tokenizer = read_tokenizer(xlm_r).tokenizer
    task = replace(next(task for task in load_tasks().values() if task.kind == kind), tokens=tokens)
    expected = tokenizer.for_characters() if by_character else tokenizer
    assert tokenizer_for(task, tokenizer).fingerprint == expected.fingerprint
    words = ErnieTokenizer.from_vocab(VOCAB)
    assert tokenizer_for(task, words) is words


def test_spans_are_not_read_as_pieces(xlm_r: Path) -> None:
    task = replace(load_tasks()["msra_ner"], tokens="pieces")
    with pytest.raises(ConfigError, match=r'tasks.msra_ner.tokens "pieces": token_classification labels each token'):
        tokenizer_for(task, read_tokenizer(xlm_r).tokenizer)
    with pytest.raises(ConfigError, match="tokens 'words' is neither pieces nor characters"):
        replace(task, tokens="words")
