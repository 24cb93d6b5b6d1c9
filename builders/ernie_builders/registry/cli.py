"""`ernie-triton assets`: the weights that ship, their cards and checksums."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ernie_runtime.command_line import CommandLine

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
    verbs.add_parser("verify", help=f"check every file against {SUMS}, and that each weight file has a card")
    listing = verbs.add_parser("list", help="every file: size, checksum, card")
    listing.add_argument("--json", action="store_true", help="an object for each file, one a line")
    verbs.add_parser("refresh", help=f"write {SUMS} again, after a change on purpose")
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
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something is not (one line each), 2 usage."""
    args = parser().parse_args(argv)
    if not args.assets.is_dir():
        sys.stderr.write(f"{NAME}: {args.assets}: no such directory\n")
        return 1
    if args.verb == "verify":
        return _verify(args.assets)
    if args.verb == "train":
        return _train(args)
    lines: list[str] = []
    work: dict[str, Callable[[], Iterable[str]]] = {
        "list": lambda: _list(args.assets, args.json),
        "refresh": lambda: _refresh(args.assets),
        "figures": lambda: _figures(args.place or args.repository),
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


def _list(root: Path, as_json: bool) -> Iterator[str]:
    for name, path in shipped_files(root).items():
        card = card_of(path)
        title = card.name if card else ""
        if card is not None and card.name == CARDS[0]:
            try:
                title = str(json.loads(card.read_text(encoding="utf-8"))["title"])
            except (ValueError, KeyError, TypeError):
                raise CheckpointError(f"{card}: not a card") from None
        if as_json:
            about = {"file": name, "bytes": path.stat().st_size, "sha256": digest(path), "card": title}
            yield json.dumps(about, ensure_ascii=False)
            continue
        yield f"{path.stat().st_size:>11,}  {digest(path)[:12]}  {name}  {title}".rstrip()


def _train(args: argparse.Namespace) -> int:
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
        train(request, args.assets / "checkpoints")

    try:
        return run_command(NAME, work, lambda error: disk_error(error, args.cache))
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{NAME}: interrupted; finished stages are kept, the same command goes on from here\n")
        return 130


def _figures(repository: Path) -> Iterator[str]:
    from .figures import figures_table

    return figures_table(repository)


def _refresh(root: Path) -> Iterator[str]:
    yield f"{root / SUMS}: {refresh(root)} entries"


if __name__ == "__main__":
    sys.exit(main())
