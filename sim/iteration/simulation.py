"""One training iteration, simulated as a request says: prepare, execute, record, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sim.architecture import Architecture
from sim.checks import list_steps
from sim.iteration.estimation import estimate_steps
from sim.iteration.findings import Findings
from sim.iteration.memory_need import require_run_memory
from sim.iteration.memory_record import record_memory
from sim.iteration.notices import make_notices
from sim.iteration.policies import OperandSet, describe_shift, group_contenders, number_iteration
from sim.iteration.progress import Progress, Teller
from sim.iteration.record import make_record
from sim.iteration.request import SimulationRequest
from sim.iteration.run_result import RunResult
from sim.iteration.sampling import refuse_values, require_single_values
from sim.iteration.sampling_record import list_misses, summarize_sampling
from sim.iteration.tilings import pin_tilings
from sim.iteration.workers import execute_work
from sim.kernels import COMPILING, must_compile
from sim.results.rows import make_actions_frame, make_frame
from sim.results.run_outputs import RunFindings, RunTargets, check_targets, write_results
from sim.results.trace_file import IterationTrace
from sim.sampling.options import AIM, SampleOptions
from sim.step.pass_run import find_copied, list_machine_iteration
from sim.step.residency import Residency, find_residency
from sim.step.sampled_run import require_sampled, require_sampled_layers
from sim.step.shares import StepShares
from sim.step.work import StepOptions, StepWork
from workloads.errors import InputError
from workloads.kept_tensors import open_keeper, parse_size
from workloads.operand_choice import DEFAULT_SEED
from workloads.operands import Operands
from workloads.shapes import Step
from workloads.sources.source import OperandStream
from workloads.updates import find_update_cost


def ignore(_: object) -> None:
    """Leave what is told unsaid."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told of a run while it runs: of every step, of what a user should know, and before all is in place.

    Attributes:
        on_written: Called when all is written under temporary names; if it raises, nothing is left.
    """

    on_progress: Callable[[Progress], None] | None = None
    on_notice: Callable[[str], None] | None = None
    on_written: Callable[[RunResult], None] = ignore

    def tell(self, *notices: str) -> None:
        """Tell some notices."""
        for notice in notices:
            (self.on_notice or ignore)(notice)


NOBODY = Listeners()


@dataclasses.dataclass(frozen=True, eq=False)
class RunPlan:
    """A request that can be met, and all that is decided before its operands are opened.

    Attributes:
        inputs: Of ``run.json``.
        iteration: Which one of the training is simulated.
        residencies: What stays in the buffers of the machines, by their names.
    """

    request: SimulationRequest
    inputs: dict[str, Any]
    targets: RunTargets
    sets: tuple[OperandSet, ...]
    iteration: int
    options: StepOptions
    residencies: Mapping[str, Residency]


def run_request(request: SimulationRequest, listeners: Listeners = NOBODY, work: StepWork | None = None) -> RunResult:
    """Simulate one training iteration as a request says.

    Args:
        work: What makes operands, tasks and timing; a sweep gives one that remembers, without a memory limit.

    Raises:
        InputError: what is asked for cannot be done.
    """
    plan = plan_run(request, work)
    announce(plan, listeners)
    microbatches = request.workload.form.accumulate or 1
    findings = Findings(request.machines, open_trace(plan, listeners), microbatches)
    execute_plan(plan, findings, Teller(request.nominal_macs * len(request.machines), listeners.on_progress))
    result = record_run(plan, findings)
    listeners.tell(*result.notices, *list_sampling_misses(request, result))
    written = RunFindings(
        result.record, make_frame(result.steps), make_actions_frame(findings.step_actions), result.outputs,
        findings.trace,
    )  # fmt: skip
    write_results(plan.targets, written, lambda: listeners.on_written(result))
    return result


def plan_run(request: SimulationRequest, work: StepWork | None) -> RunPlan:
    """Refuse what cannot be met, and decide the rest.

    Raises:
        InputError: names what was asked for.
    """
    inputs = request.describe()
    targets = check_targets(request.outputs, inputs)
    if request.sample is not None:
        refuse_values(request.outputs.values, request.outputs.trace, request.engine)
        for machine in request.machines:
            require_sampled(machine)
            require_single_values(machine)
        network = request.workload.network
        chosen = [node.name for node in network.compute_nodes() if node.name in request.chosen]
        require_sampled_layers({name: network.layer_shape(name) for name in chosen}, request.machines)
    if request.memory_limit is not None and work is not None:
        raise InputError("a memory limit was given beside work that keeps its operands; give one of the two")
    sets = group_contenders(request.workload, request.contenders)
    residencies = decide_residency(request, sets)
    options = StepOptions(
        verifies=request.verifies,
        keeps_output=targets.values is not None,
        engine=request.engine,
        work=work or StepWork(),
        traced=None if targets.trace is None else request.machines[0].name,
        shares=share_memory(request, residencies),
    )
    return RunPlan(request, inputs, targets, sets, number_iteration(sets), options, residencies)


def decide_residency(request: SimulationRequest, sets: Sequence[OperandSet]) -> dict[str, Residency]:
    """Decide what stays in the buffer of each machine that keeps tensors there, of the whole iteration."""
    workload, copied = request.workload, find_all_copied(sets)
    steps = partial(list_steps, workload)
    return {
        machine.name: find_residency(
            workload.network,
            machine,
            list_machine_iteration(workload.network, machine, steps, copied[machine.name]),
        )
        for machine in request.machines
        if machine.buffer is not None and machine.buffer.keep_on_chip
    }


def find_all_copied(sets: Sequence[OperandSet]) -> dict[str, frozenset[str]]:
    """Name for each machine the layers whose GTA reads a pruned copy of its gradient."""
    return {
        one.machine.name: find_copied(chosen.workload.network, chosen.workload.form.pruning, one.machine)
        for chosen in sets
        for one in chosen.contenders
    }


def share_memory(request: SimulationRequest, residencies: Mapping[str, Residency]) -> StepShares:
    """Give what each step may use of the memory: what stays takes room, and tilings may be pinned."""
    decided = {
        (name, *key): share for name, residency in residencies.items() for key, share in residency.shares.items()
    }
    words = {
        (name, layer, step): told
        for name, residency in residencies.items()
        for (layer, kind, step), told in residency.words.items()
        if not kind
    }
    pinned = pin_tilings(request.tilings, request.workload, request.machines, decided)
    return StepShares(decided | pinned, words)


def announce(plan: RunPlan, listeners: Listeners) -> None:
    """Tell what should be known before a run starts, and refuse one that needs more memory than there is.

    Raises:
        InputError: it does not fit.
    """
    request, options = plan.request, plan.options
    shift = describe_shift(request.workload, plan.iteration)
    listeners.tell(*([] if shift is None else [shift]))
    dataflows = {machine.dataflow for machine in request.machines}
    if listeners.on_notice is not None and must_compile(dataflows, options.engine):
        listeners.tell(COMPILING)
    for operand_set in plan.sets:
        require_run_memory(
            operand_set.workload,
            request.chosen,
            verifies=options.verifies or options.keeps_output,
            is_sampled=request.sample is not None,
            limit_bytes=None if request.memory_limit is None else parse_size(request.memory_limit),
            jobs=request.jobs,
        )


def open_trace(plan: RunPlan, listeners: Listeners) -> IterationTrace | None:
    """Start the trace of the first machine's events, where it is asked for."""
    request, target = plan.request, plan.targets.trace
    if target is None:
        return None
    window = request.outputs.trace_window
    return IterationTrace(request.machines[0].name, target.place, window, listeners.on_notice, request.nominal_macs)


