"""Simulate a workload: operands in, one record per layer, step and machine out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sim.architecture import Architecture
from sim.iteration.policies import SKIPPING_OFF as SKIPPING_OFF
from sim.iteration.policies import Baseline, choose_contenders
from sim.iteration.progress import Progress as Progress
from sim.iteration.request import (
    SimulationRequest,
    choose_layers,
    parse_engine,
    parse_jobs,
    parse_request_sample,
    parse_steps,
)
from sim.iteration.run_result import RunResult as RunResult
from sim.iteration.simulation import Listeners, ignore, run_request
from sim.machine.accelerator import Engine
from sim.results.run_outputs import OutputRequest
from sim.results.trace_file import WHOLE, Window
from sim.step.work import StepWork
from workloads.operand_choice import choose_operands
from workloads.shapes import Step
from workloads.workload import Workload, load_workload


def simulate(
    workload: str | Path | Workload,
    arch: str | Path | Architecture = "sparsetrain",
    *,
    baseline: Baseline | Sequence[Baseline] | None = SKIPPING_OFF,
    overrides: Sequence[str] = (),
    steps: Sequence[str | Step] = tuple(Step),
    layers: str = "*",
    batch: int | None = None,
    seed: int | None = None,
    operands: str | None = None,
    data: str | None = None,
    weights: str | Path | None = None,
    verify: bool = True,
    jobs: int = 1,
    out: str | Path | None = None,
    save_outputs: str | Path | None = None,
    engine: str | Engine = Engine.COMPILED,
    sample: str | float | None = None,
    memory_limit: str | int | None = None,
    trace: str | Path | None = None,
    trace_window: Window = WHOLE,
    on_progress: Callable[[Progress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
    work: StepWork | None = None,
    overwrite: bool = False,
    on_written: Callable[[RunResult], None] = ignore,
) -> RunResult:
    """Simulate one training iteration of a workload and compare every output with the reference.

    baseline: another machine or several, by preset, file or policy (``natural``, ``mask``, ``pruning@0.9``: the same
    machine on operands with only that sparsity); by default the same machine with skipping off; None or ``none``
    leaves it out.
    overrides: ``KEY=VALUE`` for fields of the architecture. layers: a pattern such as ``conv*``. out: a directory for
    ``run.json`` and ``steps.csv``; overwrite: whether it may hold a run of other inputs. save_outputs: an .npz file for
    the machine's values. All that is written appears together, or nothing does.
    operands, data, weights: other ones than the workload's, as `workloads.operand_choice.choose_operands` takes them.
    engine: ``simpy``, the definition of the machine, or ``compiled``, the same machine as one loop.
    sample: a fraction, or ``auto``: only so many of each step's tiles are simulated, no values are computed, and the
    figures are estimates with confidence intervals. ``auto`` takes as few as keep that of each machine's total cycles
    within 1 %.
    memory_limit: bytes, or text such as ``512MiB``: what the host's pass has to keep beyond it lies in temporary files.
    trace: a .json.gz file for the first machine's events, as far as they touch trace_window. on_notice: told what the
    user should know before the run ends.
    work: what makes operands, tasks and timing; a sweep gives one that remembers, without a memory limit.
    on_written: called when all is written under temporary names; if it raises, nothing is left.

    Raises:
        InputError: something that was given cannot be used; the message names it.
    """
    if not isinstance(workload, Workload):
        workload = load_workload(workload, batch=batch, seed=None if operands else seed)
    loaded = choose_operands(workload, operands=operands, data=data, weights=weights, seed=seed)
    request = SimulationRequest(
        workload=loaded,
        contenders=choose_contenders(arch, baseline, tuple(overrides)),
        steps=parse_steps(steps),
        layers=layers,
        chosen=choose_layers(loaded, layers),
        jobs=parse_jobs(jobs),
        sample=parse_request_sample(sample),
        engine=parse_engine(engine),
        verifies=verify,
        memory_limit=memory_limit,
        outputs=OutputRequest(out, overwrite, save_outputs, trace, trace_window),
    )
    return run_request(request, Listeners(on_progress, on_notice, on_written), work)
