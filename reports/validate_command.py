"""The command that says of files what `simulate` and `sweep` would say, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reports.completion import complete_architectures, complete_baselines, complete_overrides, complete_shown
from reports.terminal import say
from workloads.errors import InputError

if TYPE_CHECKING:
    from sim.iteration.policies import Contender
    from workloads.document import YamlDocument

EXIT_BAD_INPUT = 2
LEFT_TO_SIMULATE = "Left to simulate: values, and tilings whose fit depends on the zeros of the operands."


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=complete_shown)
@click.option("--arch", default="sparsetrain", show_default=True, metavar="NAME|FILE",
              shell_complete=complete_architectures, help="Machine that workloads are to fit.")  # fmt: skip
@click.option("--baseline", "baselines", multiple=True, default=("skipping-off",), metavar="NAME|FILE|POLICY|none",
              shell_complete=complete_baselines,
              help="Machines that workloads are to fit besides, as for simulate; by default the same machine with "
              "skipping off.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", shell_complete=complete_overrides,
              help="Override a field of the machine; may be repeated.")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), help="Images in the batch of imported models that leave it open.")
def validate(
    files: tuple[str, ...], arch: str, baselines: tuple[str, ...], overrides: tuple[str, ...], batch: int | None
) -> None:
    """Check FILEs of workloads, architectures, sweeps and technologies as simulate would, without simulating.

    Of a workload: its form, its shapes, the files of its operands, and whether every layer can fit the machines. Of an
    architecture: its form, its dataflow, its technology. Of a sweep: every point, as sweep --dry-run does.
    """
    from sim.iteration.policies import choose_contenders

    contenders: tuple[Contender, ...] | None = None
    failures = 0
    for name in files:
        try:
            document = read_document(name, batch)
            if "layers" in document.data and contenders is None:
                contenders = choose_contenders(arch, list(baselines), overrides)
            say(f"{name}: {check_document(document, name, contenders or ())}")
        except InputError as error:
            failures += 1
            click.echo(f"sparsetrain: {error}", err=True)
    if contenders is not None:
        click.echo(LEFT_TO_SIMULATE)
    if failures:
        raise click.exceptions.Exit(EXIT_BAD_INPUT)


def read_document(name: str, batch: int | None = None) -> YamlDocument:
    """Read a file, or the preset of this name.

    Args:
        batch: That of imported models.

    Raises:
        InputError: it cannot be read.
    """
    from sim.architecture import list_architectures, read_architecture
    from workloads.importers.reading import load_document
    from workloads.presets import find_preset, preset_names
    from workloads.yaml_file import load_yaml

    if not Path(name).exists():
        if name in preset_names():
            return load_yaml(find_preset(name))
        if name in [preset.name for preset in list_architectures()]:
            return read_architecture(name)
    return load_document(name, batch=batch)


def check_document(document: YamlDocument, name: str, contenders: Sequence[Contender]) -> str:
    """Check a document as what its fields say it is; tell what it was found to be.

    Raises:
        InputError: something in it cannot be used.
    """
    from sim.architecture import Architecture
    from sim.checks import check_machine
    from sim.sweep.space import load_space
    from sim.sweep.sweep import count_points
    from sim.technology import load_technology
    from workloads.validation import validate_document

    if "layers" in document.data:
        return check_workload(document, Path(name).parent, contenders)
    if "workloads" in document.data:
        return f"a valid sweep of {count_points(load_space(name)):,} points"
    if "parts" in document.data:
        load_technology(Path(name))
        return "a valid technology"
    check_machine(validate_document(document, Architecture))
    return "a valid architecture"


def check_workload(document: YamlDocument, folder: Path, contenders: Sequence[Contender]) -> str:
    """Check a workload, its operands, and that its layers can fit the machines.

    Raises:
        InputError: something in it cannot be used.
    """
    from sim.checks import check_layers, check_machine
    from sim.iteration.policies import group_contenders
    from workloads.opening import check_operands
    from workloads.workload import make_workload

    workload = make_workload(document, folder)
    machines = [contender.machine for contender in contenders]
    for machine in machines:
        check_machine(machine)
    for one in group_contenders(workload, contenders):
        check_operands(one.workload)
    check_layers(workload, machines, [node.name for node in workload.network.compute_nodes()])
    return f"a valid workload for {' and '.join(machine.name for machine in machines)}"
