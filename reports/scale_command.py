"""The command that lets several chips train together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reports.completion import complete_runs
from workloads.errors import InputError

if TYPE_CHECKING:
    from reports.run_files import Run
    from sim.scaling.scaling import ScalingResult

GIVEN_CHARACTERS = 40


@click.command()
@click.argument("run", shell_complete=complete_runs)
@click.option("--chips", default="1,2,4,8,16,32,64", show_default=True, metavar="N,N,...",
              help="Numbers of chips, from 1 to 64.")  # fmt: skip
@click.option("--topology", type=click.Choice(["ring", "tree"]), default="ring", show_default=True,
              help="How the chips are joined.")  # fmt: skip
@click.option("--link-bytes-per-cycle", type=float, default=16.0, show_default=True, metavar="BYTES",
              help="Of each link and direction, in cycles of the chips' clock (assumed).")  # fmt: skip
@click.option("--link-latency-cycles", type=int, default=800, show_default=True, metavar="CYCLES",
              help="From the end of a transfer to its arrival (assumed).")  # fmt: skip
@click.option("--gradients", type=click.Choice(["dense", "masked"]), default="dense", show_default=True,
              help="What is summed: all gradients of weights, or those of weights that a mask lets live.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PAGE.html", help="Write a page, too.")
@click.option("--csv", "table", type=click.Path(path_type=Path), metavar="FILE.csv", help="Write the table as a file.")
@click.option("--wide", is_flag=True, help="Show every column, however narrow the terminal is.")
def scale(
    run: str, chips: str, output: Path | None, table: Path | None, wide: bool, gradients: str, **links: str | float
) -> None:
    """Let 1 to 64 chips train together, each on a share of the batch like that of a RUN.

    Gradients of weights are summed over a ring or a tree of links, each layer's as soon as its GTW has ended, beside
    the rest of the backward pass. A RUN is a directory that 'sparsetrain simulate' wrote, of all layers and steps.
    """
    from reports.fitted_tables import make_console, print_grid, screen_width, tell_left_out
    from reports.run_files import load_run
    from reports.scaling_page import CSV_OPTION, build_scaling_page, make_scaling_grid, write_table_file
    from workloads.output_files import check_output

    for path, option in ((output, "--output"), (table, CSV_OPTION)):
        if path is not None:
            check_output(path, option)
    loaded = load_run(run)
    found = scale_loaded(loaded, parse_chips(chips), gradients, links)
    if output is not None:
        from reports.report_commands import put_page

        put_page(output, build_scaling_page(loaded, found), lambda: None)
    if table is not None:
        write_table_file(table, found)
    console, width = make_console(), screen_width(wide=wide)
    left_out = print_grid(console, make_scaling_grid(found), width)
    tell_left_out(console, left_out, width)


def scale_loaded(run: Run, chips: tuple[int, ...], gradients: str, links: dict[str, str | float]) -> ScalingResult:
    """Scale a run that was read.

    Args:
        links: The options of the same names.
    """
    from sim.scaling.interconnect import Interconnect, Topology
    from sim.scaling.scaling import scale_run
    from sim.scaling.share import ShareSource, list_rows

    interconnect = Interconnect(
        Topology(str(links["topology"])), float(links["link_bytes_per_cycle"]), int(links["link_latency_cycles"])
    )
    return scale_run(ShareSource(str(run.path), run.record, list_rows(run.frame)), chips, interconnect, gradients)


def parse_chips(words: str) -> tuple[int, ...]:
    """Read numbers of chips.

    Raises:
        InputError: they are no whole numbers with commas between them.
    """
    parts = [part.strip() for part in words.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts):
        shown = words if len(words) <= GIVEN_CHARACTERS else f"{words[:GIVEN_CHARACTERS]}..."
        raise InputError(f"--chips must be whole numbers from 1 to 64 with commas between them, got '{shown}'")
    return tuple(int(part) for part in parts)
