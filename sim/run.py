"""Simulate a workload: operands in, one record per layer, step and machine out."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import joblib
import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.architecture import Architecture, load_architecture
from sim.energy import ActionCounts
from sim.layer_run import StepOptions, StepRun, run_layer_step
from sim.machine.accelerator import Engine
from sim.pass_run import run_passes
from sim.record import make_record
from sim.results import StepResult, make_frame
from sim.run_directory import check_outputs_file, check_target, write_outputs, write_run
from sim.stored_tensors import StoredBytes
from workloads.errors import InputError
from workloads.network import Network
from workloads.operands import Operands
from workloads.shapes import Step
from workloads.sources import open_operands
from workloads.workload import Workload, load_workload

FloatArray = NDArray[np.float32]

SKIPPING_OFF = "skipping-off"


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: steps done and to do, weighted by their nominal MACs."""

    layer: str
    step: str
    done_macs: int
    total_macs: int


@dataclasses.dataclass(frozen=True, eq=False)
class RunResult:
    """What a run found.

    outputs: the machine's values, ``<layer>/<step>`` to array, where they were asked for.
    directory: where the results lie, or None. failures: one sentence for each step that is not the reference's.
    """

    workload: Workload
    machines: tuple[Architecture, ...]
    operand_source: str
    steps: tuple[StepResult, ...]
    failures: tuple[str, ...]
    outputs: dict[str, FloatArray]
    directory: Path | None
    record: dict[str, Any]

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of ``steps.csv``."""
        return make_frame(self.steps)

    @property
    def totals(self) -> dict[str, Any]:
        """Totals of every machine and speed-ups, as in ``run.json``."""
        totals: dict[str, Any] = self.record["totals"]
        return totals

    @property
    def is_correct(self) -> bool:
        """Whether no compared step differs from the reference."""
        return not self.failures


def simulate(
    workload: str | Path | Workload,
    arch: str | Path | Architecture = "sparsetrain",
    *,
    baseline: str | Path | Architecture | None = SKIPPING_OFF,
    overrides: Sequence[str] = (),
    steps: Sequence[str | Step] = tuple(Step),
    layers: str = "*",
    batch: int | None = None,
    seed: int | None = None,
    verify: bool = True,
    jobs: int = 1,
    out: str | Path | None = None,
    save_outputs: str | Path | None = None,
    engine: str | Engine = Engine.COMPILED,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunResult:
    """Simulate one training iteration of a workload and compare every output with the reference.

    baseline: a second machine; by default the same one with skipping off, None leaves it out. overrides:
    ``KEY=VALUE`` for fields of the architecture. layers: a pattern such as ``conv*``. out: a directory for
    ``run.json`` and ``steps.csv``, written whole or not at all. save_outputs: an .npz file for the machine's values.
    engine: ``simpy``, the definition of the machine, or ``compiled``, the same machine as one loop.

    Raises:
        InputError: something that was given cannot be used; the message names it.
    """
    loaded = workload if isinstance(workload, Workload) else load_workload(workload, batch=batch, seed=seed)
    machines = choose_machines(arch, baseline, tuple(overrides))
    wanted = parse_steps(steps)
    chosen = choose_layers(loaded, layers)
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    target = None if out is None else check_target(Path(out))
    values_file = None if save_outputs is None else check_outputs_file(Path(save_outputs), target)
    keeps = values_file is not None

    stream = open_operands(loaded)
    work = ((operands, step) for operands in stream.layers if operands.layer in chosen for step in operands.steps)
    work = ((operands, step) for operands, step in work if step in wanted)
    total = sum(loaded.network.layer_shape(name).nominal_macs for name in chosen) * len(wanted)
    options = StepOptions(verifies=verify, keeps_output=keeps, engine=parse_engine(engine))
    found = Findings(machines)
    done = 0
    for runs in execute_work(work, machines, options, jobs):
        found.add(runs)
        done += runs[0].result.nominal_macs
        if on_progress:
            on_progress(Progress(runs[0].result.layer, runs[0].result.step, done, total))
    if not found.results:
        raise InputError(f"no layer that matches '{layers}' has a step {' or '.join(wanted)}; nothing can be simulated")
    if len(chosen) == len(loaded.network.compute_nodes()):
        found.add_passes(loaded.network, wanted)
    results, failures, outputs = found.results, found.failures, found.outputs
    selection = {"steps": [step.value for step in wanted], "layers": layers}
    record = make_record(loaded, machines, stream, selection, results, found.actions, judge(verify, failures), failures)
    if target is not None:
        write_run(target, record, make_frame(results))
    if values_file is not None:
        write_outputs(values_file, outputs)
    return RunResult(
        loaded, machines, stream.headline, tuple(results), tuple(failures), outputs, target, record
    )  # fmt: skip


class Findings:
    """What the steps of a run found, gathered as they end."""

    def __init__(self, machines: tuple[Architecture, ...]) -> None:
        self._machines = machines
        self._stored: dict[str, dict[str, StoredBytes]] = {machine.name: {} for machine in machines}
        self.results: list[StepResult] = []
        self.failures: list[str] = []
        self.outputs: dict[str, FloatArray] = {}
        self.actions: dict[str, ActionCounts] = {machine.name: ActionCounts() for machine in machines}

    def add(self, runs: Sequence[StepRun]) -> None:
        """Add one step's runs on all machines."""
        for run in runs:
            machine, layer = run.result.machine, run.result.layer
            self.results.append(run.result)
            if run.message:
                self.failures.append(f"{run.message} on {machine}")
            if run.counts is not None:
                self.actions[machine] += run.counts
            self._stored[machine][layer] = self._stored[machine].get(layer, StoredBytes()).merge(run.stored)
        if runs[0].output is not None:
            self.outputs[f"{runs[0].result.layer}/{runs[0].result.step}"] = runs[0].output

    def add_passes(self, network: Network, steps: Sequence[Step]) -> None:
        """Add the elementwise passes, whose tensors are stored as the steps found them."""
        for machine in self._machines:
            for result, counts in run_passes(network, machine, self._stored[machine.name], steps):
                self.results.append(result)
                if counts is not None:
                    self.actions[machine.name] += counts


