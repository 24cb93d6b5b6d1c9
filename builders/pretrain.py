"""Pre-train an ERNIE encoder from text or ids: `python builders/pretrain.py`, or `ernie-triton build pretrain`."""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages lie beside this folder
    root = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(root), str(root / "python_backends")]

try:
    from builders.command import run_command
    from builders.pretraining.launch import is_worker, write_fault
    from builders.pretraining.options import parser
    from builders.pretraining.run import pretrain
    from builders.pretraining.state import find_state, read_progress
    from builders.stages import disk_error
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise  # ernie-triton says which extra to install
    sys.exit(
        f"pretrain: Python package {missing.name!r} is missing; "
        "run `make setup`, then .venv/bin/python builders/pretrain.py"
    )

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
