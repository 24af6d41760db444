"""A self-contained page: markup, styles, charts, tables and plotly in one file that asks for nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from sim.version import MODEL_VERSION
from workloads.output_files import OutputSet, check_output

PAGE_OPTION = "--output"
TEMPLATES = files("reports") / "templates"
FACTORY_START = '(typeof self !== "undefined" ? self : this, () => {\n'
FACTORY_END = "return Plotly;\n}));"
QUANTITY = re.compile(r"-|[\d.,]+( ±[\d.,]+)?(x| ?[a-zA-Z]{1,3}| %)?")


def build_page(
    title: str, header: str, parts: Sequence[tuple[str, str, str]], figures: Mapping[str, go.Figure], **data: Any
) -> str:
    """Put a page together.

    Args:
        header: Markup, in which every foreign word is escaped already; a part is (anchor, heading, markup).
        parts: Markup, in which every foreign word is escaped already; a part is (anchor, heading, markup).
        figures: What the boxes that `chart_box` made show.
        data: What else the scripts read.
    """
    links = "".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in parts)
    main = "\n".join(
        f'<section id="{anchor}"><h2>{escape(heading)}</h2>\n{markup}\n</section>' for anchor, heading, markup in parts
    )
    drawn = {name: reduce_figure(figure) for name, figure in figures.items()}
    return Template(read_template("page.html")).substitute(
        title=escape(title),
        version=escape(MODEL_VERSION),
        css=read_template("page.css"),
        header=header,
        links=links,
        main=main,
        data=write_json({"figures": drawn, **data}),
        plotly=read_plotly(),
        tables=read_template("table.js"),
        charts=read_template("charts.js"),
    )


def read_template(name: str) -> str:
    """Read a file that lies beside the code."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def read_plotly() -> str:
    """Give plotly's script, its one large function in parentheses where its wrapping is the known one.

    Browsers take these for a sign that the function runs at once, and parse it once instead of twice.
    """
    script: str = get_plotlyjs()
    if script.count(FACTORY_START) == script.count(FACTORY_END) == 1:
        script = script.replace(FACTORY_START, FACTORY_START.replace("() =>", "(() =>"))
        script = script.replace(FACTORY_END, FACTORY_END.replace("}));", "})));"))
    return script


def reduce_figure(figure: go.Figure) -> dict[str, Any]:
    """Give a figure as plain data, without the template that the page's own colours replace."""
    plain: dict[str, Any] = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    return plain


def write_json(data: Mapping[str, Any]) -> str:
    """Write data that stands inside a script element: nothing in it can end that element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return (
        text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )


def chart_box(name: str, title: str, caption: str, *, is_wide: bool, above: str = "") -> str:
    """Make the box of a figure: its question, its place, its caption, and its numbers as a table."""
    return (
        f'<figure class="{"wide" if is_wide else ""}"><h3>{escape(title)}</h3>{above}'
        f'<div class="scroll"><div class="chart" data-figure="{name}" role="img" '
        f'aria-label="{escape(title + " " + caption)}"></div></div>'
        f"<figcaption>{escape(caption)}</figcaption>"
        f'<details class="data" data-figure="{name}"><summary>Numbers of this chart</summary></details></figure>'
    )


def table_box(name: str, caption: str, filters: Mapping[str, str], file: str, example: str) -> str:
    """Make the box of a table that the page's script fills, sorts, filters and offers as a file.

    Args:
        name: Of the page's data for it.
        filters: A column to choose a value of, for each label.
        example: Words to search; nothing for a table of numbers alone.
    """
    choices = "".join(
        f'<label>{escape(label)}<select data-filter="{escape(column)}"><option value="">all</option></select></label>'
        for label, column in filters.items()
    )
    search = f'<label>Search words<input type="search" data-filter="*" placeholder="{escape(example)}"></label>'
    return (
        f'<div class="panel table" data-table="{name}"><div class="controls">{search if example else ""}{choices}'
        f'<button type="button" class="download">Download {escape(file)}</button></div>'
        '<details><summary>Columns</summary><div class="columns"></div></details>'
        f'<div class="table-scroll"><table><caption hidden>{escape(caption)}</caption></table></div>'
        '<p class="count" aria-live="polite"></p><button type="button" class="more">Show all rows</button></div>'
    )


def write_table(columns: Sequence[str], rows: Sequence[Sequence[object]], long: Sequence[str] = ()) -> str:
    """Write a table; numbers stand right, words left, those of `long` columns are wrapped."""
    numeric = [all(is_quantity(row[place]) for row in rows) for place in range(len(columns))]
    names = ["" if is_number else "word" for is_number in numeric]
    names = [f"{name} long".strip() if column in long else name for name, column in zip(names, columns, strict=True)]
    head = "".join(
        f'<th scope="col" class="{name}">{escape(column)}</th>' for name, column in zip(names, columns, strict=True)
    )
    lines = (
        "".join(f'<td class="{name}">{write_cell(cell)}</td>' for name, cell in zip(names, row, strict=True))
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="table-scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def is_quantity(cell: object) -> bool:
    """Whether a cell is a number, maybe with what it may be off by and its unit, in words."""
    return isinstance(cell, int | float) or QUANTITY.fullmatch(str(cell)) is not None


def write_cell(cell: object) -> str:
    """Write a cell: whole numbers with separators, others with six digits and without an exponent."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return escape(str(cell))
    if isinstance(cell, int):
        return f"{cell:,d}"
    return f"{cell:,.6g}" if abs(cell) < 1e6 else f"{cell:,.0f}"


def write_page(path: Path, page: str, tell: Callable[[], None] = lambda: None) -> None:
    """Write a page whole, or leave what was there; `tell` is called before it is put in place.

    Raises:
        InputError: it cannot be written.
    """
    with OutputSet() as outputs:
        outputs.write(check_output(path, PAGE_OPTION), lambda temporary: _write_text(temporary, page))
        tell()
        outputs.commit()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
