from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser.reading import read_column, read_hover, wait_until
from browser.visit import visit
from playwright.sync_api import Browser

from reports.comparison import label_runs, list_entries
from reports.layer_bars import PASSES
from reports.run_files import COMPUTE_KINDS, SCOPE_WORDS, Run

FIRST_IDLE_ONLY = """
let calls = 0;
window.requestIdleCallback = callback => { if (calls++ === 0) setTimeout(callback); };
"""
DRAWN = "[...document.querySelectorAll('.chart[data-drawn]')].map(box => box.dataset.figure)"
FILLED = "[...document.querySelectorAll('.chart')].filter(box => box.querySelector('.main-svg')).length"
WIDEST = "Math.max(0, ...[...document.querySelectorAll('.chart .main-svg')].map(svg => svg.clientWidth))"


@pytest.fixture
def runs(run: Run, ablation_run: Run) -> dict[str, Run]:
    return {"run": run, "ablation": ablation_run}


@pytest.mark.parametrize("kind", ["run", "ablation"])
@pytest.mark.parametrize(("name", "column", "unit"), [("cycles", "step", "cycles"), ("energy", "component", "pJ")])
def test_hover_texts_tell_the_exact_numbers_of_steps_csv(
    browser: Browser, pages: dict[str, Path], runs: dict[str, Run], kind: str, name: str, column: str, unit: str
) -> None:
    run = runs[kind]
    frame = run.frame.assign(place=run.frame["layer"].where(run.frame["kind"].isin(COMPUTE_KINDS), PASSES))
    with visit(browser, pages[kind]) as found:
        traces = found.page.evaluate(
            "name => document.querySelector(`[data-figure=${name}]`).data.map(trace => [trace.meta, trace.x])", name
        )
        hovered: set[tuple[str, str]] = set()
        for curve, (meta, places) in enumerate(traces):
            for point, place in enumerate(places):
                rows = frame[(frame["machine"] == meta["machine"]) & (frame["place"] == place)]
                if column == "step":
                    exact = f"{rows.loc[rows['step'] == meta['part'], 'cycles'].sum():,d}"
                else:
                    exact = f"{rows[meta['part']].sum():,.9g}"
                text = read_hover(found, name, curve, point)
                assert f"{exact} {unit}" in text
                assert meta["machine"] in text
                hovered.add((meta["machine"], place))
        assert hovered == set(zip(frame["machine"], frame["place"], strict=True))


def test_hover_texts_of_a_comparison_tell_the_totals_of_run_json(
    browser: Browser, pages: dict[str, Path], run: Run, slim_run: Run
) -> None:
    entries = list_entries([run, slim_run])
    with visit(browser, pages["comparison"]) as found:
        steps = found.page.evaluate("document.querySelector('[data-figure=totals]').data.map(trace => trace.meta.part)")
        assert set(steps) == {step for entry in entries for step in entry.totals["cycles_by_step"]}
        for curve, step in enumerate(steps):
            for point, entry in enumerate(entries):
                cycles = entry.totals["cycles_by_step"][step]
                if cycles:
                    text = read_hover(found, "totals", curve, point)
                    assert f"{cycles:,d} cycles" in text
                    assert entry.label in text


def test_the_ablation_is_tabulated_beside_its_dense_machine(
    browser: Browser, pages: dict[str, Path], ablation_run: Run
) -> None:
    run, dense = ablation_run, "sparsetrain-dense"
    with visit(browser, pages["ablation"]) as found:
        heads = found.page.locator("header table thead th").all_inner_texts()
        rows = [row.locator("td").all_inner_texts() for row in found.page.locator("header table tbody tr").all()]
    assert [row[:3] for row in rows] == [
        [name, skips, f"{run.totals(name)['cycles']:,d}"]
        for name, skips in (
            (dense, "nothing: dense"), ("sparsetrain-natural", "zeros"), ("sparsetrain-mask", "zeros, mask"),
            ("sparsetrain", "zeros, mask"),
        )
    ]  # fmt: skip
    for words, column in (("speed-up", "cycles"), ("energy ratio", "energy_pj")):
        for scope, scope_words in SCOPE_WORDS.items():
            place = heads.index(f"{words}, {scope_words}")
            base = run.totals(dense, scope)[column]
            ratios = [f"{base / run.totals(row[0], scope)[column]:.2f}x" for row in rows]
            assert [row[place] for row in rows] == ratios


