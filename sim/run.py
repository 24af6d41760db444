"""Simulate a workload: operands in, one record per layer, step and machine out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.kernels import COMPILING, must_compile
from sim.layer_run import StepOptions, StepRun, StepWork
from sim.machine.accelerator import Engine
from sim.memory_need import require_run_memory
from sim.notebook import make_compact_html
from sim.notices import make_notices
from sim.pass_run import run_passes
from sim.policies import SKIPPING_OFF as SKIPPING_OFF
from sim.policies import (
    Baseline,
    OperandSet,
    choose_contenders,
    describe_shift,
    group_contenders,
    number_iteration,
)
from sim.progress import Progress as Progress
from sim.progress import Teller
from sim.record import make_record
from sim.result_words import describe_result
from sim.results import StepResult, make_actions_frame, make_frame
from sim.run_inputs import describe_inputs
from sim.run_outputs import RunFindings, check_targets, write_results
from sim.sampling.estimation import estimate_steps
from sim.sampling.intervals import Spread
from sim.sampling.options import AIM, SampleOptions
from sim.sampling.request import name_sample, parse_sample, refuse_values
from sim.sampling.step_run import require_sampled
from sim.sampling.summary import list_misses, share_simulated, summarize_sampling
from sim.stored_tensors import StoredBytes
from sim.trace_file import WHOLE, IterationTrace, Window
from sim.workers import execute_work
from workloads.arrays import Float32Array
from workloads.errors import InputError
from workloads.kept_tensors import open_keeper, parse_size
from workloads.network import Network
from workloads.operand_choice import DEFAULT_SEED, choose_operands
from workloads.operands import Operands
from workloads.shapes import Step
from workloads.sources.source import OperandStream
from workloads.words import list_words
from workloads.workload import Workload, load_workload

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class RunResult:
    """What a run found.

    outputs: the machine's values, ``<layer>/<step>`` to array, where they were asked for.
    directory: where the results lie, or None. failures: one sentence for each step that is not the reference's.
    notices: what should be known of the figures, such as layers in which nothing is trained; `record` names these.
    """

    workload: Workload
    machines: tuple[Architecture, ...]
    operand_source: str
    steps: tuple[StepResult, ...]
    failures: tuple[str, ...]
    notices: tuple[str, ...]
    outputs: dict[str, Float32Array]
    directory: Path | None
    record: dict[str, Any]

    def __repr__(self) -> str:
        return describe_result(self)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of ``steps.csv``."""
        return make_frame(self.steps)

    @property
    def totals(self) -> dict[str, Any]:
        """Totals of every machine and speed-ups, as in ``run.json``."""
        totals: dict[str, Any] = self.record["totals"]
        return totals

    def _repr_html_(self) -> str:
        return make_compact_html(self.frame, f"{self.workload.name} on {self.machines[0].name}")

    @property
    def is_correct(self) -> bool:
        """Whether no compared step differs from the reference."""
        return not self.failures


