"""Pictures of the page for README and docs, from a gateway before a server with the tasks of `make demo`:

python -m tests.e2e.screenshots http://127.0.0.1:8080 docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from .browser import chromium

SHOTS = (  # file, task, colour scheme, language, width, height
    ("page.png", "msra_ner", "light", "en-US", 1180, 900),
    ("page-dark.png", "event_hierarchy", "dark", "en-US", 1180, 900),
    ("page-phone.png", "faq_ranking", "light", "zh-CN", 390, 844),
)
COLOURS = 128


def main() -> None:
    """Take all of SHOTS."""
    address, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name, task, scheme, locale, width, height in SHOTS:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                locale=locale,
                reduced_motion="reduce",
            )
            page.goto(f"{address}/#/{task}")
            page.locator(".timing").wait_for()
            page.locator(".primary").click()  # once more: the first request warms the models up
            page.wait_for_timeout(1500)
            page.screenshot(path=folder / name)
            page.close()
            Image.open(folder / name).convert("RGB").quantize(COLOURS).save(folder / name, optimize=True)


if __name__ == "__main__":
    main()
