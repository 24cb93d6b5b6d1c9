"""MkDocs' events: the site is built from staged pages, so `mkdocs build` and `mkdocs serve` need nothing before."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

OWN = Path(__file__).resolve().parent
sys.path.insert(0, str(OWN))

from reference import write_reference  # noqa: E402  # beside this file, which mkdocs loads by its path
from stage import ROOT, stage  # noqa: E402

STAGED = ROOT / ".cache" / "site-pages"
_staged = False


def on_startup(*, command: str, dirty: bool) -> None:
    """Before the configuration is used; `mkdocs serve` comes here once, however often it builds."""
    logging.getLogger("jieba").setLevel(logging.WARNING)


def on_config(config: Any) -> Any:
    """Called once for each language of a build; the pages are the same for all."""
    global _staged
    if not _staged:
        stage(STAGED)
        write_reference(STAGED)
        _staged = True
    config.docs_dir = str(STAGED)
    return config
