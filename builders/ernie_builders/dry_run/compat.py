"""What a dry run says of `--compat`."""

from __future__ import annotations

import argparse

from ..compat.choice import choose
from ..config.tasks import load_tasks
from ..presets.presets import ALL
from .asked import asked


def planned(args: argparse.Namespace) -> list[str]:
    """What a dry run says of the option."""
    if not args.compat or args.preset == ALL:
        return []

    known = load_tasks(args.tasks_file)
    tasks = [known[name] for name in asked(args, known) if name in known]
    lines = choose(args.compat, tasks, args.until).lines()
    return ["", "[compat]", *(f"  {line}" for line in lines)]
