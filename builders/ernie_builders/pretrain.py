"""Pre-train an ERNIE encoder from text or ids: `ernie-triton build pretrain`."""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # paddle.distributed.launch runs files only, and their folder is no place to import from
    del sys.path[0]

from ernie_builders.console import run_command
from ernie_builders.filesystem import disk_error
from ernie_builders.pretraining.options import parser
from ernie_builders.pretraining.run import pretrain
from ernie_builders.pretraining.state import find_state, read_progress
from ernie_builders.training.launch import is_worker, write_fault

NAME = "ernie-triton build pretrain"


def interrupted(output: Path) -> str:
    """What Ctrl-C leaves, and how to go on."""
    state = find_state(output)
    kept = (
        f"the state of step {read_progress(state)[0].step:,} is kept in {output}" if state else "nothing was saved yet"
    )
    return f"interrupted; {kept}; the same command goes on from there"


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done or stopped by --stop-after, 1 a fault (one line), 2 usage, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = parser().parse_args(words)

    def work() -> None:
        try:
            pretrain(args, words)
        except Exception as error:
            if is_worker():
                write_fault(error)
            raise

    try:
        return run_command(NAME, work, lambda error: disk_error(error, args.output))
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{NAME}: {interrupted(args.output)}\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