def ignore(_: object) -> None:
    """Leave what is told unsaid."""


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
    contenders = choose_contenders(arch, baseline, tuple(overrides))
    machines = tuple(one.machine for one in contenders)
    wanted = parse_steps(steps)
    chosen = choose_layers(loaded, layers)
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    fraction = None if sample is None else parse_sample(sample)
    selection = describe_selection(loaded, wanted, layers, chosen) | {
        "options": {
            "engine": parse_engine(engine).value,
            "sample": None if sample is None else name_sample(sample, fraction),
            "verify": verify and sample is None,
        }
    }
    inputs = describe_inputs(loaded, contenders, selection)
    targets = check_targets(out, save_outputs, trace, inputs, overwrite=overwrite)
    if sample is not None:
        refuse_values(save_outputs, trace, parse_engine(engine))
        for machine in machines:
            require_sampled(machine)
    if memory_limit is not None and work is not None:
        raise InputError("a memory limit was given beside work that keeps its operands; give one of the two")
    sets = group_contenders(loaded, contenders)
    iteration = number_iteration(sets)
    shift = describe_shift(loaded, iteration)
    if shift is not None and on_notice is not None:
        on_notice(shift)
    total = len(machines) * sum(loaded.network.layer_shape(name).nominal_macs for name in chosen) * len(wanted)
    options = StepOptions(
        verifies=verify,
        keeps_output=targets.values is not None,
        engine=parse_engine(engine),
        work=work or StepWork(),
        traced=None if targets.trace is None else machines[0].name,
    )
    if on_notice is not None and must_compile({machine.dataflow for machine in machines}, options.engine):
        on_notice(COMPILING)
    for one in sets:
        require_run_memory(
            one.workload,
            chosen,
            verifies=verify or targets.values is not None,
            is_sampled=sample is not None,
            limit_bytes=None if memory_limit is None else parse_size(memory_limit),
            jobs=jobs,
        )
    streams: dict[str, OperandStream] = {}
    traced = None
    if targets.trace is not None:
        traced = IterationTrace(machines[0].name, targets.trace.place, trace_window, on_notice, total // len(machines))
    found = Findings(machines, streams, traced)
    teller = Teller(total, on_progress)
    with open_keeper(memory_limit) as keeper:
        source = work or StepWork(keeper=keeper)
        for one in sets:
            stream = source.open(one.workload, iteration)
            streams |= {contender.machine.name: stream for contender in one.contenders}
            if sample is not None:
                key = DEFAULT_SEED if stream.seed is None else stream.seed
                options = dataclasses.replace(options, sample=SampleOptions(fraction, key, total // len(machines)))
                for runs in estimate_steps(stream, one, chosen, wanted, options, jobs, teller):
                    found.add(runs)
                continue
            with execute_work(list_work(stream, one, chosen, wanted), options, jobs) as executed:
                for runs in executed:
                    found.add(runs)
                    teller.tell(runs)
    if not found.results:
        raise InputError(f"no layer that matches '{layers}' has a step {' or '.join(wanted)}; nothing can be simulated")
    found.sort_results()
    if len(chosen) == len(loaded.network.compute_nodes()):
        found.add_passes(loaded.network, wanted)
    results, failures, outputs = found.results, found.failures, found.outputs
    verdict = judge(verify and sample is None, failures)
    record = make_record(inputs, contenders, streams, results, found.actions, verdict, failures)
    notices = make_notices(loaded, [machine.name for machine in machines], streams, results)
    record |= {"notices": list(notices.sentences), "dead_layers": list(notices.dead_layers), "sampling": None}
    for notice in notices.sentences:
        (on_notice or ignore)(notice)
    if sample is not None and options.sample is not None:
        asked = name_sample(sample, fraction)
        record["sampling"] = summarize_sampling(asked, options.sample.seed, results, found.spreads, record["totals"])
        for notice in list_misses(record["sampling"], record["totals"], AIM) if fraction is None else ():
            (on_notice or ignore)(notice)
    result = RunResult(
        loaded, machines, record["operand_source"], tuple(results), tuple(failures), notices.sentences, outputs,
        None if targets.directory is None else targets.directory.shown, record,
    )  # fmt: skip
    rows, actions = make_frame(results), make_actions_frame(found.step_actions)
    written = RunFindings(record, rows, actions, outputs, found.trace)
    write_results(targets, written, lambda: on_written(result))
    return result


class Findings:
    """What the steps of a run found, gathered as they end; streams: the operands of each machine, there by then."""

    def __init__(
        self, machines: tuple[Architecture, ...], streams: Mapping[str, OperandStream], trace: IterationTrace | None
    ) -> None:
        self._machines = machines
        self._streams = streams
        self.trace = trace
        self._stored: dict[str, dict[str, StoredBytes]] = {machine.name: {} for machine in machines}
        self.results: list[StepResult] = []
        self.failures: list[str] = []
        self.outputs: dict[str, Float32Array] = {}
        self.actions: dict[str, ActionCounts] = {machine.name: ActionCounts() for machine in machines}
        self.step_actions: list[tuple[StepResult, ActionCounts]] = []
        self.spreads: dict[tuple[str, str, str], tuple[Spread, Spread]] = {}

    def add(self, runs: Sequence[StepRun]) -> None:
        """Add one step's runs on all machines."""
        for run in runs:
            machine, layer = run.result.machine, run.result.layer
            self._add_result(run.result, run.counts)
            if run.spreads is not None:
                self.spreads[layer, run.result.step, machine] = run.spreads
            if run.message:
                self.failures.append(f"{run.message} on {machine}")
            if self.trace is not None and run.trace is not None:
                self.trace.add(layer, run.result.step, run.result.cycles, run.trace, run.result.nominal_macs)
            self._stored[machine][layer] = self._stored[machine].get(layer, StoredBytes()).merge(run.stored)
            if run.output is not None and machine == self._machines[0].name:
                self.outputs[f"{layer}/{run.result.step}"] = run.output

    def sort_results(self) -> None:
        """Put the results of all machines side by side, layer by layer and step by step."""
        places = {key: place for place, key in enumerate(dict.fromkeys((one.layer, one.step) for one in self.results))}
        order = {machine.name: place for place, machine in enumerate(self._machines)}
        self.results.sort(key=lambda one: (places[one.layer, one.step], order[one.machine]))

    def add_passes(self, network: Network, steps: Sequence[Step]) -> None:
        """Add the elementwise passes, whose tensors are stored as the steps found them."""
        for machine in self._machines:
            stored = self._stored[machine.name]
            # A pass moves the bytes that the steps were found to store: where those are estimates, so is the pass.
            share = share_simulated(self.results, machine.name)
            for result, counts in run_passes(network, machine, stored, steps, self._streams[machine.name].pruned):
                self._add_result(dataclasses.replace(result, sampled_fraction=share), counts)
                if self.trace is not None and machine is self._machines[0]:
                    self.trace.add(result.layer, result.step, result.cycles, None)

    def _add_result(self, result: StepResult, counts: ActionCounts | None) -> None:
        named = dataclasses.replace(result, operands=self._streams[result.machine].headline)
        self.results.append(named)
        if counts is not None:
            self.actions[result.machine] += counts
            self.step_actions.append((named, counts))


def judge(verifies: bool, failures: Sequence[str]) -> str:
    """Say in a word how the run's values compare with the reference."""
    if not verifies:
        return "not verified"
    return "failed" if failures else "verified"


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
        raise InputError(f"no layer matches '{pattern}'; the layers are {list_words(names)}")
    return chosen


def describe_selection(
    workload: Workload, steps: Sequence[Step], pattern: str, chosen: frozenset[str]
) -> dict[str, Any]:
    """Give what was chosen of a workload, as a record holds it; a pattern that matches all layers is ``*``."""
    is_all = len(chosen) == len(workload.network.compute_nodes())
    return {"steps": [step.value for step in steps], "layers": "*" if is_all else pattern}


def list_work(
    stream: OperandStream, one: OperandSet, layers: frozenset[str], steps: Sequence[Step]
) -> Iterator[tuple[Operands, Step, tuple[Architecture, ...]]]:
    """List the wanted (layer, step) of a set of operands, with the machines that work on it."""
    for operands in stream.layers:
        if operands.layer in layers:
            dealt = one.deal(operands)
            for step in operands.steps:
                if step in steps:
                    yield from ((seen, step, machines) for seen, machines in dealt)
