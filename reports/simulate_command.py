"""The command that simulates a workload."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from reports.completion import (
    complete_architectures,
    complete_baselines,
    complete_datasets,
    complete_engines,
    complete_files,
    complete_layers,
    complete_operands,
    complete_overrides,
    complete_samples,
    complete_steps,
    complete_updates,
    complete_weights,
    complete_workloads,
)
from workloads.words import make_sentence

if TYPE_CHECKING:
    from sim.iteration.request import SimulationRequest
    from sim.iteration.run_result import RunResult

EXIT_MISMATCH = 1


@click.command()
@click.argument("workload", shell_complete=complete_workloads)
@click.option("--arch", default="sparsetrain", show_default=True, metavar="NAME|FILE",
              shell_complete=complete_architectures, help="Architecture preset or YAML file.")  # fmt: skip
@click.option("--baseline", "baselines", multiple=True, default=("skipping-off",), metavar="NAME|FILE|POLICY|none",
              shell_complete=complete_baselines,
              help="Machine to compare with, or a policy: natural, mask, pruning@RATE; may be repeated, or separated "
              "by commas. The default, skipping-off, is the same machine with skipping off.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=complete_overrides,
              help="Override a field of the architecture, such as array.groups=28; may be repeated.")  # fmt: skip
@click.option("--steps", default="forward,gta,gtw", show_default=True, shell_complete=complete_steps,
              help="Steps to simulate, separated by commas.")  # fmt: skip
@click.option("--layers", default="*", show_default=True, metavar="GLOB", shell_complete=complete_layers,
              help="Only layers whose name matches.")  # fmt: skip
@click.option("--batch", type=int, help="Images in the batch, instead of the workload's.")
@click.option("--seed", type=int, help="Seed of the operands, instead of the workload's.")
@click.option("--operands", metavar="synthetic|profile", shell_complete=complete_operands,
              help="Random tensors as operands: half of them zero, or with the shipped profile's zeros.")  # fmt: skip
@click.option("--data", metavar="KIND:PATH", shell_complete=complete_datasets,
              help="Other images for the host; KIND is cifar10, cifar100, idx, images, npz, or left away.")  # fmt: skip
@click.option("--weights", metavar="random|trained|FILE.npz", shell_complete=complete_weights,
              help="Initial weights for operands of the host; trained are those that ship for the preset.")  # fmt: skip
@click.option("--no-verify", is_flag=True, help="Count cycles only; compute and compare no values.")
@click.option("--engine", default="compiled", show_default=True, metavar="compiled|simpy",
              shell_complete=complete_engines,
              help="What executes the events; simpy is the definition, both give the same cycles.")  # fmt: skip
@click.option("--update", metavar="none|sgd|sgd_momentum|adam|adamw", shell_complete=complete_updates,
              help="Charge the update of the parameters too, in rows and totals of its own.")  # fmt: skip
@click.option("--sample", metavar="FRACTION|auto", shell_complete=complete_samples,
              help="Simulate only so many of each step's tiles, and estimate the rest; auto: as few as keep total "
              "cycles within 1 %.")  # fmt: skip
@click.option("--tiling", metavar="FILE", shell_complete=complete_files,
              help="Tilings of chosen steps, in YAML: the lines that explain prints, below tilings.")  # fmt: skip
@click.option("--jobs", type=int, default=1, show_default=True, help="Worker processes.")
@click.option("--memory-limit", metavar="SIZE",
              help="Bytes, or such as 512MiB: what the host's pass keeps beyond is put into files.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Directory for run.json and steps.csv  [default: out/WORKLOAD-ARCH-CHANGES]")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a run of other inputs in that directory, too.")
@click.option("--save-outputs", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Write <layer>/forward, <layer>/gta, <layer>/gtw as the machine computed them.")  # fmt: skip
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE.json.gz",
              help="Write the machine's events in the Chrome trace format, which Perfetto opens.")  # fmt: skip
@click.option("--trace-window", default=":", metavar="START:END", help="Cycles of the iteration to trace.")
@click.option("--wide", is_flag=True, help="Show every column of the table, however narrow the terminal is.")
@click.pass_context
def simulate(ctx: click.Context, /, workload: str, arch: str, wide: bool, **options: Any) -> None:
    """Simulate one training iteration of WORKLOAD, a preset's name or a file: YAML, or what import takes."""
    from reports.fitted_tables import screen_width
    from reports.progress_bars import RunBar
    from reports.standard_output import flush_output
    from sim.iteration.simulation import Listeners, run_request

    request = read_request(workload, arch, options)

    def show(result: RunResult) -> None:
        bar.stop()
        print_run(result, screen_width(wide=wide))
        flush_output()

    def warn(words: str) -> None:
        click.echo(f"sparsetrain: {make_sentence(words)}", err=True)

    with RunBar() as bar:
        result = run_request(request, Listeners(bar.update, warn, show))
    if not result.is_correct:
        for failure in result.failures:
            click.echo(f"sparsetrain: {failure}", err=True)
        ctx.exit(EXIT_MISMATCH)


def read_request(workload: str, arch: str, options: dict[str, Any]) -> SimulationRequest:
    """Make a run's request of the command's options; where no directory is given, it is named by what is asked for.

    Raises:
        InputError: an option cannot be used.
    """
    from reports.run_folder import name_folder
    from sim.architecture import load_architecture
    from sim.iteration.options import RunOptions, make_request
    from sim.iteration.policies import parse_baselines
    from sim.results.trace_file import parse_window
    from workloads.workload import load_workload

    # The folder is named by how the batch differs from the file's, which is none where the file leaves it open.
    base = load_workload(workload, open_batch=options["batch"])
    machine = load_architecture(arch, options.pop("overrides"))
    baselines = [str(name) for name in parse_baselines(list(options.pop("baselines")))]
    steps = tuple(part.strip() for part in options.pop("steps").split(",") if part.strip())
    verifies, window = not options.pop("no_verify"), parse_window(options.pop("trace_window"))
    chosen = {**options, "baseline": baselines, "steps": steps, "verify": verifies, "trace_window": window}
    request = make_request(base, machine, cast(RunOptions, chosen))
    directory = options["out"] or name_folder(base, request, baselines, operands=options["operands"])
    return replace(request, outputs=replace(request.outputs, directory=directory))


def print_run(result: RunResult, width: int) -> None:
    """Print the closing tables and sentences of a run, for a terminal of this width."""
    from reports.ablation import make_ablation_grid, make_densities_grid
    from reports.fitted_tables import make_console, print_blocks, print_grid, print_words, tell_left_out
    from reports.pruning_grid import make_pruned_grid
    from reports.steps_table import make_steps_grid
    from reports.tables import describe_run

    console = make_console()
    left_out = print_grid(console, make_steps_grid(result), width)
    if len(result.machines) > 2:
        console.print()
        left_out += print_grid(console, make_ablation_grid(result), width)
        console.print()
        print_blocks(console, make_densities_grid(result), 3, width)
    if (pruned := make_pruned_grid(result)) is not None:
        console.print()
        left_out += print_grid(console, pruned, width)
    console.print()
    tell_left_out(console, left_out, width)
    for line in describe_run(result):
        print_words(console, line, width)
    if result.directory is not None:
        console.print(
            f"Results: {result.directory}/steps.csv, {result.directory}/run.json", markup=False, soft_wrap=True
        )
