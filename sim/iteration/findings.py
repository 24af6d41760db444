"""What the steps of a run found, gathered as they end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.iteration.microbatches import repeat_actions, repeat_result
from sim.iteration.policies import OperandSet
from sim.iteration.sampling_record import share_simulated
from sim.results.rows import StepResult
from sim.results.trace_file import IterationTrace
from sim.sampling.intervals import Spread, scale_spread
from sim.step.pass_run import list_machine_iteration, run_passes
from sim.step.recomputation import repeat_forward
from sim.step.residency import NO_RESIDENCY, Residency
from sim.step.stored_tensors import StoredBytes
from sim.step.update_run import run_accumulations, run_updates
from sim.step.work import StepRun
from workloads.arrays import Float32Array
from workloads.network import Network
from workloads.optimisers.optimiser import ElementwiseCost
from workloads.recomputation import RECOMPUTE
from workloads.shapes import Step
from workloads.sources.source import OperandStream


class Findings:
    """What the steps of a run found, gathered as they end.

    Attributes:
        trace: Of the first machine's events in one microbatch, without the update; None for none.
    """

    def __init__(self, machines: tuple[Architecture, ...], trace: IterationTrace | None, microbatches: int = 1) -> None:
        self._machines = machines
        self._microbatches = microbatches
        self.trace = trace
        self._stored: dict[str, dict[str, StoredBytes]] = {machine.name: {} for machine in machines}
        self.streams: dict[str, OperandStream] = {}
        self.results: list[StepResult] = []
        self.failures: list[str] = []
        self.outputs: dict[str, Float32Array] = {}
        self.step_actions: list[tuple[StepResult, ActionCounts]] = []
        self.spreads: dict[tuple[str, str, str], tuple[Spread, Spread]] = {}

    def note_stream(self, operand_set: OperandSet, stream: OperandStream) -> None:
        """Note where the operands of some machines are from, before their steps are added."""
        for contender in operand_set.contenders:
            self.streams[contender.machine.name] = stream

    def add(self, runs: Sequence[StepRun]) -> None:
        """Add one step's runs on all machines."""
        for run in runs:
            machine, layer = run.result.machine, run.result.layer
            self._add_result(run.result, run.counts, self._microbatches)
            if run.spreads is not None:
                cycles, energy = (scale_spread(spread, self._microbatches) for spread in run.spreads)
                self.spreads[layer, run.result.step, machine] = cycles, energy
            if run.message:
                self.failures.append(f"{run.message} on {machine}")
            if self.trace is not None and run.trace is not None:
                self.trace.add(layer, run.result.step, run.result.cycles, run.trace, run.result.nominal_macs)
            self._stored[machine][layer] = self._stored[machine].get(layer, StoredBytes()).merge(run.stored)
            if run.output is not None and machine == self._machines[0].name:
                self.outputs[f"{layer}/{run.result.step}"] = run.output

    def sort_results(self) -> None:
        """Put the results of all machines side by side, layer by layer and step by step."""
        places = {key: place for place, key in enumerate(dict.fromkeys((row.layer, row.step) for row in self.results))}
        order = {machine.name: place for place, machine in enumerate(self._machines)}
        self.results.sort(key=lambda row: (places[row.layer, row.step], order[row.machine]))

    def add_passes(
        self,
        network: Network,
        steps: Sequence[Step],
        residencies: Mapping[str, Residency],
        copied: Mapping[str, frozenset[str]],
    ) -> None:
        """Add the elementwise passes, whose tensors are stored as the steps found them.

        Args:
            residencies: What stays in the buffers of some machines.
            copied: For each machine the layers whose GTA reads a pruned copy of its gradient.
        """
        for machine in self._machines:
            stored = self._stored[machine.name]
            # A pass moves the bytes that the steps were found to store: where those are estimates, so is the pass.
            share = share_simulated(self.results, machine.name)
            pruned, residency = self.streams[machine.name].pruned, residencies.get(machine.name, NO_RESIDENCY)
            found = run_passes(network, machine, stored, steps, pruned, residency, copied[machine.name])
            for result, counts in found:
                row = dataclasses.replace(result, sampled_fraction=share)
                self._add_result(row, counts, self._microbatches)
                if self.trace is not None and machine is self._machines[0]:
                    self.trace.add(result.layer, result.step, result.cycles, None)

    def add_repeated(
        self, network: Network, list_steps: Callable[[str], tuple[Step, ...]], patterns: Sequence[str]
    ) -> None:
        """Add the forward steps and passes that are repeated in the backward half, as they were executed before.

        Args:
            patterns: Of layers whose outputs are not stored.
        """
        rows = {(row.machine, row.layer, row.step): row for row in self.results}
        actions = {(row.machine, row.layer, row.step): counts for row, counts in self.step_actions}
        for machine in self._machines:
            order = list_machine_iteration(network, machine, list_steps)
            for one in repeat_forward(network, order, patterns).again:
                key = machine.name, one.node, Step.FORWARD.value
                if key not in rows:
                    # A pass of an ideal machine.
                    continue
                row = dataclasses.replace(rows[key], step=RECOMPUTE)
                self.results.append(row)
                if key in actions:
                    self.step_actions.append((row, actions[key]))
                self._repeat_spread(one.node, machine.name)
                if self.trace is not None and machine is self._machines[0]:
                    self.trace.add(row.layer, RECOMPUTE, row.cycles // self._microbatches, None)

    def _repeat_spread(self, layer: str, machine: str) -> None:
        """Note how far the estimate of a repeated step is off: exactly as far as that of the first time.

        Where spreads are summed as of independent estimates, both together are to have 2^2 times the variance of one.
        """
        if (spreads := self.spreads.get((layer, Step.FORWARD.value, machine))) is not None:
            cycles, energy = (scale_spread(spread, math.sqrt(3)) for spread in spreads)
            self.spreads[layer, RECOMPUTE, machine] = cycles, energy

    def add_accumulations(self, network: Network, list_steps: Callable[[str], tuple[Step, ...]]) -> None:
        """Add the sums of the gradients of all microbatches behind the first."""
        if self._microbatches > 1:
            for machine in self._machines:
                for result, counts in run_accumulations(network, machine, list_steps):
                    self._add_result(result, counts, self._microbatches - 1)

    def add_updates(
        self, network: Network, cost: ElementwiseCost, list_steps: Callable[[str], tuple[Step, ...]]
    ) -> None:
        """Add the updates of parameters, whose bytes follow from shapes."""
        for machine in self._machines:
            for result, counts in run_updates(network, machine, cost, list_steps):
                self._add_result(result, counts)

    def _add_result(self, result: StepResult, counts: ActionCounts | None, times: int = 1) -> None:
        named = dataclasses.replace(result, operands=self.streams[result.machine].headline)
        if times > 1:
            named, counts = repeat_result(named, times), repeat_actions(counts, times)
        self.results.append(named)
        if counts is not None:
            self.step_actions.append((named, counts))
