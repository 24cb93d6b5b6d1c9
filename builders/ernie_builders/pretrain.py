"""Pre-train an ERNIE encoder from text or ids: `ernie-triton build pretrain`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ernie_runtime.command_line import json_output

from .console import run_command
from .filesystem import disk_error
from .pretraining.options import parser, request_of
from .pretraining.run import pretrain
from .pretraining.state import step_of
from .training.state import find_state

NAME = "ernie-triton build pretrain"


def interrupted(output: Path) -> str:
    """What Ctrl-C leaves, and how to resume."""
    state = find_state(output)
    kept = f"the state of step {step_of(state):,} is kept in {output}" if state else "nothing was saved yet"
    return f"interrupted; {kept}; the same command goes on from there"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done or stopped by --stop-after, 1 a fault (one line), 2 usage, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = parser().parse_args(words)
    try:
        with json_output(args.json) as report:
            return run_command(
                NAME, lambda: report(pretrain(request_of(args, words))), lambda error: disk_error(error, args.output)
            )
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{NAME}: {interrupted(args.output)}\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
