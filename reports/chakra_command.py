"""The command that writes an iteration as a trace for simulators of networks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from reports.completion import complete_run_machines, complete_runs
from workloads.errors import InputError
from workloads.words import list_words

OUTPUT_OPTION = "--output"


@click.command("export-chakra")
@click.argument("run", shell_complete=complete_runs)
@click.option("-o", "--output", "prefix", type=click.Path(path_type=Path), required=True, metavar="PREFIX",
              help="The files are PREFIX.0.et, PREFIX.1.et, ..., one for each chip.")  # fmt: skip
@click.option("--chips", type=int, default=1, show_default=True, help="From 1 to 64; all have the same trace.")
@click.option("--machine", metavar="NAME", shell_complete=complete_run_machines,
              help="Machine of the run; the simulated one by default.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["et", "json"]), default="et", show_default=True,
              help="Protobuf, or JSON with the same field names.")  # fmt: skip
@click.option("--gradients", type=click.Choice(["dense", "masked"]), default="dense", show_default=True,
              help="What is summed: all gradients of weights, or those of weights that a mask lets live.")  # fmt: skip
def export_chakra(run: str, prefix: Path, chips: int, machine: str | None, form: str, gradients: str) -> None:
    """Write the iteration of a RUN as a Chakra execution trace, which ASTRA-sim replays over networks of its own.

    Each step and pass is a compute node with the time that it takes, and behind the GTW of each layer stands an
    all-reduce of its gradients. A RUN is a directory that 'sparsetrain simulate' wrote, of all layers and steps.
    """
    from reports.run_files import load_run
    from reports.terminal import say
    from sim.scaling.chakra import TraceFormat, make_trace, write_trace
    from sim.scaling.interconnect import check_chips
    from sim.scaling.share import ShareSource, list_rows, make_shares
    from workloads.output_files import OutputSet, check_output

    (count,) = check_chips((chips,))
    loaded = load_run(run)
    chosen = machine or loaded.machine
    if chosen not in loaded.machines:
        raise InputError(f"--machine {chosen}: the run has no such machine; it has {list_words(loaded.machines)}")
    shares = make_shares(ShareSource(str(loaded.path), loaded.record, list_rows(loaded.frame)), gradients)
    nodes = make_trace(next(share for share in shares if share.machine == chosen))
    content = write_trace(nodes, TraceFormat(form))
    paths = [prefix.with_name(f"{prefix.name}.{number}.{form}") for number in range(count)]
    with OutputSet() as outputs:
        for path in paths:
            outputs.write(check_output(path, OUTPUT_OPTION), partial(put_bytes, content=content))
        outputs.commit()
    more = f" to {paths[-1].name}" if count > 1 else ""
    say(f"Trace: {paths[0]}{more}, {len(nodes):,d} nodes each, of {chosen}")


def put_bytes(path: Path, content: bytes) -> None:
    """Write a file."""
    path.write_bytes(content)
