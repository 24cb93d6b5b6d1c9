"""For every test: a process that Ctrl-C reaches, no waiting for the disk, one thread where several processes test.

What takes longest comes first: several processes test file by file, and none should be left alone with a long one.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

EVERY_KIND = ("test_every_kind.py", "test_gateway_kinds.py", "test_notebooks.py", "test_snippets.py")
"""Files of tests/e2e that share one server of all kinds, which takes half a minute to start: one process runs them."""

ATTACKS = ("test_http.py", "test_grpc.py")
"""Files of tests/attacks that share one server."""

LONGEST = (
    *(f"e2e/{name}" for name in EVERY_KIND),
    "ernie_builders/stages/test_variants.py",
    "ernie_builders/training/test_trainer.py",
    "packaging/test_installs.py",
    "ernie_builders/pretraining/test_runs.py",
    "e2e/test_predict_file.py",
    "e2e/test_perf.py",
    "ernie_builders/checkpoints/test_delta.py",
    "ernie_builders/stages/test_trained_variants.py",
    "ernie_builders/repository/test_compare.py",
    "e2e/test_peers.py",
    "ernie_builders/registry/test_train.py",
    "ernie_builders/stages/test_interrupted.py",
    "ernie_builders/distillation/test_task.py",
)

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and Paddle are imported: they would take all cores each
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

gc.disable()  # until the tests are collected: half a million objects are made, and all stay

os.environ["TQDM_DISABLE"] = "1"  # on a busy machine a bar would put a line beside the one that a test expects


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Thousands of files are synced to be removed at once. The programs that tests start sync, and so do kill tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of `LONGEST` in front, in that order; all others stay as they are."""
    rank = {Path(__file__).parent / name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """The garbage collector need not walk the collected tests, and what they imported, again and again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """`--dist loadfile`, with the files of EVERY_KIND as one, and those of ATTACKS."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            if file.endswith(tuple(f"attacks/{name}" for name in ATTACKS)):
                return ATTACKS[0]
            return EVERY_KIND[0] if Path(file).name in EVERY_KIND else file

    return ByFile(config, log)


def pytest_configure() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit it: tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
