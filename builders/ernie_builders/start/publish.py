"""`ernie-triton publish DIR`: from a fine-tuned checkpoint to a model repository, without a tasks file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output
from ernie_runtime.kinds.question_answering import Options

from .. import build_all
from ..checkpoints.encoder_config import stored_config
from ..config.limits import stride_of
from ..config.tasks import parse_tasks
from ..console import run_command, say
from ..errors import ConfigError
from ..filesystem import whole_file
from ..readers.sniff import sniff
from .checkpoints import Described, describe, weights_folder
from .init import task_name
from .tables import key, quoted

NAME = "ernie-triton publish"
KINDS = (
    *("sequence_classification", "pair_classification", "hierarchical_classification"),
    *("token_classification", "question_answering", "fill_mask"),
)
TEXT = "北京大学的王小明教授昨天在上海出席了会议。"
EXAMPLES = {  # for warm-up and for the comparison with Paddle; the checkpoint brings none
    "pair_classification": ["花呗怎么提前还款", "花呗可以提前还款吗"],
    "question_answering": ["谁出席了会议？", TEXT],
    "fill_mask": "这家酒店的服务非常[MASK]。",
}
OWN = ("--tasks-file", "--tasks", "--checkpoint", "--data-dir", "--base-model")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandLine(
        prog=NAME,
        description="Publish a fine-tuned checkpoint of PaddleNLP or Hugging Face as a task, without training.",
        epilog="Other options are those of `ernie-triton build`: --repository, --variants, --dry-run, ...",
        allow_abbrev=False,
    )
    p.add_argument("checkpoint", type=Path, metavar="DIR", help="the checkpoint, or a Trainer's folder of them")
    p.add_argument("--name", default="", help="of the task (default: the folder's name)")
    p.add_argument("--kind", default="", choices=KINDS, help="of the task (default: what the configuration says)")
    p.add_argument("--labels", type=Path, help="file with a label a line, in the order of the outputs")
    p.add_argument("--data", type=Path, help="labelled text to evaluate the checkpoint on")
    p.add_argument("--cache", type=Path, default=Path("build"), help="of finished stages (default: %(default)s)")
    p.add_argument("--json", action="store_true", help="print one object: what was published")
    return p


def table(name: str, found: Described, data: Path | None) -> str:
    """The text of a tasks file with the checkpoint's task."""
    example = EXAMPLES.get(found.kind, TEXT)
    lines = [
        f"[tasks.{key(name)}]",
        f"kind = {quoted(found.kind)}",
        *([f"labels = {quoted(list(found.labels))}"] if found.labels else []),
        f"examples = [{quoted(example)}]",
        *(_answer_options(name, found.max_length) if found.kind == "question_answering" else ()),
        f"[tasks.{key(name)}.limits]",
        f"max_length = {found.max_length}",
        f"doc_stride = {stride_of(found.kind, found.max_length)}",
        f"[tasks.{key(name)}.data]",
        *(_data(data) if data else ('format = "table"', 'folder = "."')),
    ]
    return "\n".join(lines) + "\n"


def _answer_options(name: str, max_length: int) -> Iterator[str]:
    """Lengths of questions and answers that a short window has room for; none where the defaults fit."""
    options, special = Options(), 4  # at most, of two texts
    question = min(options.max_question_tokens, max_length // 4)
    answer = min(options.max_answer_tokens, max_length - special - question - max_length * 3 // 8)
    if question < options.max_question_tokens or answer < options.max_answer_tokens:
        yield f"[tasks.{key(name)}.options]"
        yield f"max_question_tokens = {question}"
        yield f"max_answer_tokens = {max(1, answer)}"


def _data(path: Path) -> Iterator[str]:
    """The rows to evaluate on: those of a dev file, if there is one."""
    sniffed = sniff(path)
    file = sniffed.files.get("dev") or sniffed.files["train"]
    yield f"format = {quoted(sniffed.format)}"
    yield f"folder = {quoted(str(file.path.parent.resolve()))}"
    yield f"dev = {quoted(file.path.name)}"
    fields = {key: value for key, value in sniffed.fields.items() if key != "dev_percent"}
    yield f"fields = {{ {', '.join(f'{key} = {quoted(value)}' for key, value in fields.items())} }}"


def prepare(args: argparse.Namespace, more: list[str]) -> list[str]:
    """Write the tasks file into the cache; the command line of the build that publishes it."""
    for word in more:
        if word.split("=")[0] in OWN:
            raise ConfigError(f"{word.split('=')[0]}: publish finds this itself; use `ernie-triton build` to say it")
    stored_config(weights_folder(args.checkpoint))  # one clear line where the folder is none
    found = describe(args.checkpoint, args.kind, args.labels)
    name = task_name(args.name, args.checkpoint)
    path: Path = args.cache / "publish" / f"{name}.toml"
    text = table(name, found, args.data)
    parse_tasks(text, path).check()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as new:
        new.write_text(text, encoding="utf-8")
    labels = f", {len(found.labels)} labels" if found.labels else ""
    say(f"[{name}] {found.folder}: {found.kind}{labels}" + (f" ({'; '.join(found.origins)})" if found.origins else ""))
    return [
        *("--tasks-file", str(path), "--tasks", name, "--checkpoint", f"{name}={found.folder}"),
        *("--cache", str(args.cache), *(["--json"] if args.json else []), *more),
    ]


def main(argv: list[str] | None = None) -> int:
    """Exit codes: those of a build."""
    args, more = parser().parse_known_args(sys.argv[1:] if argv is None else argv)
    words: list[str] = []
    with json_output(args.json):
        code = run_command(NAME, lambda: words.extend(prepare(args, more)))
    return code or build_all.main(words)
