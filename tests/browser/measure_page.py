"""How soon a page can be used: `PYTHONPATH=.:tests python tests/browser/measure_page.py PAGE.html...`.

Interactive is a page from the moment on at which the charts of its first view are drawn, its tables are filled and can
be sorted, and the main thread is idle. The longest task behind it is how long a click may wait while the other charts
are drawn. All times are of the wall, in ms, counted from the start of the navigation; the least of several visits is
the figure least disturbed by other work.
"""

from __future__ import annotations

import sys
from pathlib import Path

from browser.visit import launch
from playwright.sync_api import Browser, sync_playwright

VISITS = 5
WATCH = """
window.longTasks = [];
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.longTasks.push([task.startTime, task.duration]);
}).observe({ type: "longtask", buffered: true });
"""
READ = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
  interactive: performance.getEntriesByName("interactive")[0].startTime,
  complete: performance.getEntriesByName("complete")[0].startTime,
  tasks: window.longTasks,
})"""


def measure(browser: Browser, page: Path, width: int) -> dict[str, float]:
    """Open a page once; give its milestones and its longest task behind the interactive moment."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    try:
        opened = context.new_page()
        opened.add_init_script(WATCH)
        opened.goto(page.absolute().as_uri())
        opened.wait_for_selector("html[data-drawn]", state="attached")
        found = opened.evaluate(READ)
    finally:
        context.close()
    later = [duration for start, duration in found.pop("tasks") if start >= found["interactive"]]
    return {**found, "longest_task": max(later, default=0.0)}


def main(pages: list[str]) -> None:
    """Print the figures of each page."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for page in pages:
            for width in (1280, 390):
                visits = [measure(browser, Path(page), width) for _ in range(VISITS)]
                words = ", ".join(f"{name} {min(one[name] for one in visits):,.0f}" for name in visits[0])
                print(f"{page}, {width} wide: {words}")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
