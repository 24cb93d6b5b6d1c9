"""One process of a fine-tuning on several devices: `python -m paddle.distributed.launch stages/worker.py JOB`."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # the launcher runs files only, and their folder is no place to import from
    del sys.path[0]

from ernie_builders.errors import BuildError
from ernie_builders.stages import Context, Done
from ernie_builders.stages.finetune import RESULT, train
from ernie_builders.training.launch import end_with_parent


def main(job: str) -> None:
    """Train this process's share; the first process writes the result. `job` was written by stages/finetune.py."""
    with Path(job).open("rb") as file:
        context, data, folder = pickle.load(file)
    assert isinstance(context, Context) and isinstance(data, Done)
    end_with_parent()
    result: dict[str, Any]
    try:
        result = train(context, data, folder)
    except BuildError as error:
        result = {"error": str(error)}
    if "error" in result or os.environ.get("PADDLE_TRAINER_ID", "0") == "0":
        (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
    if "error" in result:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
