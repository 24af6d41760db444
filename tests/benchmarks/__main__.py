"""The benchmark's command line: PYTHONPATH=tests python -m benchmarks run."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from benchmarks.cases import CASES, FIT_PIXELS, QUICK_CASES, Case, fit_case
from benchmarks.changes import write_changes
from benchmarks.environment import describe_environment
from benchmarks.fit import fit_line
from benchmarks.runner import ChildError, measure_case, measure_kernels, run_session
from benchmarks.scalesim_cases import SCALESIM_CASES, run_scalesim
from benchmarks.session import Session, SessionError, read_session, write_session
from benchmarks.tables import compare_sessions, describe_kernels, describe_session, make_fit_table
from benchmarks.training import NETWORKS, describe_training, measure_training

JSON_FILE = click.Path(path_type=Path, dir_okay=False)


def tell(words: str) -> None:
    """Say what is being measured."""
    click.echo(words, err=True)


@click.group()
def main() -> None:
    """Measure how fast the simulator is."""


@main.command()
@click.option("--quick", is_flag=True, help="Small presets, once: a check of the benchmark itself.")
@click.option("--workload", "names", multiple=True, help="Only this one; may be repeated.")
@click.option("--repetitions", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "path", type=JSON_FILE, default=Path("out/bench.json"), show_default=True)
@click.option("--kernels/--no-kernels", default=True, help="Whether to measure how long kernels take to compile.")
@click.option("--scalesim", is_flag=True, help="Run SCALE-Sim beside AlexNet and ResNet-18; this takes many minutes.")
@click.option("--scalesim-python", default=sys.executable, help="The Python that SCALE-Sim is installed for.")
def run(
    quick: bool,
    names: tuple[str, ...],
    repetitions: int,
    path: Path,
    kernels: bool,
    scalesim: bool,
    scalesim_python: str,
) -> None:
    """Measure the fixed workloads, print their tables and write a JSON file."""
    cases = choose_cases(QUICK_CASES if quick else CASES, names)
    if scalesim and scalesim_python == sys.executable and importlib.util.find_spec("scalesim") is None:
        raise click.ClickException("the package scalesim is not installed here; in a checkout, pip install '.[bench]' "
                                   "installs it, and --scalesim-python names another Python that has it")  # fmt: skip
    times = 1 if quick else repetitions
    session = run_session(cases, times, tell, quick=quick, kernels=kernels)
    if scalesim:
        wanted = [case for case in SCALESIM_CASES if case in cases]
        compared = [run_scalesim(scalesim_python, case, 1, tell) for case in wanted]
        session = replace(session, others={**session.others, "scalesim": compared})
    write_session(session, path)
    click.echo(describe_session(session))
    click.echo(f"\nWritten to {path}")


def choose_cases(cases: tuple[Case, ...], names: tuple[str, ...]) -> tuple[Case, ...]:
    """Give the cases of these names, or all."""
    known = [case.name for case in cases]
    for name in names:
        if name not in known:
            raise click.ClickException(f"unknown workload '{name}'; there are {'; '.join(known)}")
    return tuple(case for case in cases if not names or case.name in names)


@main.command()
@click.argument("before", type=JSON_FILE)
@click.argument("after", type=JSON_FILE)
def compare(before: Path, after: Path) -> None:
    """Compare two JSON files of `run`."""
    click.echo(compare_sessions(read_session(before), read_session(after)))


@main.command()
@click.option("--repetitions", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "path", type=JSON_FILE, default=Path("out/bench-fit.json"), show_default=True)
def fit(repetitions: int, path: Path) -> None:
    """Fit wall time over effectual MACs to VGG-16 at several sizes."""
    measured = [measure_case(fit_case(size), repetitions, tell, references=False) for size in FIT_PIXELS]
    write_session(Session({**describe_environment(), "repetitions": repetitions}, tuple(measured)), path)
    gmacs = [one.counts["effectual_macs"] / 1e9 for one in measured]
    for kind, words in (("verified_s", "Every value verified"), ("unverified_s", "Without values")):
        medians = [summary.median for one in measured if (summary := one.summary(kind)) is not None]
        click.echo(f"{words}, wall time:\n\n{make_fit_table(measured, fit_line(gmacs, medians), kind)}\n")


@main.command()
def kernels() -> None:
    """Measure how long kernels take to compile, module by module."""
    measured: dict[str, Any] = measure_kernels(tell)
    click.echo(describe_kernels(measured))
    for module, seconds in measured["first"]["modules"].items():
        click.echo(f"{seconds:8.2f} s  {module}")


@main.command()
@click.option("--workload", "names", multiple=True, default=("resnet18", "alexnet"), show_default=True)
@click.option("--batch", "batches", type=click.IntRange(min=1), multiple=True, default=(4, 16, 64), show_default=True)
@click.option("--change", "chosen", multiple=True, help="Only this one; may be repeated.")
@click.option("--data", help="Images of a workload file, such as npz:FILE.")
@click.option("--weights", help="An .npz file of a workload file's parameters.")
def changes(
    names: tuple[str, ...], batches: tuple[int, ...], chosen: tuple[str, ...], data: str | None, weights: str | None
) -> None:
    """Write what each change since the first machine is worth, alone and together, as CSV."""
    write_changes(names, batches, chosen, data=data, weights=weights)


@main.command()
@click.option("--network", "names", multiple=True, default=NETWORKS, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--repetitions", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--json", "path", type=JSON_FILE, default=Path("out/bench-train.json"), show_default=True)
def train(names: tuple[str, ...], batch: int, threads: int, repetitions: int, path: Path) -> None:
    """Measure training iterations on the host: numpy, without and with pruning, and torch where it is installed."""
    measured = []
    for name in names:
        tell(name)
        measured.append(measure_training(name, batch, repetitions, threads))
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"environment": describe_environment(), "measured": [asdict(one) for one in measured]}
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    click.echo(describe_training(measured))
    click.echo(f"\nWritten to {path}")


if __name__ == "__main__":
    try:
        main(prog_name="benchmarks", standalone_mode=True)
    except (ChildError, SessionError) as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(1)