def test_the_tables_of_a_comparison_sort_and_filter(
    browser: Browser, pages: dict[str, Path], run: Run, slim_run: Run
) -> None:
    own = run.rows(run.machine)
    wanted = own[(own["layer"] == "conv2") & (own["step"] == "gta")]
    label = label_runs([run, slim_run])[0]
    with visit(browser, pages["comparison"]) as found:
        head = found.page.locator("[data-differences] thead button").nth(2)
        head.click()
        assert read_column(found, label, "[data-differences]") == [
            f"{cycles:,d}" for cycles in sorted(own["cycles"], reverse=True)
        ]
        found.page.fill("[data-differences] [data-filter='*']", "conv2 gta")
        shown = read_column(found, label, "[data-differences]")
        assert shown == [f"{int(wanted['cycles'].iloc[0]):,d}"]
        second = '[data-table="steps1"]'
        found.page.select_option(f"{second} [data-filter=machine]", slim_run.machines[1])
        found.page.locator(f"{second} thead button", has_text="cycles").first.click()
        cycles = slim_run.rows(slim_run.machines[1])["cycles"]
        assert read_column(found, "cycles", second) == [f"{one:,d}" for one in sorted(cycles, reverse=True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_index_leads_to_every_page(browser: Browser, pages: dict[str, Path], width: int, scheme: str) -> None:
    with visit(browser, pages["index"], width, scheme, until="main li") as found:
        links = found.page.eval_on_selector_all("main a", "all => all.map(link => [link.href, link.textContent])")
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
        assert {href for href, _ in links} == {path.as_uri() for name, path in pages.items() if name != "index"}
        for href, words in links:
            found.page.goto(href)
            assert found.page.title() == words
        asked = [url for url in found.requests if not url.startswith(("file:", "data:", "blob:"))]
        assert (found.errors, asked) == ([], [])


def open_idle(browser: Browser, path: Path) -> Any:
    """Open a page whose charts out of view are never drawn in idle time."""
    return visit(browser, path, 390, script=FIRST_IDLE_ONLY, until=".chart")


def test_a_page_is_interactive_before_the_charts_out_of_view_are_drawn(
    browser: Browser, pages: dict[str, Path], run: Run
) -> None:
    with open_idle(browser, pages["run"]) as found:
        # A click of the mouse would scroll there.
        found.page.evaluate("""document.querySelector('[data-table="steps"] thead button').click()""")
        assert read_column(found, "layer") == sorted(run.frame["layer"])
        assert "timeline" not in found.page.evaluate(DRAWN)


def test_a_chart_is_drawn_when_it_comes_near_the_view(browser: Browser, pages: dict[str, Path]) -> None:
    with open_idle(browser, pages["run"]) as found:
        found.page.locator(".chart[data-figure=timeline]").scroll_into_view_if_needed()
        found.page.wait_for_selector(".chart[data-figure=timeline] .main-svg")
        assert "energy" not in found.page.evaluate(DRAWN)


def test_all_charts_are_drawn_to_fit_the_paper_before_the_page_is_printed(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with open_idle(browser, pages["run"]) as found:
        assert found.page.evaluate(FILLED) < found.page.locator(".chart").count()
        assert found.page.pdf()[:4] == b"%PDF"
        assert found.page.evaluate(FILLED) == found.page.locator(".chart").count()
        found.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        found.page.emulate_media(media="print")
        wait_until(found, f"{WIDEST} <= 680")
        assert 0 < found.page.evaluate(WIDEST) <= 680
        assert not found.page.locator("nav").is_visible()
