"""A real browser for tests of pages: Chromium, driven by Playwright; skipped with a clear word where there is none.

`apt-get install chromium`, and the `dev` packages of pyproject.toml. Screenshots are kept in the folder that
SHUTDOWNLAB_PICTURES names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")
UNLIKE = ((360, "light"), (1440, "dark"))
PAGES = [
    pytest.param(width, scheme, marks=() if (width, scheme) in UNLIKE else pytest.mark.thorough)
    for width in WIDTHS
    for scheme in SCHEMES
]
"""Every width in every scheme, for tests of what `width` and `scheme` are: the two most unlike, and thoroughly all."""
_PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if _PROGRAM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    driver = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install '.[dev]'")
    with driver.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=_PROGRAM, args=["--no-sandbox"])
        yield launched
        launched.close()


def violations(page: Page) -> Any:
    """What axe-core finds wrong with the page; it must have been opened with `bypass_csp=True`."""
    rules = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install '.[dev]'")
    return rules.Axe().run(page).response["violations"]


def pictured(page: Page, name: str) -> None:
    """Keep a picture of the whole page, where pictures are wanted."""
    if pictures := os.environ.get("SHUTDOWNLAB_PICTURES"):
        page.screenshot(path=Path(pictures) / f"{name}.png", full_page=True)
