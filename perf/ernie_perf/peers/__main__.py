"""Other ways to serve the same model, side by side: `python -m ernie_perf.peers --task tnews --texts dev.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ernie_runtime.command_line import CommandLine

from ..command import DEFAULT_REPOSITORY, run_command, split_names
from ..errors import PeerError
from .base import Peer, ServerPeer
from .case import items_that_fit, read_case, read_items
from .classic import ClassicPeer
from .engine import EnginePeer
from .hugging_face import shipped_checkpoint
from .report import ComparisonSettings, TokenLengths, to_json, to_markdown
from .runner import compare, reference_answers
from .servers import SERVERS
from .standalone import Case, Item, PlainTokenizer
from .triton import ServedPeer

PEERS: Mapping[str, Callable[[Path], Peer]] = {  # name -> a peer, given the model repository
    "engine": lambda repository: EnginePeer(),
    "served": ServedPeer,
    "classic": lambda repository: ClassicPeer(),
    **{spec.name: partial(lambda spec, repository: ServerPeer(spec), spec) for spec in SERVERS},
}


@dataclass(frozen=True, kw_only=True)
class PeersOptions:
    """What the command line asks for."""

    repository: Path
    task: str
    variant: str  # empty: the recommended one
    texts: Path
    fields: Sequence[str]  # of JSON lines
    limit: int  # texts
    concurrency: int  # callers
    rounds: int
    peers: Sequence[str]  # empty: all that serve such a task
    checkpoint: Path | None  # None: the one that ships for the task
    output: Path | None  # folder for peers.md and peers.json


def parse(argv: Sequence[str] | None = None) -> PeersOptions:
    """Wrong usage exits with 2."""
    p = CommandLine(prog="python -m ernie_perf.peers", description=__doc__)
    p.add_argument("--repository", type=Path, default=DEFAULT_REPOSITORY, help="(default: %(default)s)")
    p.add_argument("--task", default="tnews", help="(default: %(default)s)")
    p.add_argument("--variant", default="", help="one that runs in onnxruntime (default: the recommended one)")
    p.add_argument("--texts", type=Path, required=True, help="JSON lines, or one text a line (two with a tab between)")
    p.add_argument(
        "--field", default="sentence", help="of JSON lines; two joined by a comma for a pair (default: %(default)s)"
    )
    p.add_argument("--limit", type=int, default=2000, help="texts to take (default: %(default)s)")
    p.add_argument("--concurrency", type=int, default=32, help="callers (default: %(default)s)")
    p.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    p.add_argument("--peers", default="", help="names joined by commas (default: all that serve such a task)")
    p.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="the weights behind the ONNX model, for peers that run PyTorch (default: what ships for the task)",
    )
    p.add_argument("--output", type=Path, metavar="DIR", help="write peers.md and peers.json there")
    args = p.parse_args(argv)
    names = list(dict.fromkeys(split_names(args.peers)))
    if unknown := [name for name in names if name not in PEERS]:
        p.error(f"--peers: no peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    if min(args.concurrency, args.rounds, args.limit) < 1:
        p.error("--concurrency, --rounds and --limit are at least 1")
    return PeersOptions(
        repository=args.repository,
        task=args.task,
        variant=args.variant,
        texts=args.texts,
        fields=args.field.split(","),
        limit=args.limit,
        concurrency=args.concurrency,
        rounds=args.rounds,
        peers=names,
        checkpoint=args.checkpoint,
        output=args.output,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured (some may be skipped), 1 a peer was refused or none could be measured, 2 usage."""
    options = parse(argv)
    return run_command("ernie_perf.peers", lambda: run(options))


def run(options: PeersOptions) -> int:
    """Measure and report. Errors: PeerError, ErnieError, OSError."""
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
    if options.checkpoint is not None and not options.checkpoint.is_dir():
        raise PeerError(f"--checkpoint {options.checkpoint}: no such directory")
    checkpoint = str(options.checkpoint or shipped_checkpoint(options.task))
    case = read_case(options.repository, options.task, options.variant, checkpoint)
    peers = [PEERS[name](options.repository) for name in options.peers or PEERS]
    if not options.peers:
        peers = [peer for peer in peers if case.kind in peer.kinds]
    items, settings = _texts(options, case)
    results = compare(
        peers,
        case,
        items,
        concurrency=options.concurrency,
        rounds=options.rounds,
        expected=reference_answers(case, items),
        say=_say,
    )
    table = to_markdown(case, settings, results)
    sys.stdout.write(table)
    if options.output is not None:
        (options.output / "peers.md").write_text(table, encoding="utf-8")
        text = json.dumps(to_json(case, settings, results), ensure_ascii=False, indent=1)
        (options.output / "peers.json").write_text(text + "\n", encoding="utf-8")
    return 1 if any(result.refused for result in results) or not any(result.rounds for result in results) else 0


def _texts(options: PeersOptions, case: Case) -> tuple[list[Item], ComparisonSettings]:
    """What all peers are asked. Errors: PeerError where no text fits the model."""
    given = read_items(options.texts, options.fields, len(case.inputs), options.limit)
    items = items_that_fit(case, given)
    if not items:
        raise PeerError(f"--texts {options.texts}: no text has at most {case.max_length} tokens")
    left_out = len(given) - len(items)
    _say(f"{len(items)} texts" + (f"; {left_out} too long or empty, left out" if left_out else ""))
    lengths = PlainTokenizer(case).lengths(items)
    settings = ComparisonSettings(
        texts=len(items),
        left_out=left_out,
        tokens=TokenLengths(min=min(lengths), mean=sum(lengths) / len(lengths), max=max(lengths)),
        concurrency=options.concurrency,
        rounds=options.rounds,
    )
    return items, settings


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
