"""The commands of sweeps: sweep, results, merge."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reports.completion import complete_sweeps
from reports.terminal import say
from workloads.extras import import_extra

if TYPE_CHECKING:
    import pandas as pd

    from sim.sweep.progress import SweepProgress

EXIT_FAILED_POINTS = 1
# Where a command tells, in the context it shares with the group, what a signal leaves behind.
LEFT_BEHIND = "sparsetrain.left_behind"
SHOWN_ROWS = 40
SHOWN_METRICS = ("cycles", "time_ms", "energy_pj", "area_mm2", "speedup", "energy_ratio")


@click.command()
@click.argument("sweep_file", metavar="SWEEP", shell_complete=complete_sweeps)
@click.option("--store", type=click.Path(path_type=Path), metavar="FILE", help="Store  [default: out/NAME.sqlite]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("--scheduler", metavar="ADDRESS", help="Run the points on this Dask cluster, such as tcp://HOST:8786.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the whole space, count its points, estimate the time from the store; run nothing.",
)
@click.option("--retry-failed", "retries_failed", is_flag=True, help="Run failed points again.")
@click.option("--timeout", "timeout_s", type=float, metavar="SECONDS",
              help="Limit of one point, instead of the file's.")  # fmt: skip
@click.option("--memory", "memory_mb", type=int, metavar="MB",
              help="Limit of one point's process, instead of the file's.")  # fmt: skip
@click.option("--no-sharing", is_flag=True, help="Let no point use what another one computed; for comparison.")
@click.pass_context
def sweep(
    ctx: click.Context, /, sweep_file: str, store: Path | None, dry_run: bool, no_sharing: bool, **options: Any
) -> None:
    """Run every point of SWEEP, a YAML file or a preset's name, that its store does not hold yet.

    Interrupted or killed, the same command goes on. A point that fails is kept with its error and ends the command
    with exit code 1; one that no tiling fits is infeasible, which is a result.
    """
    from reports.progress_bars import SweepBar
    from sim.sweep.space import load_space
    from sim.sweep.sweep import SweepOptions, run_sweep

    chosen = SweepOptions(shares=not no_sharing, **options)
    space = load_space(sweep_file)
    path = store or Path("out") / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', space.form.name)}.sqlite"
    if dry_run:
        print_estimate(space, path, chosen.jobs)
        return
    ctx.meta[LEFT_BEHIND] = f"what was finished is in {path}, and the same command goes on"
    with SweepBar(chosen.jobs) as bar:
        progress = run_sweep(space, path, chosen, on_progress=bar.update)
    print_progress(progress, path, space.form.search is not None)
    if progress.failed:
        ctx.exit(EXIT_FAILED_POINTS)


def print_estimate(space: Any, path: Path, jobs: int) -> None:
    """Print what a sweep would take."""
    from reports.progress_lines import format_seconds
    from sim.sweep.sweep import estimate_sweep

    estimate = estimate_sweep(space, path, jobs)
    words = f"{space.document.label}: valid; {estimate.size.points:,} points"
    if space.form.search is not None:
        words += f" at most ({space.form.search.sampler} search)"
    if estimate.size.left_out:
        words += f", {estimate.size.left_out:,} more left out by constraints and budgets"
    say(words)
    if estimate.seconds is None:
        say(f"No estimate of the time: {path} holds no earlier point of these workloads, and a dry run runs none.")
        return
    say(
        f"Estimated time with --jobs {jobs}: {format_seconds(estimate.seconds)} for the {estimate.left:,} points that "
        f"{path} does not hold (from the mean of {estimate.evaluations:,} earlier evaluations in it)"
    )


def print_progress(progress: SweepProgress, path: Path, is_search: bool) -> None:
    """Say how a sweep ended."""
    words = f"{progress.done:,} done, {progress.infeasible:,} infeasible, {progress.failed:,} failed"
    before = f"; {progress.found:,} were there already" if progress.found and not is_search else ""
    twice = f"; {progress.repeated:,} the same as others" if progress.repeated and not is_search else ""
    click.echo(f"Points: {words}{before}{twice}")
    if progress.failed:
        click.echo("Failed points are run again with --retry-failed.")
    say(f"Store: {path}")


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE...")
@click.option(
    "--where", metavar="CONDITION", help="Only points that meet it, such as 'cycles < 1e6 and array.groups >= 28'."
)
@click.option("--columns", metavar="NAMES", help="Columns to show, separated by commas.")
@click.option("--sort", metavar="NAME", help="Sort by this column, least first.")
@click.option("--pareto", metavar="NAMES", is_flag=False, flag_value="", help="Only the Pareto front of these metrics.")
@click.option(
    "--sensitivity", is_flag=True, help="Show which parameter moves cycles and energy how much, not the points."
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write a CSV file.")
@click.option(
    "--parquet", "parquet_file", type=click.Path(path_type=Path), metavar="FILE", help="Write a Parquet file."
)
@click.option("--wide", is_flag=True, help="Show all columns side by side, however narrow the terminal is.")
def results(
    stores: tuple[Path, ...], csv_file: Path | None, parquet_file: Path | None, wide: bool, **choice: Any
) -> None:
    """Show the points of one STORE or several, or write them to a file."""
    from sim.sweep.reading import load_sweep
    from workloads.output_files import check_output

    for path, option in ((csv_file, "--csv"), (parquet_file, "--parquet")):
        if path is not None:
            check_output(path, option)
    frame = load_sweep(stores)
    paths = list(frame.attrs["paths"])
    table = choose_points(frame, **choice)
    if csv_file is not None or parquet_file is not None:
        write_results(table, csv_file, parquet_file)
        return
    if choice["columns"] is None and not choice["sensitivity"]:
        measured = (name for name in SHOWN_METRICS if name in table and table[name].notna().any())
        table = table[list(dict.fromkeys(["workload", *paths, "status", *measured]))]
    print_frame(table, wide=wide)


def choose_points(
    frame: pd.DataFrame, where: str | None, columns: str | None, sort: str | None, pareto: str | None, sensitivity: bool
) -> pd.DataFrame:
    """Choose rows and columns of a sweep's points, or tabulate what its parameters move instead.

    Raises:
        InputError: a condition or a name does not fit.
    """
    from sim.sweep.analysis import measure_sensitivity, select_pareto, tabulate_sensitivity
    from sim.sweep.reading import choose_columns, choose_objectives, filter_points, sort_points

    paths, objectives = list(frame.attrs["paths"]), list(frame.attrs["objectives"])
    if where is not None:
        frame = filter_points(frame, where)
    if pareto is not None:
        frame = select_pareto(frame, choose_objectives(frame, split_names(pareto) if pareto else objectives))
    if sort is not None:
        frame = sort_points(frame, sort)
    if sensitivity:
        frame = tabulate_sensitivity(measure_sensitivity(frame, paths, objectives))
    return frame if columns is None else choose_columns(frame, split_names(columns))


def split_names(text: str) -> list[str]:
    """Cut names at commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def print_frame(frame: pd.DataFrame, *, wide: bool) -> None:
    """Print a table, its first rows if there are many; columns that do not fit follow in blocks below."""
    from reports.fitted_tables import Column, Grid, Kind, make_console, print_blocks, screen_width

    kinds = [Kind.NAME if frame[name].dtype == object else Kind.NUMBER for name in frame.columns]
    grid = Grid([Column(str(name), kind) for name, kind in zip(frame.columns, kinds, strict=True)])
    for row in frame.head(SHOWN_ROWS).itertuples(index=False):
        grid.add([format_value(value) for value in row])
    print_blocks(make_console(), grid, 1, screen_width(wide=wide))
    if len(frame) > SHOWN_ROWS:
        click.echo(f"{SHOWN_ROWS} of {len(frame):,} rows; --csv FILE writes all of them")


