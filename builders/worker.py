"""One process of a fine-tuning on several devices: `python -m paddle.distributed.launch -m builders.worker JOB`."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

from builders.stages import Context, Done
from builders.stages.finetune import RESULT, train


def main(job: str) -> None:
    """Train this process's share; the first process writes the result. `job` was written by stages/finetune.py."""
    with Path(job).open("rb") as file:
        context, data, folder = pickle.load(file)
    assert isinstance(context, Context) and isinstance(data, Done)
    figures = train(context, data, folder)
    if os.environ.get("PADDLE_TRAINER_ID", "0") == "0":
        (folder / RESULT).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
