"""A real Chromium for tests of the page, driven by Playwright. Without one, tests say so and are skipped."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("ERNIE_TEST_CHROMIUM") or next((path for path in map(shutil.which, NAMES) if path), None)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where Playwright or Chromium is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or set ERNIE_TEST_CHROMIUM to one")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def faults_of(page: Any) -> list[str]:
    """A list that fills with the page's errors: exceptions, what the console calls an error, other hosts asked."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if "//127.0.0.1:" in request.url else faults.append(request.url))
    return faults