def format_value(value: Any) -> str:
    """Write a cell: whole numbers with separators, others with six digits, what is missing as a dash."""
    import pandas as pd

    if value is None or value is pd.NA or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if hasattr(value, "bit_length") and not isinstance(value, bool):
        return f"{value:,d}"
    # A reason may repeat what a library said, with whatever characters.
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))


def write_results(frame: pd.DataFrame, csv_file: Path | None, parquet_file: Path | None) -> None:
    """Write a table to files, each whole or not at all.

    Raises:
        InputError: Parquet is asked for, and pyarrow is not installed.
    """
    from reports.standard_output import flush_output
    from workloads.output_files import OutputSet, check_output

    if parquet_file is not None:
        import_extra("pyarrow", "parquet", "--parquet")
    with OutputSet() as outputs:
        if csv_file is not None:
            target = check_output(csv_file, "--csv")
            outputs.write(target, lambda file: frame.to_csv(file, index=False, lineterminator="\n"))
        if parquet_file is not None:
            plain = frame.copy()
            plain.attrs = {}
            outputs.write(check_output(parquet_file, "--parquet"), lambda file: plain.to_parquet(file, index=False))
        for path in (csv_file, parquet_file):
            if path is not None:
                is_apart = path.is_file() or not path.exists()
                say(f"{len(frame):,} rows, {len(frame.columns)} columns: {path}", err=not is_apart)
        flush_output()
        outputs.commit()


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE...")
@click.option(
    "--into", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Store to add to; may be new."
)
def merge(stores: tuple[Path, ...], into: Path) -> None:
    """Add the points of every STORE to one store; a point that is there already is kept once."""
    from sim.sweep.store import Store

    with ExitStack() as stack:
        sources = [stack.enter_context(Store.open(path)) for path in stores]
        target = stack.enter_context(Store.open(into, creates=True))
        for source in sources:
            added = target.merge(source)
            say(f"{source.path}: {added:,} points added")
    say(f"Store: {into}")


SWEEP_COMMANDS = (sweep, results, merge)
