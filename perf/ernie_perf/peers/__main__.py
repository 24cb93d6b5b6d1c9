"""Other ways to serve the same model, side by side: `python -m ernie_perf.peers --task tnews --texts dev.json`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ernie_runtime.errors import ErnieError

from ..errors import PeerError
from .base import Peer
from .case import read_case, read_items
from .classic import ClassicPeer
from .engine import EnginePeer
from .fastapi_peer import FastApiPeer
from .hugging_face import shipped_checkpoint
from .infinity_peer import InfinityPeer
from .litserve_peer import LitServePeer
from .mosec_peer import MosecPeer
from .ours import OurEnsemble, OurFused
from .plain import PlainTokenizer
from .report import markdown, record
from .runner import compare, reference, that_fit
from .sentence_transformers_peer import SentenceTransformersPeer


def known(repository: Path) -> dict[str, Callable[[], Peer]]:
    """Every peer by its name."""
    return {
        "engine": EnginePeer,
        "ensemble": lambda: OurEnsemble(repository),
        "fused": lambda: OurFused(repository),
        "classic": ClassicPeer,
        "fastapi": FastApiPeer,
        "litserve": LitServePeer,
        "mosec": MosecPeer,
        "infinity": InfinityPeer,
        "sentence-transformers": SentenceTransformersPeer,
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m ernie_perf.peers", description=__doc__)
    p.add_argument("--repository", type=Path, default=Path("model_repository"))
    p.add_argument("--task", default="tnews")
    p.add_argument("--variant", default="", help="one that runs in onnxruntime (default: the recommended one)")
    p.add_argument("--texts", type=Path, required=True, help="JSON lines, or one text a line (two with a tab between)")
    p.add_argument("--field", default="sentence", help="of JSON lines; two joined by a comma for a pair")
    p.add_argument("--limit", type=int, default=2000, help="texts to take (default: %(default)s)")
    p.add_argument("--concurrency", type=int, default=32, help="callers (default: %(default)s)")
    p.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    p.add_argument("--peers", default="", help="names joined by commas (default: all that serve such a task)")
    p.add_argument(
        "--checkpoint",
        default="",
        metavar="DIR",
        help="the weights behind the ONNX model, for peers that run PyTorch (default: what ships for the task)",
    )
    p.add_argument("--output", type=Path, metavar="DIR", help="write peers.md and peers.json there")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured (some may be skipped), 1 a peer was refused or none could be measured, 2 usage."""
    p = parser()
    args = p.parse_args(argv)
    peers = known(args.repository)
    names = [name.strip() for name in args.peers.split(",") if name.strip()] or list(peers)
    if unknown := [name for name in names if name not in peers]:
        p.error(f"--peers: no peer {', '.join(unknown)}; there are {', '.join(peers)}")
    if min(args.concurrency, args.rounds, args.limit) < 1:
        p.error("--concurrency, --rounds and --limit are at least 1")
    try:
        if args.output is not None:
            args.output.mkdir(parents=True, exist_ok=True)
        return run(args, [peers[name]() for name in dict.fromkeys(names)])
    except (PeerError, ErnieError) as error:
        sys.stderr.write(f"ernie_perf.peers: {error}\n")
    except OSError as error:
        sys.stderr.write(f"ernie_perf.peers: {error.filename}: {error.strerror}\n")
    return 1


def run(args: argparse.Namespace, peers: Sequence[Peer]) -> int:
    """Measure and report."""

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    if args.checkpoint and not Path(args.checkpoint).is_dir():
        raise PeerError(f"--checkpoint {args.checkpoint}: no such directory")
    case = read_case(args.repository, args.task, args.variant, args.checkpoint or shipped_checkpoint(args.task))
    if not args.peers:
        peers = [peer for peer in peers if case.kind in peer.kinds]
    given = read_items(args.texts, args.field.split(","), len(case.inputs), args.limit)
    items = that_fit(case, given)
    if not items:
        raise PeerError(f"--texts {args.texts}: no text has at most {case.max_length} tokens")
    left_out = len(given) - len(items)
    say(f"{len(items)} texts" + (f"; {left_out} too long or empty, left out" if left_out else ""))
    lengths = PlainTokenizer(vars(case)).lengths(items)
    settings = {
        "texts": len(items),
        "left_out": left_out,
        "tokens": {"min": min(lengths), "mean": sum(lengths) / len(lengths), "max": max(lengths)},
        "concurrency": args.concurrency,
        "rounds": args.rounds,
    }
    results = compare(peers, case, items, args.concurrency, args.rounds, reference(case, items), say)
    table = markdown(case, settings, results)
    sys.stdout.write(table)
    if args.output is not None:
        (args.output / "peers.md").write_text(table, encoding="utf-8")
        text = json.dumps(record(case, settings, results), ensure_ascii=False, indent=1)
        (args.output / "peers.json").write_text(text + "\n", encoding="utf-8")
    return 1 if any(result.refused for result in results) or not any(result.rounds for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
