"""What other programs take of the processors while something is measured."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from ernie_builders.compression.other_load import OtherLoad

BURN = """
import time
end = time.process_time() + 1
while time.process_time() < end:
    pass
print("done", flush=True)
input()
"""


def test_a_child_is_no_other_program() -> None:
    command = [sys.executable, "-c", BURN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        began = time.monotonic()
        counted, not_counted = OtherLoad([]), OtherLoad([child.pid])
        assert child.stdout is not None and child.stdout.readline() == "done\n"
        with_child, without = counted.share(), not_counted.share()
        seconds = time.monotonic() - began
        child.communicate("\n")
    assert with_child is not None and without is not None
    # Whatever else runs: the difference is the child's second of processor time.
    assert with_child - without > 0.5 / (seconds * len(os.sched_getaffinity(0)))
    assert 0 <= without <= with_child <= 1
