"""The page of a study of trainings in a browser; all numbers are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browser.reading import read_column, read_hover
from browser.visit import visit
from made_up_training import EVIL, MadeUp
from playwright.sync_api import Browser

from reports.page import write_page
from reports.training_page import build_training_page

FULL = MadeUp(name=EVIL)
KINDS = {
    "full": FULL,
    "unpruned": MadeUp(rates=(0.0,), seeds=(1,), epochs=3, simulates=False),
    "deep": MadeUp(rates=(0.0, 0.9), seeds=(1,), epochs=4, layers=[f"layer{place}.0.conv" for place in range(60)]),
}
CHARTS = {
    "full": ["accuracy", "loss", "gradients", "inputs", "thresholds", "quotients", "kept", "front", "cycles", "energy"],
    "unpruned": ["accuracy", "loss", "gradients", "inputs"],
}
CHARTS["deep"] = CHARTS["full"]
VISIBLE = "name => page.figures[name].data.filter(one => one.visible).map(one => one.meta.choice)"
DRAWN = "name => document.querySelector(`.chart[data-figure=${name}]`)._fullData.filter(one => one.visible === true)"
SHOWN = f"name => ({DRAWN})(name).map(one => one.meta.choice)"


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("trainings")

    def make(kind: str) -> Path:
        path = folder / f"{kind}.html"
        if not path.exists():
            write_page(path, build_training_page(KINDS[kind].study()))
        return path

    return make


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_page_draws_every_chart_without_error_request_or_overflow(
    browser: Browser, write: Callable[[str], Path], kind: str, width: int, scheme: str
) -> None:
    with visit(browser, write(kind), width, scheme) as found:
        drawn = found.page.evaluate(
            "[...document.querySelectorAll('.chart')].map(box => [box.dataset.figure, box._fullData.length, "
            "box.querySelectorAll('.cartesianlayer .trace path, .cartesianlayer .hm image').length])"
        )
        assert [name for name, _, _ in drawn] == CHARTS[kind]
        assert [name for name, traces, marks in drawn if not traces or not marks] == []
        assert (found.errors, found.requests) == ([], [])
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
        assert found.page.evaluate("window.pwned") is None


def test_a_chosen_rate_is_shown_in_both_heat_maps(browser: Browser, write: Callable[[str], Path]) -> None:
    with visit(browser, write("full")) as found:
        assert [found.page.evaluate(SHOWN, name) for name in ("gradients", "inputs")] == [["0"], ["0"]]
        found.page.locator("figure", has_text="How dense are the inputs?").locator("select").select_option("0.9")
        assert [found.page.evaluate(SHOWN, name) for name in ("gradients", "inputs")] == [["0.9"], ["0.9"]]
        chosen = found.page.eval_on_selector_all("select[data-choose=densities]", "all => all.map(one => one.value)")
        assert chosen == ["0.9", "0.9"]
        assert set(found.page.evaluate(SHOWN, "thresholds")) == {"relu1"}


def test_a_choice_before_a_chart_is_drawn_is_what_it_is_drawn_with(
    browser: Browser, write: Callable[[str], Path]
) -> None:
    never = "window.requestIdleCallback = () => 0;"
    with visit(browser, write("full"), 390, script=never, until=".chart") as found:
        found.page.evaluate("choose('gradients', 'relu3')")
        assert set(found.page.evaluate(VISIBLE, "thresholds")) == {"relu3"}
        found.page.evaluate("boxes.forEach(drawChart)")
        assert set(found.page.evaluate(SHOWN, "thresholds")) == {"relu3"}


def test_the_numbers_of_a_chart_are_those_of_what_is_chosen(browser: Browser, write: Callable[[str], Path]) -> None:
    tensors = FULL.tables()["tensors"]
    rows = tensors[(tensors["tensor"] == "grad_output") & (tensors["layer"] == "conv2")]
    means = rows.groupby(["rate", "epoch"])["density"].mean()
    with visit(browser, write("full")) as found:
        details = 'details.data[data-figure="gradients"]'
        found.page.click(f"{details} summary")
        for rate in (0.0, 0.99):
            found.page.locator("select[data-choose=densities]").first.select_option(f"{rate:g}")
            cells = [row.split("\t") for row in found.page.locator(f"{details} tbody tr").all_inner_texts()]
            assert len(cells) == len(FULL.layers) * FULL.epochs
            own = [cell[1:] for cell in cells if cell[0] == "conv2"]
            assert own == [[f"epoch {epoch}", f"{rate:g}", f"{means[rate, epoch]:.1%}"] for epoch in range(1, 16)]


def test_hover_texts_tell_the_means_of_the_tables(browser: Browser, write: Callable[[str], Path]) -> None:
    epochs = FULL.tables()["epochs"]
    with visit(browser, write("full")) as found:
        parts = found.page.evaluate("page.figures.accuracy.data.map(one => [one.meta.part, one.name])")
        curve = parts.index(["test", "rate 0.9"])
        scores = epochs[(epochs["rate"] == 0.9) & (epochs["epoch"] == 15)]["test_accuracy"]
        text = read_hover(found, "accuracy", curve, 14)
        assert f"{scores.mean():.2%} ± {scores.std():.2%}" in text
        assert "epoch 15, rate 0.9" in text


def test_the_page_says_the_answer_and_the_table_first(browser: Browser, write: Callable[[str], Path]) -> None:
    table = FULL.tables()["table"].set_index("rate")
    with visit(browser, write("full")) as found:
        header = found.page.inner_text("header").replace("\u00a0", " ")
        assert f"At rate 0.9, test accuracy is {100 * table.loc[0.9, 'test_accuracy']:.2f} %" in header
        assert f"convolutions run {table.loc[0.9, 'conv_speedup']:.2f} times faster" in header
        rows = found.page.locator("header table tbody tr").all_inner_texts()
        assert [row.split("\t")[0] for row in rows] == ["0", "0.7", "0.8", "0.9", "0.99"]


def test_epochs_are_filtered_by_rate_and_seed(browser: Browser, write: Callable[[str], Path]) -> None:
    with visit(browser, write("full")) as found:
        found.page.select_option('[data-table="epochs"] [data-filter=rate]', "0.9")
        found.page.select_option('[data-table="epochs"] [data-filter=seed]', "2")
        assert read_column(found, "epoch", '[data-table="epochs"]') == [str(epoch) for epoch in range(1, 16)]
        assert set(read_column(found, "rate", '[data-table="epochs"]')) == {"0.9"}
