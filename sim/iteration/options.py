"""The options of a run, as Python and the command line give them, and the request that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from sim.architecture import Architecture
from sim.iteration.policies import SKIPPING_OFF, Baseline, choose_contenders
from sim.iteration.request import (
    SimulationRequest,
    choose_layers,
    parse_engine,
    parse_jobs,
    parse_request_sample,
    parse_steps,
)
from sim.iteration.tilings import Given, read_tilings
from sim.machine.accelerator import Engine
from sim.results.run_outputs import OutputRequest
from sim.results.trace_file import WHOLE, Window
from workloads.operand_choice import choose_operands
from workloads.shapes import Step
from workloads.updates import UpdateMethod
from workloads.workload import Workload, load_workload


class RunOptions(TypedDict, total=False):
    """What may be said of a run beside its workload and its machine; each has a default.

    Attributes:
        baseline: Another machine or several, by preset, file or policy (``natural``, ``mask``, ``pruning@0.9``: the
            same machine on operands with only that sparsity); by default the same machine with skipping off; None or
            ``none`` leaves it out.
        overrides: ``KEY=VALUE`` for fields of the architecture.
        steps: Steps to simulate; by default all three.
        layers: A pattern such as ``conv*``.
        batch: Images, instead of the workload's.
        seed: Of the operands, instead of the workload's.
        operands: Other ones than the workload's, as `workloads.operand_choice.choose_operands` takes them; so are
            data and weights.
        data: The address of other images.
        weights: ``random``, ``trained`` (those that ship for the preset), or an .npz file of initial parameters.
        verify: Whether values are computed and compared; by default they are.
        jobs: Worker processes.
        out: A directory for ``run.json`` and ``steps.csv``. All that is written appears together, or nothing does.
        overwrite: Whether that directory may hold a run of other inputs.
        save_outputs: An .npz file for the machine's values.
        engine: ``simpy``, the definition of the machine, or ``compiled``, the same machine as one loop.
        update: Of the parameters, charged in rows of its own: ``sgd``, ``sgd_momentum``, ``adam``, ``adamw``, or
            ``none``; by default the workload's.
        sample: A fraction, or ``auto``: only so many of each step's tiles are simulated, no values are computed, and
            the figures are estimates with confidence intervals. ``auto`` takes as few as keep that of each machine's
            total cycles within 1 %.
        memory_limit: Bytes, or text such as ``512MiB``: what the host's pass has to keep beyond it lies in temporary
            files.
        tiling: A YAML file of tilings that are pinned, or these: ``{"layer": "conv1", "step": "gtw", "tiling":
            "4x8|1x16"}``, as `explain` prints them.
        trace: A .json.gz file for the first machine's events.
        trace_window: The cycles that these events touch.
    """

    baseline: Baseline | Sequence[Baseline] | None
    overrides: Sequence[str]
    steps: Sequence[str | Step]
    layers: str
    batch: int | None
    seed: int | None
    operands: str | None
    data: str | None
    weights: str | Path | None
    verify: bool
    jobs: int
    out: str | Path | None
    overwrite: bool
    save_outputs: str | Path | None
    engine: str | Engine
    update: str | UpdateMethod | None
    sample: str | float | None
    memory_limit: str | int | None
    tiling: Given | None
    trace: str | Path | None
    trace_window: Window


def make_request(
    workload: str | Path | Workload, arch: str | Path | Architecture, options: RunOptions
) -> SimulationRequest:
    """Make the request of a run.

    Raises:
        InputError: something that was given cannot be used; the message names it.
        TypeError: an option is unknown.
    """
    require_options("simulate", options, RunOptions)
    loaded, layers = choose_workload(workload, options), options.get("layers", "*")
    overrides = tuple(options.get("overrides", ()))
    return SimulationRequest(
        workload=loaded,
        contenders=choose_contenders(arch, options.get("baseline", SKIPPING_OFF), overrides),
        steps=parse_steps(options.get("steps", tuple(Step))),
        layers=layers,
        chosen=choose_layers(loaded, layers),
        jobs=parse_jobs(options.get("jobs", 1)),
        sample=parse_request_sample(options.get("sample")),
        engine=parse_engine(options.get("engine", Engine.COMPILED)),
        verifies=options.get("verify", True),
        memory_limit=options.get("memory_limit"),
        outputs=OutputRequest(
            options.get("out"), options.get("overwrite", False), options.get("save_outputs"),
            options.get("trace"), options.get("trace_window", WHOLE),
        ),
        tilings=read_tilings(options.get("tiling")),
    )  # fmt: skip


def require_options(function: str, options: Mapping[str, Any], declared: type[Any]) -> None:
    """Refuse options of a function that it has not.

    Args:
        declared: The typed dictionary of those that it has.

    Raises:
        TypeError: names the first, and what there is.
    """
    for name in options:
        if name not in declared.__annotations__:
            known = ", ".join(declared.__annotations__)
            raise TypeError(f"{function}() has no option '{name}'; the options are {known}")


def choose_workload(workload: str | Path | Workload, options: RunOptions) -> Workload:
    """Load a workload with the batch, the seed and the operands that were chosen.

    Raises:
        InputError: one of them cannot be used.
    """
    batch, seed, operands = options.get("batch"), options.get("seed"), options.get("operands")
    kept_seed = None if operands else seed
    if isinstance(workload, Workload):
        workload = workload.with_changes(batch=batch, seed=kept_seed)
    else:
        workload = load_workload(workload, batch=batch, seed=kept_seed)
    update = options.get("update")
    workload = workload if update is None else workload.with_update(update)
    return choose_operands(
        workload, operands=operands, data=options.get("data"), weights=options.get("weights"), seed=seed
    )
