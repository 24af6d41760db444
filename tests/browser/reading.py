"""What a reader does with an open page: wait, read a column of a table, hover over a mark."""

from __future__ import annotations

from browser.visit import PATIENCE_MS, Visit

FIRST_STEPS = '[data-table="steps"]'
HOVER = """async ([name, curve, point]) => {
  const box = document.querySelector(`[data-figure=${name}]`);
  Plotly.Fx.unhover(box);
  // Plotly draws no two hover labels within 50 ms.
  await new Promise(resolve => setTimeout(resolve, 80));
  const trace = box._fullData[curve];
  Plotly.Fx.hover(box, [{ curveNumber: curve, pointNumber: point }], trace.xaxis + trace.yaxis);
  return [...box.querySelectorAll('.hoverlayer .hovertext tspan, .hoverlayer .hovertext text')]
    .map(part => part.textContent).join('|');
}"""


def wait_until(found: Visit, condition: str) -> None:
    """Wait for a condition; the page's own policy forbids the browser to poll for a text of it."""
    for _ in range(PATIENCE_MS // 100):
        if found.page.evaluate(condition):
            # A second click within 300 ms would be a double click.
            found.page.wait_for_timeout(500)
            return
        found.page.wait_for_timeout(100)
    raise AssertionError(f"never true: {condition}")


def read_column(found: Visit, name: str, table: str = FIRST_STEPS) -> list[str]:
    """Give the exact texts of a shown column."""
    heads = found.page.eval_on_selector_all(f"{table} thead button", "heads => heads.map(head => head.textContent)")
    place = heads.index(name) + 1
    cells = f"{table} .table-scroll tbody td:nth-child({place})"
    return [str(text) for text in found.page.eval_on_selector_all(cells, "all => all.map(cell => cell.textContent)")]


def read_hover(found: Visit, figure: str, curve: int, point: int) -> str:
    """Give the words that appear beside a mark."""
    text = str(found.page.evaluate(HOVER, [figure, curve, point]))
    return text.replace("|", " ").replace("  ", " ")
