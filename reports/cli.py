"""The command `sparsetrain`: only here is anything printed and the process ended."""

from __future__ import annotations

import errno
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reports.report_commands import compare, explain, report
from reports.sweep_commands import SWEEP_COMMANDS
from sim.version import MODEL_VERSION
from workloads.errors import InputError

# The simulator takes seconds to import, so a command imports what it needs in its own body.
if TYPE_CHECKING:
    from sim.run import RunResult

EXIT_MISMATCH, EXIT_BAD_INPUT = 1, 2


class Command(click.Group):
    """A group of commands; what was given and cannot be used ends in one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; print the one sentence of bad input, bad usage, or a file that cannot be read or written."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            sentence = str(error)
        except click.UsageError as error:
            own = " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))
            path = own if error.ctx is None else error.ctx.command_path
            sentence = f"{' '.join(error.format_message().split())} (see '{path} --help')"
        except OSError as error:
            if error.errno in (None, errno.EPIPE):
                raise
            from sim.architecture import shorten_line

            sentence = f"{shorten_line(str(error.filename))}: {error.strerror}"
        click.echo(f"sparsetrain: {sentence}", err=True)
        raise click.exceptions.Exit(EXIT_BAD_INPUT)


@click.group(
    "sparsetrain", cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(MODEL_VERSION, prog_name="sparsetrain")
def main() -> None:
    """Simulate CNN training on a sparse accelerator, cycle by cycle, and verify every value.

    \b
    A first result:     sparsetrain simulate lenet5
    What there is:      sparsetrain list
    A preset's YAML:    sparsetrain show lenet5
    Your own network:   sparsetrain show lenet5 > mine.yaml; sparsetrain simulate mine.yaml

    Bad input ends with one sentence and exit code 2, a value that is not the reference's with exit code 1.
    """


def complete_workloads(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of workload presets to the shell."""
    from workloads.presets import list_presets

    return [name for name in list_presets() if name.startswith(incomplete)]


