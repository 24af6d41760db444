"""The command that makes a workload of another program's file."""

from __future__ import annotations

from pathlib import Path

import click

from reports.completion import complete_files
from workloads.errors import InputError


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path), shell_complete=complete_files)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE.yaml",
              help="The workload to write; its weights, if there are any, go beside it as FILE.npz.")  # fmt: skip
@click.option(
    "--batch", type=int, help="Images in the batch, instead of the file's; needed where the file leaves it open."
)
@click.option("--overwrite", is_flag=True, help="Replace files that no import wrote, too.")
def import_file(file: Path, output: Path, batch: int | None, overwrite: bool) -> None:
    """Make a workload of FILE: an ONNX model, a SCALE-Sim topology or a Timeloop problem.

    Which it is, is told by its content. simulate and validate take such a file directly, too.
    """
    from reports.terminal import say
    from workloads.imported_workload import make_imported
    from workloads.importers.writing import write_import

    if batch is not None and batch < 1:
        raise InputError(f"batch must be a whole number from 1, got {batch}")
    for sentence in write_import(file, output, make_imported, batch=batch, overwrites=overwrite):
        say(sentence)
