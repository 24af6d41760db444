from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from browser.reading import FIRST_STEPS, read_column, wait_until
from browser.visit import visit
from playwright.sync_api import Browser

from reports.run_files import Run

CHARTS = {
    "run": ["cycles", "time", "energy", "densities", "utilization", "roofline", "speedup", "timeline"],
    "ablation": ["cycles", "time", "energy", "densities", "utilization", "roofline", "speedup"],
    "ideal": ["cycles", "time", "densities", "utilization", "speedup"],
    "scaling": ["speedup", "efficiency", "iteration"],
    "comparison": [
        "totals",
        *(f"{name}{number}" for name in ("cycles", "time", "energy", "densities", "utilization", "roofline", "speedup")
          for number in range(2)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", list(CHARTS))
def test_a_page_draws_every_chart_without_error_request_or_overflow(
    browser: Browser, pages: dict[str, Path], kind: str, width: int, scheme: str
) -> None:
    with visit(browser, pages[kind], width, scheme) as found:
        drawn = found.page.evaluate(
            "[...document.querySelectorAll('.chart')].map(box => [box.dataset.figure, box._fullData.length, "
            "box.querySelectorAll('.cartesianlayer .trace path, .cartesianlayer .hm image').length])"
        )
        assert [name for name, _, _ in drawn] == CHARTS[kind]
        assert [name for name, traces, marks in drawn if not traces or not marks] == []
        assert (found.errors, found.requests) == ([], [])
        assert found.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_script_that_fails_is_an_error_of_the_page(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    broken = pages["ideal"].read_text().replace("\nstart();", "\nstart(); missing(); fetch('http://127.0.0.1:9/');")
    (tmp_path / "broken.html").write_text(broken)
    with visit(browser, tmp_path / "broken.html") as found:
        assert any("missing is not defined" in error for error in found.errors)


def test_the_page_may_not_ask_the_network_for_anything(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    asking = pages["ideal"].read_text().replace("\nstart();", "\nstart(); fetch('http://127.0.0.1:9/').catch(() => 0);")
    (tmp_path / "asking.html").write_text(asking)
    with visit(browser, tmp_path / "asking.html") as found:
        assert any("Content Security Policy" in error for error in found.errors)


def test_a_users_words_are_shown_and_not_executed(browser: Browser, pages: dict[str, Path], run: Run) -> None:
    with visit(browser, pages["run"]) as found:
        assert found.page.evaluate("window.pwned") is None
        assert run.record["workload"]["description"] in found.page.inner_text("header")


@pytest.mark.parametrize(("kind", "name"), [("run", "cycles"), ("ablation", "cycles"), ("comparison", "totals")])
def test_a_click_in_the_legend_hides_a_part_on_all_machines_and_another_shows_it(
    browser: Browser, pages: dict[str, Path], kind: str, name: str
) -> None:
    state = (
        f"document.querySelector('.chart[data-figure={name}]')._fullData"
        ".filter(trace => trace.meta.part === 'forward').map(trace => trace.visible).join()"
    )
    with visit(browser, pages[kind]) as found:
        shown = found.page.evaluate(state)
        assert set(shown.split(",")) == {"true"}
        toggle = found.page.locator(f"[data-figure={name}] .legendtoggle").first
        toggle.click()
        wait_until(found, f"{state} === '{shown.replace('true', 'legendonly')}'")
        toggle.click()
        wait_until(found, f"{state} === '{shown}'")


def test_the_table_sorts_numbers_by_size_both_ways(browser: Browser, pages: dict[str, Path], run: Run) -> None:
    written = [f"{cycles:,d}" for cycles in sorted(run.frame["cycles"])]
    with visit(browser, pages["run"]) as found:
        head = found.page.locator(f"{FIRST_STEPS} thead button", has_text="cycles").first
        head.click()
        assert read_column(found, "cycles") == written[::-1]
        assert found.page.locator(f"{FIRST_STEPS} th[aria-sort=descending] button").inner_text() == "cycles"
        found.page.locator(f"{FIRST_STEPS} thead button", has_text="cycles").first.click()
        assert read_column(found, "cycles") == written


def test_the_table_filters_by_step_machine_and_words(browser: Browser, pages: dict[str, Path], run: Run) -> None:
    frame = run.frame
    wanted = frame[(frame["step"] == "gtw") & (frame["machine"] == run.machine) & (frame["layer"] == "conv2")]
    with visit(browser, pages["run"]) as found:
        found.page.select_option(f"{FIRST_STEPS} [data-filter=step]", "gtw")
        found.page.select_option(f"{FIRST_STEPS} [data-filter=machine]", run.machine)
        gtw = frame[(frame["step"] == "gtw") & (frame["machine"] == run.machine)]
        assert read_column(found, "layer") == gtw["layer"].tolist()
        found.page.fill(f"{FIRST_STEPS} [data-filter='*']", "CONV2")
        assert read_column(found, "cycles") == [f"{int(wanted['cycles'].iloc[0]):,d}"]
        count = found.page.inner_text(f"{FIRST_STEPS} .count")
        assert count == f"1 of 1 matching rows shown; {len(frame)} rows in all."


def test_every_cell_of_the_table_is_that_of_steps_csv(browser: Browser, pages: dict[str, Path], run: Run) -> None:
    cells = pd.read_csv(run.path / "steps.csv", dtype=str, keep_default_na=False)
    with visit(browser, pages["run"]) as found:
        found.page.click(f"{FIRST_STEPS} details summary")
        for box in found.page.locator(f"{FIRST_STEPS} .columns input").all():
            box.check()
        for name in cells.columns:
            assert [text.replace(",", "") for text in read_column(found, name)] == [
                cell.replace(",", "") for cell in cells[name]
            ]


def test_the_downloaded_table_is_steps_csv_byte_for_byte(
    browser: Browser, pages: dict[str, Path], run: Run, tmp_path: Path
) -> None:
    with visit(browser, pages["run"]) as found, found.page.expect_download() as download:
        found.page.click(f"{FIRST_STEPS} .download")
        download.value.save_as(tmp_path / "steps.csv")
    assert (tmp_path / "steps.csv").read_bytes() == (run.path / "steps.csv").read_bytes()


def test_the_headline_tells_the_ratios_of_run_json(browser: Browser, pages: dict[str, Path], run: Run) -> None:
    ratios = run.ratios(run.machines[1])
    expected = [
        *(f"{ratios[scope]['speedup']:.2f}x" for scope in ("convolutions", "network")),
        *(f"{ratios[scope]['energy_ratio']:.2f}x" for scope in ("convolutions", "network")),
        f"{run.totals(run.machine)['cycles']:,}",
    ]
    with visit(browser, pages["run"]) as found:
        shown = found.page.eval_on_selector_all(".card dd", "all => all.map(card => card.firstChild.textContent)")
    assert shown[: len(expected)] == expected


def test_the_numbers_of_a_chart_open_as_a_table(browser: Browser, pages: dict[str, Path], run: Run) -> None:
    with visit(browser, pages["run"]) as found:
        found.page.click("details[data-figure=densities] summary")
        rows = found.page.locator("details[data-figure=densities] tbody tr")
        rows.first.wait_for()
        assert rows.count() == 4 * len(run.layers())
        first = run.rows(run.machine).iloc[0]
        assert rows.first.locator("td").all_inner_texts() == [
            "input", first["layer"], run.machine, f"{first['input_density']:.9g}",
        ]  # fmt: skip


def test_another_baseline_changes_the_ratios_of_a_comparison(
    browser: Browser, pages: dict[str, Path], run: Run, slim_run: Run
) -> None:
    own, other = (one.rows(one.machine).set_index(["layer", "step"])["cycles"] for one in (run, slim_run))
    table = "[data-differences]"
    with visit(browser, pages["comparison"]) as found:
        assert read_column(found, "/ baseline", table) == ["1.000"] * len(own)
        found.page.select_option(f"{table} [data-baseline]", "1")
        assert read_column(found, "/ baseline", table) == [f"{ratio:.3f}" for ratio in own / other]
        found.page.select_option(f"{table} [data-measure]", "energy")
        assert read_column(found, "/ baseline", table)[0] != f"{(own / other).iloc[0]:.3f}"
