"""Pages of every kind, made once, and one browser for all tests.

Where no Chromium is installed, the modules that open pages in it are not collected; `.ci/run` installs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.small_runs import make_run
from browser.visit import find_chromium, launch
from playwright.sync_api import Browser, sync_playwright

from reports.comparison import build_comparison_page
from reports.page import write_page
from reports.run_files import Run
from reports.run_page import build_run_page
from reports.timeline import plot_timeline, read_trace
from sim.trace_file import WHOLE

collect_ignore = [] if find_chromium() else ["test_pages.py", "test_sweep_page.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="session")
def run(folder: Path) -> Run:
    return make_run(folder, "full", trace=True)


@pytest.fixture(scope="session")
def slim_run(folder: Path) -> Run:
    return make_run(folder, "slim", "sparsetrain", "array.groups=4")


@pytest.fixture(scope="session")
def pages(folder: Path, run: Run, slim_run: Run) -> dict[str, Path]:
    """A page of a run with a timeline, one without energy and DRAM, and one that compares two runs."""
    timeline = plot_timeline(read_trace(folder / "full.json.gz"), WHOLE)
    made = {
        "run": build_run_page(run, timeline),
        "ideal": build_run_page(make_run(folder, "ideal", "ideal")),
        "comparison": build_comparison_page([run, slim_run]),
    }
    for name, page in made.items():
        write_page(folder / f"{name}.html", page)
    return {name: folder / f"{name}.html" for name in made}
