"""What columns are called, and whether a name is one of these; compared in lower case, without blanks and marks."""

from __future__ import annotations

import re
from collections.abc import Iterable

TEXT = (
    *("text", "texta", "sentence", "content", "query", "question", "utterance", "review", "comment", "title", "body"),
    *("text1", "sentence1", "question1", "query1", "premise", "s1", "description", "message", "input", "document"),
    *("内容", "文本", "句子", "正文", "评论", "问题", "标题", "描述", "文本1", "句子1", "原文", "语料", "工单内容"),
)
PAIR = (
    *("textb", "textpair", "text2", "sentence2", "question2", "query2", "hypothesis", "s2", "target text"),
    *("文本2", "句子2", "问题2"),
)
LABEL = (
    *("label", "labels", "category", "class", "cat", "cats", "classname", "labelname", "sentiment", "intent", "y"),
    *("tag", "topic", "type", "target", "choice", "choices", "polarity", "labelid"),
    *("标签", "类别", "分类", "类目", "类型", "情感", "意图", "情感倾向", "所属类别", "一级分类"),
)
SCORE = ("score", "similarity", "sim", "rating", "分数", "得分", "相似度")
ENTITIES = ("entities", "entity", "label", "labels", "spans", "ner", "annotations", "实体", "slots")
TOKENS = ("tokens", "words", "texta", "text", "sentence", "chars")
TAGS = ("nertags", "tags", "labels", "label", "bio")
INTENT = ("intent", "intents", "cats", "意图")
READABLE = ("labeldesc", "labeldes", "labelname", "categoryname", "classname", "labeltext", "标签名", "类别名")
GROUP = (
    *("session", "sessionid", "conversationid", "dialogid", "dialogueid", "userid", "customerid", "docid", "groupid"),
    *("documentid", "articleid", "ticketid", "会话", "会话id", "对话id", "用户", "用户id", "客户", "客户id"),
)
KNOWN = frozenset((*TEXT, *PAIR, *LABEL, *SCORE, *ENTITIES, *TOKENS, *TAGS, *READABLE, "id", "qid", "编号", "序号"))


def plain(name: str) -> str:
    """A column's name for comparing: `Text_A` is `texta`."""
    return re.sub(r"[\s_\-.]", "", name).lower()


def named(columns: Iterable[str], names: Iterable[str]) -> list[str]:
    """The columns that have one of the names, in the order of the names."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain(column), column)
    return [by_name[name] for name in names if name in by_name]