def complete_architectures(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of architecture presets to the shell."""
    from sim.architecture import list_architectures

    return [preset.name for preset in list_architectures() if preset.name.startswith(incomplete)]


@main.command()
@click.argument("workload", shell_complete=complete_workloads)
@click.option("--arch", default="sparsetrain", show_default=True, metavar="NAME|FILE",
              shell_complete=complete_architectures, help="Architecture preset or YAML file.")  # fmt: skip
@click.option("--baseline", "baselines", multiple=True, default=("skipping-off",), metavar="NAME|FILE|POLICY|none",
              shell_complete=complete_architectures,
              help="Machine to compare with, or a policy: natural, mask, pruning@RATE; may be repeated, or separated "
              "by commas. The default, skipping-off, is the same machine with skipping off.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Override a field of the architecture, such as array.groups=28; may be repeated.")  # fmt: skip
@click.option("--steps", default="forward,gta,gtw", show_default=True, help="Steps to simulate, separated by commas.")
@click.option("--layers", default="*", show_default=True, metavar="GLOB", help="Only layers whose name matches.")
@click.option("--batch", type=int, help="Images in the batch, instead of the workload's.")
@click.option("--seed", type=int, help="Seed of the operands, instead of the workload's.")
@click.option("--operands", metavar="synthetic|profile",
              help="Random tensors as operands: half of them zero, or with the shipped profile's zeros.")  # fmt: skip
@click.option("--data", metavar="KIND:PATH",
              help="Other images for the host; KIND is cifar10, cifar100, idx, images, npz, or left away.")  # fmt: skip
@click.option("--weights", metavar="FILE.npz", help="Initial weights for operands of the host.")
@click.option("--no-verify", is_flag=True, help="Count cycles only; compute and compare no values.")
@click.option("--engine", default="compiled", show_default=True, metavar="compiled|simpy",
              help="What executes the events; simpy is the definition, both give the same cycles.")  # fmt: skip
@click.option("--sample", metavar="FRACTION|auto",
              help="Simulate only so many of each step's tiles, and estimate the rest; auto: as few as keep total "
              "cycles within 1 %.")  # fmt: skip
@click.option("--jobs", type=int, default=1, show_default=True, help="Worker processes.")
@click.option("--memory-limit", metavar="SIZE",
              help="Bytes, or such as 512MiB: what the host's pass keeps beyond is put into files.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Directory for run.json and steps.csv  [default: out/WORKLOAD-ARCH]")  # fmt: skip
@click.option("--save-outputs", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Write <layer>/forward, <layer>/gta, <layer>/gtw as the machine computed them.")  # fmt: skip
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE.json.gz",
              help="Write the machine's events in the Chrome trace format, which Perfetto opens.")  # fmt: skip
@click.option("--trace-window", default=":", metavar="START:END", help="Cycles of the iteration to trace.")
@click.pass_context
def simulate(
    ctx: click.Context,
    workload: str,
    arch: str,
    baselines: tuple[str, ...],
    overrides: tuple[str, ...],
    steps: str,
    layers: str,
    batch: int | None,
    seed: int | None,
    operands: str | None,
    data: str | None,
    weights: str | None,
    no_verify: bool,
    engine: str,
    sample: str | None,
    jobs: int,
    memory_limit: str | None,
    out: Path | None,
    save_outputs: Path | None,
    trace: Path | None,
    trace_window: str,
) -> None:
    """Simulate one training iteration of WORKLOAD, a preset's name or a YAML file."""
    from reports.progress_bars import RunBar
    from sim.architecture import load_architecture
    from sim.run import simulate as simulate_workload
    from sim.trace_file import parse_window
    from workloads.operand_choice import choose_operands
    from workloads.workload import load_workload

    loaded = load_workload(workload, batch=batch, seed=None if operands else seed)
    loaded = choose_operands(loaded, operands=operands, data=data, weights=weights, seed=seed)
    machine = load_architecture(arch, overrides)
    directory = out or Path("out") / f"{file_name(loaded.name)}-{file_name(machine.name)}"
    with RunBar() as bar:
        result = simulate_workload(
            loaded,
            machine,
            baseline=split_baselines(baselines),
            steps=tuple(part.strip() for part in steps.split(",") if part.strip()),
            layers=layers,
            verify=not no_verify,
            engine=engine,
            sample=sample,
            jobs=jobs,
            memory_limit=memory_limit,
            out=directory,
            save_outputs=save_outputs,
            trace=trace,
            trace_window=parse_window(trace_window),
            on_notice=lambda words: click.echo(f"sparsetrain: {words}", err=True),
            on_progress=bar.update,
        )
    print_run(result)
    if not result.is_correct:
        for failure in result.failures:
            click.echo(f"sparsetrain: {failure}", err=True)
        ctx.exit(EXIT_MISMATCH)


def split_baselines(given: tuple[str, ...]) -> list[str]:
    """Split baselines at commas, unless a file has such a name; `none` alone is no baseline.

    Raises:
        InputError: none stands beside others.
    """
    parts = [part for text in given for part in ([text] if Path(text).exists() else text.split(","))]
    names = [part.strip() for part in parts]
    if "none" in names and len(names) > 1:
        raise InputError("--baseline none leaves baselines out; it cannot stand beside others")
    return [] if names == ["none"] else names


def file_name(name: str) -> str:
    """Make a name fit for a directory."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"


def print_run(result: RunResult) -> None:
    """Print the closing table and sentences of a run."""
    from rich.console import Console

    from reports.ablation import make_ablation_table, make_densities_table
    from reports.tables import describe_run, make_steps_table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(make_steps_table(result))
    if len(result.machines) > 2:
        console.print(make_ablation_table(result))
        console.print(make_densities_table(result))
    for line in describe_run(result):
        console.print(line, markup=False, soft_wrap=True)
    if result.directory is not None:
        console.print(
            f"Results: {result.directory}/steps.csv, {result.directory}/run.json", markup=False, soft_wrap=True
        )


@main.command("list")
def list_everything() -> None:
    """List workloads, architectures, dataflows, datasets and profiles that can be named."""
    from dataflows.registry import list_dataflows
    from sim.architecture import list_architectures
    from sim.sweep.form import list_sweeps
    from sim.technology import list_technologies
    from workloads.datasets.address import SHIPPED
    from workloads.presets import list_presets
    from workloads.profile import profile_names

    sections: dict[str, dict[str, str]] = {
        "Workloads": list_presets(),
        "Architectures": {preset.name: preset.description for preset in list_architectures()},
        "Dataflows": dict.fromkeys(list_dataflows(), ""),
        "Technologies": dict.fromkeys(list_technologies(), ""),
        "Sweeps": list_sweeps(),
        "Datasets": dict.fromkeys(SHIPPED, ""),
        "Profiles": dict.fromkeys(profile_names(), ""),
    }
    for title, entries in sections.items():
        click.echo(f"{title}:")
        width = max((len(name) for name in entries), default=0)
        for name, description in entries.items():
            click.echo(f"  {name:<{width}}  {description}".rstrip())


@main.command()
@click.argument("name")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a field of an architecture.")
def show(name: str, overrides: tuple[str, ...]) -> None:
    """Print the resolved YAML of a workload or an architecture, by preset or file NAME."""
    from workloads.yaml_file import dump_yaml

    click.echo(dump_yaml(resolve(name, overrides)), nl=False)


def resolve(name: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    """Load a workload or an architecture, whichever a name or file stands for, as plain data."""
    from sim.architecture import list_architectures, load_architecture
    from workloads.presets import list_presets
    from workloads.workload import load_workload
    from workloads.yaml_file import load_yaml

    architectures = [preset.name for preset in list_architectures()]
    is_architecture = name in architectures
    if not is_architecture and name not in list_presets():
        if not Path(name).exists() and Path(name).suffix not in (".yaml", ".yml"):
            known = ", ".join([*list_presets(), *architectures])
            raise InputError(f"'{name}' is neither a file nor a preset (the presets are {known})")
        is_architecture = "layers" not in load_yaml(name).data
    if is_architecture:
        return load_architecture(name, overrides).model_dump(mode="json")
    if overrides:
        raise InputError(f"--set changes architectures; '{name}' is a workload")
    return load_workload(name).resolved()


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def validate(files: tuple[str, ...]) -> None:
    """Check workload and architecture FILEs without simulating them."""
    from sim.architecture import Architecture
    from workloads.validation import validate_document
    from workloads.workload import make_workload
    from workloads.yaml_file import load_yaml

    failures = 0
    for name in files:
        try:
            document = load_yaml(name)
            if "layers" in document.data:
                make_workload(document, Path(name).parent)
                kind = "workload"
            else:
                validate_document(document, Architecture)
                kind = "architecture"
            click.echo(f"{name}: a valid {kind}")
        except InputError as error:
            failures += 1
            click.echo(f"sparsetrain: {error}", err=True)
    if failures:
        raise click.exceptions.Exit(EXIT_BAD_INPUT)


@main.command()
@click.argument("form", type=click.Choice(["workload", "architecture"]))
def schema(form: str) -> None:
    """Print the JSON schema of a YAML form, for editors."""
    from sim.architecture import Architecture
    from workloads.schema import json_schema

    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    data = json_schema() if form == "workload" else {**draft, **Architecture.model_json_schema()}
    click.echo(json.dumps(data, indent=2))


@main.command()
def columns() -> None:
    """Print the columns of steps.csv with units and meanings, as Markdown."""
    from sim.results import make_columns_table

    click.echo(make_columns_table())


@main.command()
@click.argument("name")
def technology(name: str) -> None:
    """Print a technology table, by preset or file NAME: every figure with unit, node, source and scaling."""
    from rich.console import Console

    from reports.tables import make_technology_table
    from sim.technology_listing import format_technology

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(make_technology_table(format_technology(name, Path())))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL; for bash: eval "$(sparsetrain completion bash)"."""
    from click.shell_completion import get_completion_class

    make: Callable[..., Any] | None = get_completion_class(shell)
    assert make is not None
    click.echo(make(main, {}, "sparsetrain", "_SPARSETRAIN_COMPLETE").source())


for command in (report, compare, explain, *SWEEP_COMMANDS):
    main.add_command(command)