def execute_plan(plan: RunPlan, findings: Findings, teller: Teller) -> None:
    """Execute, or estimate, every wanted step on every machine; each set of operands is opened when it is its turn.

    Raises:
        InputError: operands cannot be used, a layer does not fit a machine, or no layer has a wanted step.
    """
    request = plan.request
    run_set = execute_set if request.sample is None else estimate_set
    with open_keeper(request.memory_limit) as keeper:
        for operand_set in plan.sets:
            stream = plan.options.work.open(operand_set.workload, plan.iteration, keeper)
            findings.note_stream(operand_set, stream)
            run_set(plan, operand_set, stream, findings, teller)
    if not findings.results:
        wanted = " or ".join(request.steps)
        raise InputError(f"no layer that matches '{request.layers}' has a step {wanted}; nothing can be simulated")
    findings.sort_results()
    if request.is_whole:
        add_whole(plan, findings)


def add_whole(plan: RunPlan, findings: Findings) -> None:
    """Add what belongs to a run of all layers: passes over activations and, with GTW, those over parameters."""
    request = plan.request
    network, steps = request.workload.network, partial(list_steps, request.workload)
    findings.add_passes(network, request.steps, plan.residencies, find_all_copied(plan.sets))
    if request.workload.form.recompute_patterns and request.steps == tuple(Step):
        findings.add_repeated(network, steps, request.workload.form.recompute_patterns)
    if Step.GTW in request.steps:
        findings.add_accumulations(network, steps)
        cost = find_update_cost(request.workload.form.update)
        if cost is not None:
            findings.add_updates(network, cost, steps)


