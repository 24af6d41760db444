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

from reports import layer_bars
from reports.comparison import build_comparison_page
from reports.gallery import INDEX, build_index
from reports.page import write_page
from reports.run_files import Run
from reports.run_page import build_run_page
from reports.scale_command import scale_loaded
from reports.scaling_page import build_scaling_page
from reports.timeline import plot_timeline, read_timeline
from sim.results.trace_file import WHOLE
from sim.scaling.scaling import CHIPS

LINKS: dict[str, str | float] = {"topology": "ring", "link_bytes_per_cycle": 16.0, "link_latency_cycles": 800}
collect_ignore = (
    [] if find_chromium() else ["test_pages.py", "test_page_kinds.py", "test_sweep_page.py", "test_training_page.py"]
)


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
    return make_run(folder, "slim", "sparsetrain", "array.groups=4", "buffer.operand_store_bytes=4096")


@pytest.fixture(scope="session")
def ablation_run(folder: Path) -> Run:
    return make_run(folder, "ablation", baseline=("skipping-off", "natural", "mask"))


@pytest.fixture(scope="session")
def pages(folder: Path, run: Run, slim_run: Run, ablation_run: Run) -> dict[str, Path]:
    """Pages of a run with a timeline, of one without energy and DRAM, of an ablation, of two runs, and their index.

    The bars of the ablation are drawn as those of a network of many layers.
    """
    timeline = plot_timeline(read_timeline(folder / "full.json.gz"), WHOLE)
    made = {
        "run": build_run_page(run, timeline),
        "ideal": build_run_page(make_run(folder, "ideal", "ideal")),
        "comparison": build_comparison_page([run, slim_run]),
        "scaling": build_scaling_page(run, scale_loaded(run, CHIPS, "dense", LINKS)),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_bars, "CROWD_BARS", len(ablation_run.layers()))
        made["ablation"] = build_run_page(ablation_run)
    for name, page in made.items():
        write_page(folder / f"{name}.html", page)
    write_page(folder / INDEX, build_index(folder))
    return {name: folder / f"{name}.html" for name in (*made, "index")}
