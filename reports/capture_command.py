"""The command that records a PyTorch model in training."""

from __future__ import annotations

from pathlib import Path

import click

from reports.completion import complete_files
from reports.terminal import say


@click.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option("-o", "--output", required=True, metavar="FILE.yaml", shell_complete=complete_files,
              help="Where to write the workload; its tensors lie beside it, in an .npz file.")  # fmt: skip
@click.option("--layers", default="*", show_default=True, metavar="GLOB",
              help="Record only the layers whose name matches, each for itself.")  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the workload, instead of that of the model's class.")
def capture(function: str, output: str, layers: str, name: str | None) -> None:
    """Record a PyTorch model in training as a workload with recorded operands.

    FUNCTION, of a module in the working directory or of a FILE.py, takes nothing and gives a model, a batch of images,
    and a loss: a callable of what the model gives out. One forward and backward pass is run. Needs the extra torch.
    """
    from workloads.capture import capture as capture_model
    from workloads.capture.entry import make_subject
    from workloads.capture.recording import find_tensors
    from workloads.extras import import_extra

    import_extra("torch", "torch", "capture")
    tensors = find_tensors(Path(output))
    recording = capture_model(*make_subject(function), layers=layers, name=name)
    recording.save(output)
    count = len(recording.operands)
    say(f"{output}: {count} layer{'s' if count > 1 else ''} of {recording.name} recorded, tensors in {tensors}")
    for notice in recording.notices:
        say(f"note: {notice}")
