"""`ernie-triton assets`: the weights that ship, their cards and checksums."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output

from ..checkpoints.checksums import CARDS, SUMS, card_of, digest, refresh, shipped_files, verify
from ..config.tasks import ASSETS, TASKS_FILE
from ..console import run_command, say, seed
from ..errors import CheckpointError
from ..filesystem import disk_error
from ..presets.overrides import Overrides, parse_set
from ..presets.presets import SHIPPED
from ..stages.request import BuildRequest

NAME = "ernie-triton assets"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandLine(prog=NAME, description="Weights and vocabularies that ship: cards and checksums.")
    p.add_argument("--assets", type=Path, default=ASSETS, help=argparse.SUPPRESS)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="verify | list | refresh | train | figures")
    checking = verbs.add_parser("verify", help=f"check every file against {SUMS}, and that each weight file has a card")
    listing = verbs.add_parser("list", help="every file: size, checksum, card")
    refreshing = verbs.add_parser("refresh", help=f"write {SUMS} again, after a change on purpose")
    training = verbs.add_parser(
        "train", help="train the checkpoints that ship, store them, and keep the better of the old and the new"
    )
    training.add_argument("tasks", nargs="*", metavar="TASK", help="whose checkpoint ships (default: all)")
    training.add_argument("--data-dir", type=Path, required=True, help="folder with each task's data folder")
    training.add_argument("--cache", type=Path, default=Path("build"), help="of finished stages (default: %(default)s)")
    training.add_argument("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    training.add_argument("--devices", default="", help="fine-tune on several devices, e.g. 0,1")
    training.add_argument("--seed", type=seed, default=0, help="of all random numbers (default: %(default)s)")
    training.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a hyperparameter, e.g. lora=8"
    )
    training.add_argument("--tasks-file", type=Path, default=TASKS_FILE, help=argparse.SUPPRESS)
    showing = verbs.add_parser("figures", help="a table of dev figures: of a model repository, and from the cards")
    showing.add_argument("--repository", type=Path, default=Path("model_repository"), help="built with --data-dir")
    showing.add_argument("place", type=Path, nargs="?", metavar="REPOSITORY", help=argparse.SUPPRESS)
    for verb, printed in (
        (checking, "one object: files, bytes and faults"),
        (listing, "an object for each file, one a line"),
        (refreshing, "one object: the list, and its number of entries"),
        (training, "an object for each task, one a line: its figures, and whether it was stored"),
        (showing, "an object for each task, one a line"),
    ):
        verb.add_argument("--json", action="store_true", help=f"print {printed}")
    return p


Report = Callable[[object], None]
"""Prints an object as a line of JSON where --json asks for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something is not (one line each), 2 usage, 130 interrupted."""
    args = parser().parse_args(argv)
    if not args.assets.is_dir():
        sys.stderr.write(f"{NAME}: {args.assets}: no such directory\n")
        return 1
    with json_output(args.json) as report:
        if args.verb == "verify":
            return _verify(args.assets, report)
        if args.verb == "train":
            return _train(args, report)
        work: dict[str, Callable[[], None]] = {
            "list": lambda: _list(args.assets, report),
            "refresh": lambda: _refresh(args.assets, report),
            "figures": lambda: _figures(args.place or args.repository, report),
        }
        return run_command(NAME, work[args.verb])


def _verify(root: Path, report: Report) -> int:
    faults = verify(root)
    for fault in faults:
        sys.stderr.write(f"{NAME}: {fault}\n")
    files = shipped_files(root)
    size = sum(path.stat().st_size for path in files.values())
    if not faults:
        say(f"{len(files)} files, {size / 1e6:.1f} MB: every checksum is right, every weight file has its card")
    report({"files": len(files), "bytes": size, "faults": faults})
    return 1 if faults else 0


def _list(root: Path, report: Report) -> None:
    for name, path in shipped_files(root).items():
        card = card_of(path)
        title = card.name if card else ""
        if card is not None and card.name == CARDS[0]:
            try:
                title = str(json.loads(card.read_text(encoding="utf-8"))["title"])
            except (ValueError, KeyError, TypeError):
                raise CheckpointError(f"{card}: not a card") from None
        size, checksum = path.stat().st_size, digest(path)
        say(f"{size:>11,}  {checksum[:12]}  {name}  {title}".rstrip())
        report({"file": name, "bytes": size, "sha256": checksum, "card": title})


def _train(args: argparse.Namespace, report: Report) -> int:
    from .train import train

    def work() -> None:
        request = BuildRequest(
            tasks=tuple(dict.fromkeys(args.tasks)) or None,
            tasks_file=args.tasks_file,
            profile="full",
            data_dir=args.data_dir,
            overrides=Overrides(preset=SHIPPED, hyperparameters=parse_set(args.set)),
            cache=args.cache,
            device=args.device,
            devices=args.devices,
            seed=args.seed,
            until="evaluate",
        )
        for outcome in train(request, args.assets / "checkpoints"):
            report({name: value for name, value in asdict(outcome).items() if name != "line"})

    try:
        return run_command(NAME, work, lambda error: disk_error(error, args.cache))
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{NAME}: interrupted; finished stages are kept, the same command goes on from here\n")
        return 130


def _figures(repository: Path, report: Report) -> None:
    from .figures import HEAD, figures_rows

    rows = list(figures_rows(repository))
    say("\n".join(HEAD))
    for row in rows:
        say(row.line())
        report(row.to_json())


def _refresh(root: Path, report: Report) -> None:
    entries = refresh(root)
    say(f"{root / SUMS}: {entries} entries")
    report({"file": str(root / SUMS), "entries": entries})


if __name__ == "__main__":
    sys.exit(main())
