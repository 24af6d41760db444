"""What differs between the inputs of runs, before their results are compared."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from reports.comparison_labels import label_runs
from reports.page import write_table
from reports.run_files import Run
from sim.results.run_inputs import InputDifference, list_differences

EQUAL = "The inputs are equal: workload, machine, baselines, options and version."
TITLE = "What differs between the inputs"
SHOWN_ROWS, COLUMN_CHARACTERS = 30, 22


def list_rows(found: Sequence[InputDifference], *, is_grouped: bool) -> list[list[str]]:
    """Write each field and its value in every run; grouped: a row for each value, with the runs that have it."""
    if not is_grouped:
        return [[one.field, *one.words()] for one in found]
    rows = []
    for one in found:
        words = one.words()
        for place, value in enumerate(dict.fromkeys(words)):
            runs = ", ".join(str(number) for number, other in enumerate(words, start=1) if other == value)
            rows.append([one.field if not place else "", value, runs])
    return rows


def make_inputs_table(runs: Sequence[Run], width: int) -> RenderableType:
    """Tabulate what differs between runs for a terminal of so many characters; more than 30 fields are counted.

    Where the runs have no room side by side, each value stands once, with the numbers of its runs.
    """
    found = list_differences([run.record for run in runs])
    if not found:
        return Text(EQUAL)
    labels = label_runs(runs)
    is_grouped = width < COLUMN_CHARACTERS * (len(runs) + 1)
    table = Table(title=Text(TITLE), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ["field", "value", "runs"] if is_grouped else ["field", *labels]:
        table.add_column(Text(name), overflow="fold")
    for row in list_rows(found[:SHOWN_ROWS], is_grouped=is_grouped):
        table.add_row(*[Text(cell) for cell in row])
    parts: list[RenderableType] = [table]
    if len(found) > SHOWN_ROWS:
        parts.append(
            Text(f"{len(found) - SHOWN_ROWS} more fields differ; the page that 'report' makes lists them all.")
        )
    if is_grouped:
        parts += [Text(f"{number}: {label}") for number, label in enumerate(labels, start=1)]
    return Group(*parts)


def write_inputs(runs: Sequence[Run]) -> str:
    """Write what differs between runs for a page, all of it."""
    found = list_differences([run.record for run in runs])
    if not found:
        return f"<p>{escape(EQUAL)}</p>"
    columns = ["field", *label_runs(runs)]
    return f'<div class="panel">{write_table(columns, list_rows(found, is_grouped=False), long=columns)}</div>'
