"""`ernie-triton assets`: the weights that ship, their cards and checksums."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..checkpoints.checksums import CARDS, SUMS, card_of, digest, refresh, shipped_files, verify
from ..config.tasks import ASSETS
from ..console import run_command, say
from ..errors import CheckpointError

NAME = "ernie-triton assets"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog=NAME, description="Weights and vocabularies that ship: cards and checksums.")
    p.add_argument("--assets", type=Path, default=ASSETS, help=argparse.SUPPRESS)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="verify | list | refresh | adopt | rebase | figures")
    verbs.add_parser("verify", help=f"check every file against {SUMS}, and that each weight file has a card")
    verbs.add_parser("list", help="every file: size, checksum, card")
    verbs.add_parser("refresh", help=f"write {SUMS} again, after a change on purpose")
    adopting = verbs.add_parser("adopt", help="make a directory's encoder the embedded one; checkpoints go on working")
    adopting.add_argument("encoder", type=Path, help="config.json, vocab.txt, weights, mlm_head.safetensors and a card")
    rebasing = verbs.add_parser(
        "rebase", help="store checkpoints anew as differences from the embedded encoder of now, where nothing is lost"
    )
    rebasing.add_argument("tasks", nargs="+", metavar="TASK", help="whose checkpoint ships")
    rebasing.add_argument("--data-dir", type=Path, required=True, help="folder with each task's data folder")
    rebasing.add_argument("--cache", type=Path, default=Path("build"), help="of finished stages (default: %(default)s)")
    showing = verbs.add_parser("figures", help="a table of dev figures: of a model repository, and from the cards")
    showing.add_argument("repository", type=Path, metavar="MODEL_REPOSITORY", help="built with --data-dir")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something is not (one line each), 2 usage."""
    args = parser().parse_args(argv)
    if not args.assets.is_dir():
        sys.stderr.write(f"{NAME}: {args.assets}: no such directory\n")
        return 1
    if args.verb == "verify":
        return _verify(args.assets)
    lines: list[str] = []
    work: dict[str, Callable[[], Iterable[str]]] = {
        "list": lambda: _list(args.assets),
        "refresh": lambda: _refresh(args.assets),
        "adopt": lambda: _adopt(args),
        "rebase": lambda: _rebase(args),
        "figures": lambda: _figures(args.repository),
    }
    code = run_command(NAME, lambda: lines.extend(work[args.verb]()))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return code


def _verify(root: Path) -> int:
    faults = verify(root)
    for fault in faults:
        sys.stderr.write(f"{NAME}: {fault}\n")
    if not faults:
        files = shipped_files(root)
        size = sum(path.stat().st_size for path in files.values())
        say(f"{len(files)} files, {size / 1e6:.1f} MB: every checksum is right, every weight file has its card")
    return 1 if faults else 0


def _list(root: Path) -> Iterator[str]:
    for name, path in shipped_files(root).items():
        card = card_of(path)
        title = card.name if card else ""
        if card is not None and card.name == CARDS[0]:
            try:
                title = str(json.loads(card.read_text(encoding="utf-8"))["title"])
            except (ValueError, KeyError, TypeError):
                raise CheckpointError(f"{card}: not a card") from None
        yield f"{path.stat().st_size:>11,}  {digest(path)[:12]}  {name}  {title}".rstrip()


def _adopt(args: argparse.Namespace) -> list[str]:
    from .adopt import adopt

    return adopt(args.encoder, args.assets)


def _rebase(args: argparse.Namespace) -> Iterator[str]:
    from .rebase import rebase

    for task in args.tasks:
        yield rebase(task, args.data_dir, args.cache)


def _figures(repository: Path) -> Iterator[str]:
    from .figures import figures_table

    return figures_table(repository)


def _refresh(root: Path) -> Iterator[str]:
    yield f"{root / SUMS}: {refresh(root)} entries"


if __name__ == "__main__":
    sys.exit(main())
