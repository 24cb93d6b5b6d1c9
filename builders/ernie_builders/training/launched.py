"""One process of several: `paddle.distributed.launch training/launched.py JOB` (see launch.py)."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

if __package__ in (None, ""):  # the launcher runs files only, and their folder is no place to import from
    del sys.path[0]

from ernie_builders.errors import BuildError
from ernie_builders.filesystem import disk_error, write_file
from ernie_builders.processes import end_with_parent
from ernie_builders.training.launch import FAULT, RESULT
from ernie_runtime.errors import ErnieError


def main(job_file: Path) -> int:
    """Do this process's share of the job; the first process writes the result, one that fails writes its fault.

    Exit codes: 0, or 1 after a fault that the build reports in one line. Any other error ends in a traceback, in the
    process's log.
    """
    end_with_parent()
    work, job = pickle.loads(job_file.read_bytes())
    try:
        result = work(job)
    except (BuildError, ErnieError) as error:
        fault = str(error)
    except OSError as error:
        fault = str(disk_error(error, job_file.parent))
    else:
        if os.environ.get("PADDLE_TRAINER_ID", "0") == "0":
            write_file(job_file.with_name(RESULT), pickle.dumps(result))
        return 0
    write_file(job_file.with_name(FAULT), fault)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