def execute_set(
    plan: RunPlan, operand_set: OperandSet, stream: OperandStream, findings: Findings, teller: Teller
) -> None:
    """Execute the wanted steps on the machines of one set of operands."""
    with execute_work(list_work(plan.request, operand_set, stream), plan.options, plan.request.jobs) as executed:
        for runs in executed:
            findings.add(runs)
            teller.tell(runs)


def estimate_set(
    plan: RunPlan, operand_set: OperandSet, stream: OperandStream, findings: Findings, teller: Teller
) -> None:
    """Estimate the wanted steps on the machines of one set of operands."""
    request = plan.request
    sample = SampleOptions(request.fraction, find_seed(stream), request.nominal_macs)
    options = dataclasses.replace(plan.options, sample=sample)
    for runs in estimate_steps(stream, operand_set, request.chosen, request.steps, options, request.jobs, teller):
        findings.add(runs)


def find_seed(stream: OperandStream) -> int:
    """Give the key of what is drawn of operands: their own seed, where they have one."""
    return DEFAULT_SEED if stream.seed is None else stream.seed


def list_work(
    request: SimulationRequest, operand_set: OperandSet, stream: OperandStream
) -> Iterator[tuple[Operands, Step, tuple[Architecture, ...]]]:
    """List the wanted (layer, step) of a set of operands, with the machines that work on it."""
    for operands in stream.layers:
        if operands.layer in request.chosen:
            dealt = operand_set.deal(operands)
            for step in operands.steps:
                if step in request.steps:
                    yield from ((seen, step, machines) for seen, machines in dealt)


def record_run(plan: RunPlan, findings: Findings) -> RunResult:
    """Make the record of a run, and what Python is given of it."""
    request, streams, results = plan.request, findings.streams, findings.results
    record = make_record(
        plan.inputs, request.contenders, streams, results, findings.step_actions, judge(request, findings),
        findings.failures,
    )  # fmt: skip
    names = [machine.name for machine in request.machines]
    notices = make_notices(request.workload, names, streams, results)
    sampling = None
    if request.sample is not None:
        seed = find_seed(streams[names[0]])
        sampling = summarize_sampling(request.sample, seed, results, findings.spreads, record["totals"])
    dead_layers = list(notices.dead_layers)
    told = {
        "notices": list(notices.sentences),
        "dead_layers": dead_layers,
        "sampling": sampling,
        "memory": record_memory(request),
    }
    directory = plan.targets.directory
    return RunResult(
        workload=request.workload,
        machines=request.machines,
        operand_source=record["operand_source"],
        steps=tuple(results),
        failures=tuple(findings.failures),
        notices=notices.sentences,
        outputs=findings.outputs,
        directory=None if directory is None else directory.shown,
        record=record | told,
    )


def judge(request: SimulationRequest, findings: Findings) -> str:
    """Say in a word how a run's values compare with the reference."""
    if not request.is_verified:
        return "not verified"
    return "failed" if findings.failures else "verified"


def list_sampling_misses(request: SimulationRequest, result: RunResult) -> list[str]:
    """Say where a run that samples as little as its aim allows missed the aim."""
    if request.sample is None or request.fraction is not None:
        return []
    return list_misses(result.record["sampling"], result.totals, AIM)
