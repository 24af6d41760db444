"""The commands that read finished runs: report, compare, explain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reports.completion import complete_run_layers, complete_run_machines, complete_run_steps, complete_runs
from reports.terminal import say
from workloads.errors import InputError

if TYPE_CHECKING:
    from reports.progress_bars import PageBar
    from reports.run_files import Run
    from sim.results.trace_file import Window


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=complete_runs)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="PAGE.html", required=True, help="File to write."
)
@click.option(
    "--baseline",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Run that the others are compared with; the first by default.",
)
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE.json.gz",
              help="Show a timeline of the events that 'simulate --trace' wrote.")  # fmt: skip
@click.option("--trace-window", default=":", metavar="START:END", help="Cycles of the timeline.")
def report(runs: tuple[str, ...], output: Path, baseline: str | None, trace: Path | None, trace_window: str) -> None:
    """Write a self-contained HTML page about a RUN, or one that compares several, or about the STOREs of sweeps.

    A RUN is a directory that 'sparsetrain simulate' wrote, a STORE a file that 'sparsetrain sweep' wrote. The folder of
    a 'sparsetrain train' has a page too.
    """
    # Pandas and plotly take long to import, and other commands do without them.
    from reports.page import PAGE_OPTION
    from reports.progress_bars import PageBar
    from reports.run_files import load_run
    from reports.sweep_page import build_sweep_page, is_store
    from reports.training_page import is_study, read_page
    from sim.results.trace_file import parse_window
    from workloads.output_files import check_output

    check_output(output, PAGE_OPTION)
    is_sweep, has_study = all(is_store(Path(name)) for name in runs), any(is_study(Path(name)) for name in runs)
    with PageBar(stages=2 if is_sweep or has_study else 2 + len(runs) + (trace is not None)) as bar:
        if is_sweep:
            bar.begin("drawing the sweep")
            page = build_sweep_page([Path(name) for name in runs])
        elif has_study:
            if len(runs) > 1 or baseline is not None or trace is not None:
                raise InputError("the page of trainings is of one folder, without --baseline and --trace")
            bar.begin("drawing the trainings")
            page = read_page(Path(runs[0]))
        else:
            loaded = []
            for name in runs:
                bar.begin(f"reading {name}")
                loaded.append(load_run(name))
            page = build_page(loaded, baseline, trace, parse_window(trace_window), bar)
        bar.begin(f"writing {output}")
        put_page(output, page, bar.stop)


def put_page(output: Path, page: str, before_words: Callable[[], None]) -> None:
    """Write a page and say how large it is; into a pipe or a device goes the page alone."""
    from reports.page import write_page
    from reports.standard_output import flush_output

    def tell() -> None:
        before_words()
        is_apart = output.is_file() or not output.exists()
        say(f"Page: {output} ({len(page.encode()) / 1e6:.1f} MB)", err=not is_apart)
        flush_output()

    write_page(output, page, tell)


def build_page(loaded: list[Run], baseline: str | None, trace: Path | None, window: Window, bar: PageBar) -> str:
    """Build the page of one run or of several.

    Raises:
        InputError: what was given belongs to the other kind of page, or the trace cannot be read.
    """
    from reports.comparison import build_comparison_page
    from reports.run_page import build_run_page
    from reports.timeline import plot_timeline, read_timeline

    if len(loaded) > 1:
        if trace is not None:
            raise InputError("--trace shows the timeline of one run; give one RUN")
        bar.begin("drawing the comparison")
        return build_comparison_page(loaded, baseline)
    if baseline is not None:
        raise InputError("--baseline chooses among several runs; only one is given")
    timeline = None
    if trace is not None:
        bar.begin(f"reading {trace}")
        timeline = plot_timeline(read_timeline(trace, window, loaded[0]), window)
    bar.begin("drawing the charts")
    return build_run_page(loaded[0], timeline)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", shell_complete=complete_runs)
@click.option(
    "--baseline",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Run that the others are compared with; the first by default.",
)
@click.option("--measure", type=click.Choice(["cycles", "energy_pj"]), default="cycles", show_default=True,
              help="What to compare.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show every column side by side, however narrow the terminal is.")
def compare(runs: tuple[str, ...], baseline: str | None, measure: str, wide: bool) -> None:
    """Print what differs between the inputs of two or more RUNs, then their steps and totals."""
    from reports.difference_tables import make_differences_grid, make_totals_grid
    from reports.fitted_tables import make_console, print_blocks, print_grid, screen_width, tell_left_out
    from reports.input_differences import make_inputs_table
    from reports.run_files import load_run

    if len(runs) < 2:
        raise InputError("compare needs two or more runs")
    loaded = [load_run(name) for name in runs]
    console, width = make_console(), screen_width(wide=wide)
    console.print(make_inputs_table(loaded, width), width=width)
    print_blocks(console, make_differences_grid(loaded, baseline, measure), 2, width)
    console.print()
    left_out = print_grid(console, make_totals_grid(loaded, baseline), width)
    tell_left_out(console, left_out, width)


@click.command()
@click.argument("run", shell_complete=complete_runs)
@click.argument("layer", shell_complete=complete_run_layers)
@click.argument("step", required=False, shell_complete=complete_run_steps)
@click.option(
    "--machine",
    metavar="NAME",
    shell_complete=complete_run_machines,
    help="Machine of the run; the simulated one by default.",
)
@click.option("--sources", is_flag=True, help="Also tell where the price of each action comes from.")
@click.option("--wide", is_flag=True, help="Show every column, however narrow the terminal is.")
def explain(run: str, layer: str, step: str | None, machine: str | None, sources: bool, wide: bool) -> None:
    """Say what bounds a LAYER of a RUN and what would help, then where its cycles and energy go; one STEP or all."""
    from reports.explanation import explain_layer
    from reports.fitted_tables import make_console, print_grid, print_words, screen_width, tell_left_out
    from reports.run_files import load_run

    console, width = make_console(), screen_width(wide=wide)
    left_out: list[str] = []
    # All of it is made before any is printed: a file that it needs may be refused on the way.
    for part in list(explain_layer(load_run(run), layer, step, machine, has_sources=sources)):
        if isinstance(part, str):
            print_words(console, part, width)
            continue
        console.print()
        left_out += print_grid(console, part, width)
        console.print()
    tell_left_out(console, left_out, width)
