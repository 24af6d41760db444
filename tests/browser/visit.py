"""A page opened in a real browser, and what it said and asked for meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 120_000


@dataclass
class Visit:
    """An open page. errors: of the console and of scripts; requests: addresses that are not the file itself."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def find_chromium() -> str | None:
    """Give the path of the system's Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium."""
    return playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)


@contextmanager
def visit(
    browser: Browser, path: Path, width: int = 1280, scheme: str = "light", *, script: str = "",
    until: str = "html[data-drawn]",
) -> Iterator[Visit]:  # fmt: skip
    """Open a page from its file and wait, unless for another element, until its charts are drawn.

    script: what runs before the page's own.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        accept_downloads=True,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    found = Visit(page)
    page.on("console", lambda message: message.type in ("error", "warning") and found.errors.append(message.text))
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    try:
        page.add_init_script(script)
        page.goto(path.absolute().as_uri())
        page.wait_for_selector(until, state="attached")
        found.requests = [url for url in found.requests if not url.startswith(("file:", "data:", "blob:"))]
        yield found
    finally:
        context.close()