def judge(verifies: bool, failures: Sequence[str]) -> str:
    """Say in a word how the run's values compare with the reference."""
    if not verifies:
        return "not verified"
    return "failed" if failures else "verified"


def choose_machines(
    arch: str | Path | Architecture, baseline: str | Path | Architecture | None, overrides: tuple[str, ...]
) -> tuple[Architecture, ...]:
    """Load the machine and its baseline; overrides change the machine, and the baseline that is made from it.

    Raises:
        InputError: a name, file or override cannot be used, or both machines have one name.
    """
    machine = arch if isinstance(arch, Architecture) else load_architecture(arch, overrides)
    if baseline is None:
        return (machine,)
    if isinstance(baseline, str) and baseline == SKIPPING_OFF:
        other = machine.without_skipping()
        return (machine,) if other == machine else (machine, other)
    other = baseline if isinstance(baseline, Architecture) else load_architecture(baseline)
    if other.name == machine.name:
        raise InputError(
            f"the machine and its baseline are both named '{machine.name}'; the results could not be told apart"
        )
    return (machine, other)


def parse_steps(steps: Sequence[str | Step]) -> tuple[Step, ...]:
    """Give the steps in the order of their execution.

    Raises:
        InputError: a step is unknown, or none is given.
    """
    allowed = ", ".join(Step)
    for step in steps:
        if step not in tuple(Step):
            raise InputError(f"unknown step '{step}'; the steps are {allowed}")
    if not steps:
        raise InputError(f"no step is given; the steps are {allowed}")
    return tuple(step for step in Step if step in steps)


def parse_engine(engine: str | Engine) -> Engine:
    """Give the engine of this name.

    Raises:
        InputError: there is none.
    """
    if engine not in tuple(Engine):
        raise InputError(f"unknown engine '{engine}'; the engines are {', '.join(Engine)}")
    return Engine(engine)


def choose_layers(workload: Workload, pattern: str) -> frozenset[str]:
    """Name the convolution and fully connected layers that match a pattern.

    Raises:
        InputError: none matches.
    """
    names = [node.name for node in workload.network.compute_nodes()]
    chosen = frozenset(name for name in names if fnmatchcase(name, pattern))
    if not chosen:
        raise InputError(f"no layer matches '{pattern}'; the layers are {', '.join(names)}")
    return chosen


def execute_work(
    work: Iterator[tuple[Operands, Step]],
    machines: tuple[Architecture, ...],
    options: StepOptions,
    jobs: int,
) -> Iterator[list[StepRun]]:
    """Run every (layer, step), in order, in this process or in `jobs` worker processes."""
    if jobs == 1:
        for operands, step in work:
            yield run_layer_step(operands, step, machines, options)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator", pre_dispatch=2 * jobs)
    failures: list[InputError] = []
    found = parallel(
        joblib.delayed(run_on_threads)(threads, operands, step, machines, options)
        for operands, step in itertools.takewhile(lambda _: not failures, work)
    )
    for runs in found:
        if isinstance(runs, InputError):
            failures.append(runs)
        elif not failures:
            yield runs
    if failures:
        raise failures[0]


def run_on_threads(
    threads: int, operands: Operands, step: Step, machines: tuple[Architecture, ...], options: StepOptions
) -> list[StepRun] | InputError:
    """Run one (layer, step) in a worker process on its share of the cores.

    An `InputError` is returned, so that the first in the order of the steps is raised, not the first in time.
    """
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        return run_layer_step(operands, step, machines, options)
    except InputError as error:
        return error
