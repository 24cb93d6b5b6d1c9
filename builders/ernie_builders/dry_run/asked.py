"""Which tasks a dry run is asked about."""

from __future__ import annotations

import argparse
from collections.abc import Collection

from ..errors import ConfigError
from ..presets.presets import ALL, PUBLISHED, load_presets, task_names


def asked(args: argparse.Namespace, known: Collection[str]) -> list[str]:
    """Names of tasks: of the tasks file, or of a preset whose task it has not."""
    presets = load_presets()
    if args.tasks == ALL:
        return task_names(args.preset, known) or list(presets.preset(args.preset).tasks[:1])
    names = [name.strip() for name in args.tasks.split(",") if name.strip()]
    for name in names:
        fit = [preset.name for preset in presets.all_of_task(name)]
        if name not in known and args.preset not in (fit and [PUBLISHED, *fit]):
            hint = f"; presets.toml has it: add --preset {fit[0]}" if fit else f"; it has {', '.join(known)}"
            raise ConfigError(f"--tasks: {name!r} is not in {args.tasks_file.name}{hint}")
    if not names:
        raise ConfigError(f"--tasks: names no task; {args.tasks_file.name} has {', '.join(known)}")
    return names
