"""The reference pages that are written from the code: the commands' options, the SDK, the manifest."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from rest import rest_page  # beside this file

import ernie_triton
from ernie_runtime import manifest
from ernie_runtime.command_line import TWINS, CommandLine
from ernie_triton import cli

HEADING = "# {}\n\n{}\n\n"


def write_reference(folder: Path) -> None:
    """Write the pages of `reference/`."""
    target = folder / "reference"
    target.mkdir(parents=True)
    pages = {"cli": cli_page(), "sdk": sdk_page(), "rest": rest_page(), "manifest": manifest_page()}
    for name, text in pages.items():
        (target / f"{name}.md").write_text(text, encoding="utf-8")


def commands() -> Iterator[str]:
    """Every command, and those of commands."""
    for name in cli.VERBS:
        if name in cli.INNER and name != "build":
            yield from (f"{name} {inner}" for inner in cli.INNER[name])
            continue
        yield name
        yield from (f"{name} {inner}" for inner in cli.INNER.get(name, ()))


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that prints the help of a command."""
    parsers = list[argparse.ArgumentParser]()
    with mock.patch.object(CommandLine, "print_help", lambda self, file=None: parsers.append(self)):
        code = cli.main([*command.split(), "--help"])
    if code or not parsers:
        raise RuntimeError(f"ernie-triton {command} --help: exit code {code}, {len(parsers)} parsers")
    return parsers[0]


def cli_page() -> str:
    """All commands with their options."""
    intro = (
        "What `ernie-triton COMMAND --help` prints. Names, the environment and exit codes: [commands](../commands.md)."
    )
    return HEADING.format("The command line, option by option", intro) + "".join(
        "".join(command_section(command, parser_of(command))) for command in commands()
    )


def command_section(command: str, parser: argparse.ArgumentParser, level: int = 2) -> Iterator[str]:
    """One command: usage, description, a table of options, its subcommands."""
    formatter = argparse.HelpFormatter(prog=parser.prog, width=100)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    yield f"{'#' * level} {command}\n\n"
    if parser.description:
        yield f"{escape(' '.join(parser.description.split(chr(10) + chr(10))[0].split()))}\n\n"
    yield f"```text\n{formatter.format_help().strip()}\n```\n\n"
    rows = [row for action in parser._actions if (row := option_row(parser, action))]
    if rows:
        yield "| option | meaning | default |\n|---|---|---|\n" + "".join(rows) + "\n"
    if parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```\n\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from command_section(f"{command} {name}", inner, level + 1)


def option_row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """A row of the table, or nothing for what is not shown."""
    hidden = action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    if hidden:
        return ""
    formatter = parser._get_formatter()
    metavar = formatter._format_args(action, formatter._metavar_formatter(action, action.dest.upper())(1)[0])
    names = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{metavar}`"
    value = f" `{metavar}`" if action.option_strings and action.nargs != 0 else ""
    meaning = re.sub(r"\s*\(default: %\(default\)\w\)", "", action.help or "") % {
        **vars(action),
        "prog": parser.prog,
        "default": action.default,
    }
    twins = [f"`{TWINS[option]}`" for option in action.option_strings if option in TWINS]
    plain = action.default not in (None, False, True, argparse.SUPPRESS, "") and action.default != []
    default = f"`{action.default}`" if plain and "default:" not in meaning else ""
    cells = [names + value, escape(meaning) + (f" ({', '.join(twins)})" if twins else ""), default]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def escape(text: str) -> str:
    """Help is plain text: nothing in it is markup."""
    return re.sub(r"([*_<>\[\]])", r"\\\1", text)


def sdk_page() -> str:
    """What `ernie_triton` exports, from its docstrings: first what does things, then what they return, then errors."""
    exported = [getattr(ernie_triton, name) for name in ernie_triton.__all__]
    errors = [item for item in exported if isinstance(item, type) and issubclass(item, BaseException)]
    clients = [item for item in exported if getattr(item, "__name__", "").endswith("Client")]
    others = [item for item in exported if item not in errors and item not in clients]
    text = HEADING.format("Python SDK", "Everything that `ernie_triton` exports, from its docstrings.")
    for title, items in (("Clients", clients), ("Answers and what is in them", others), ("Errors", errors)):
        options = "    options: { inherited_members: true }\n" if items is clients else ""
        named = [f"{item.__module__}.{item.__qualname__}" for item in items if isinstance(item, type)]
        text += f"## {title}\n\n" + "".join(f"::: {name}\n{options}\n" for name in named)
    return text


def manifest_page() -> str:
    """The dataclasses of the manifest, field by field."""
    source = Path(manifest.__file__).read_text(encoding="utf-8")
    lines = source.splitlines()
    text = HEADING.format("The manifest", (manifest.__doc__ or "").replace("\n\n", "\n").strip())
    for node in ast.parse(source).body:
        fields = [item for item in getattr(node, "body", []) if isinstance(item, ast.AnnAssign)]
        if not isinstance(node, ast.ClassDef) or not fields:
            continue
        text += f"## {node.name}\n\n{ast.get_docstring(node) or ''}\n\n"
        text += "| field | type | default | meaning |\n|---|---|---|---|\n"
        for item in fields:
            comment = lines[(item.end_lineno or item.lineno) - 1].partition("  # ")[2]
            default = f"`{ast.unparse(item.value)}`" if item.value else ""
            row = [f"`{ast.unparse(item.target)}`", f"`{ast.unparse(item.annotation)}`", default, escape(comment)]
            text += "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n"
        text += "\n"
    return text
