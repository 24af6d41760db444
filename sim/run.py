"""Simulate a workload: operands in, one record per layer, step and machine out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from sim.architecture import Architecture
from sim.iteration.options import RunOptions, make_request
from sim.iteration.policies import SKIPPING_OFF as SKIPPING_OFF
from sim.iteration.progress import Progress as Progress
from sim.iteration.run_result import RunResult as RunResult
from sim.iteration.simulation import Listeners, ignore, run_request
from sim.step.work import StepWork
from workloads.capture.recording import CapturedRecording
from workloads.workload import Workload


def simulate(
    workload: str | Path | Workload | CapturedRecording,
    arch: str | Path | Architecture = "sparsetrain",
    *,
    on_progress: Callable[[Progress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
    on_written: Callable[[RunResult], None] = ignore,
    work: StepWork | None = None,
    **options: Unpack[RunOptions],
) -> RunResult:
    """Simulate one training iteration of a workload and compare every output with the reference.

    Args:
        workload: A preset's name, a YAML file, a loaded workload, or a recording of a PyTorch model.
        arch: A preset's name, a YAML file, or a machine.
        on_progress: Told of each step that ends.
        on_notice: Told what the user should know before the run ends.
        on_written: Called when all is written under temporary names; if it raises, nothing is left.
        work: What makes operands, tasks and timing; a sweep gives one that remembers, without a memory limit.
        **options: As `sim.iteration.options.RunOptions` lists them, such as ``verify=False`` or ``out="out/run"``.

    Returns:
        The run: a row for each layer, step and machine, and all that ``run.json`` holds.

    Raises:
        InputError: Something that was given cannot be used; the message names it.
    """
    loaded = workload.workload if isinstance(workload, CapturedRecording) else workload
    request = make_request(loaded, arch, options)
    return run_request(request, Listeners(on_progress, on_notice, on_written), work)
