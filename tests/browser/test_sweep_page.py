from __future__ import annotations

import csv
import hashlib
import io
import re
from pathlib import Path

import pytest
from browser.reading import read_hover, wait_until
from browser.visit import visit
from playwright.sync_api import Browser
from unit.sweep.small_sweeps import load_text, make_metrics

from reports.page import write_page
from reports.sweep_page import build_sweep_page
from sim.sweep.design import list_settings
from sim.sweep.evaluation import make_job
from sim.sweep.job import Outcome, Status
from sim.sweep.reading import load_sweep
from sim.sweep.runner import note_sweep
from sim.sweep.space import Space
from sim.sweep.store import PointRow, Store

MANY = """\
name: many
workloads: [tiny.yaml]
parameters:
  array.groups: {from: 1, to: 50, steps: 50}
  array.pes_per_group: [1, 2, 3, 4, 5]
  buffer.ports: [1, 2, 4, 8, 16]
  dram.bytes_per_cycle: [4, 8, 16, 32]
"""
POINTS = 50 * 5 * 5 * 4
CHARTS = ["w0-front0", "w0-lines", "w0-effects", "w0-sensitivity"]
EVIL = "<img src=x onerror='window.pwned = 1'>"


def fill_store(space: Space, path: Path) -> None:
    """Store every point of a space with metrics that stand in; each 100th is infeasible for a reason with markup."""
    ended = []
    for number, design in enumerate(space.designs()):
        key = hashlib.sha256(str(number).encode()).hexdigest()
        job = make_job(design, key, "digest", space.form, shares=False)
        settings = list_settings(design.workload, design.machine)
        row = PointRow(key, design.workload.name, design.machine.name, "1", "digest", settings)
        if number % 100 == 99:
            ended.append((row, Outcome(key, Status.INFEASIBLE, EVIL)))
        else:
            ended.append((row, Outcome(key, Status.DONE, metrics=make_metrics(job))))
    with Store.open(path, creates=True) as store:
        note_sweep(store, space)
        store.add_settings(ended[0][0].settings)
        store.record(ended)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    fill_store(load_text(folder, MANY), folder / "many.sqlite")
    return folder / "many.sqlite"


@pytest.fixture(scope="module")
def page(store: Path) -> Path:
    path = store.with_suffix(".html")
    write_page(path, build_sweep_page([store]))
    return path


def test_a_page_of_5000_points_is_below_10_megabytes(page: Path) -> None:
    assert POINTS == 5000
    assert page.stat().st_size < 10_000_000


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_draws_every_chart_without_error_request_or_overflow(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    with visit(browser, page, width, scheme) as found:
        drawn = found.page.evaluate(
            "[...document.querySelectorAll('.chart')].map(box => [box.dataset.figure, box._fullData.length, "
            "box.querySelectorAll('.cartesianlayer .trace path').length])"
        )
        assert [name for name, _, _ in drawn] == CHARTS
        assert [name for name, traces, marks in drawn if not traces or not marks] == []
        assert (found.errors, found.requests) == ([], [])
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
        assert found.page.evaluate("window.pwned") is None


def test_the_table_sorts_filters_and_holds_the_numbers_of_the_store(browser: Browser, page: Path, store: Path) -> None:
    frame = load_sweep(store)
    with visit(browser, page) as found:
        table = '[data-table="points"]'
        found.page.locator(f"{table} th button", has_text="cycles").first.click()
        found.page.locator(f"{table} th button", has_text="cycles").first.click()
        first = found.page.locator(f"{table} tbody tr").first.locator("td[data-value]").all()
        values = [cell.get_attribute("data-value") for cell in first]
        assert str(frame["cycles"].min()) in values
        found.page.locator(f'{table} select[data-filter="status"]').select_option("infeasible")
        assert found.page.locator(f"{table} .count").inner_text().endswith(f"{POINTS} rows in all.")
        assert f"of {POINTS // 100} matching" in found.page.locator(f"{table} .count").inner_text()
        text = found.page.evaluate("page.tables.points.csv")
    cycles = [int(float(row["cycles"])) for row in csv.DictReader(io.StringIO(text)) if row["cycles"]]
    assert cycles == frame["cycles"].dropna().tolist()


def test_words_are_searched_in_the_table(browser: Browser, page: Path) -> None:
    with visit(browser, page) as found:
        found.page.fill('[data-table="points"] [data-filter="*"]', "infeasible")
        assert f"of {POINTS // 100} matching" in found.page.inner_text('[data-table="points"] .count')


def test_hover_texts_tell_the_numbers_of_the_store(browser: Browser, page: Path, store: Path) -> None:
    frame = load_sweep(store)
    written = {(f"{cycles:,.9g}", f"{energy:,.9g}") for cycles, energy in zip(frame["cycles"].dropna(),
               frame["energy_pj"].dropna(), strict=True)}  # fmt: skip
    with visit(browser, page) as found:
        for point in range(3):
            text = read_hover(found, "w0-front0", 1, point)
            assert any(f"{cycles} cycles" in text and f"{energy} energy_pj" in text for cycles, energy in written)


def test_a_click_on_the_legend_hides_a_group_of_lines(browser: Browser, page: Path) -> None:
    with visit(browser, page) as found:
        box = '.chart[data-figure="w0-lines"]'
        found.page.locator(f"{box} .legendtoggle").first.click()
        drawn = f"document.querySelector('{box}')._fullData[0].visible"
        # Plotly waits whether a second click makes it a double click.
        wait_until(found, f"{drawn} === 'legendonly'")


def test_a_point_on_the_front_says_its_whole_configuration(browser: Browser, page: Path) -> None:
    with visit(browser, page) as found:
        text = found.page.evaluate("page.figures['w0-front0'].data[1].customdata[0]")
    assert {"array.groups", "array.accumulators", "buffer.ports", "operands.seed"} <= {
        part.partition(":")[0] for part in re.split("<br>|, ", text)
    }
