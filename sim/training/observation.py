"""The machine in the loop: iterations of a training, executed with the very tensors that it has there.

The host's reference computes an iteration from the training's state and batch, with pruning and again without. The
machines execute the batch as microbatches: one, of the first images of every tensor, is executed, and counts for all.
The gradient to a weight is then that of these images. Statistics of batch norm are those of the whole batch, as they
are on the host.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sim.checks import list_steps
from sim.iteration.findings import Findings
from sim.iteration.policies import Contender
from sim.iteration.progress import Teller
from sim.iteration.request import SimulationRequest
from sim.iteration.simulation import RunPlan, execute_plan, plan_run
from sim.results.rows import SCOPES, StepResult
from sim.results.totals import WITH_UPDATE, sum_machine
from sim.sampling.intervals import Spread, add_independent
from sim.step.work import StepWork
from sim.training.contenders import DENSE, ObservedMachine, list_observed
from workloads.errors import InputError
from workloads.host import Iteration, run_iteration
from workloads.kept_tensors import TensorKeeper
from workloads.layer_images import select_images
from workloads.network import Network
from workloads.operands import Operands
from workloads.pruning import measure_density
from workloads.row_kinds import COMPUTE_KINDS, CONVOLUTION_KINDS
from workloads.shapes import Step
from workloads.sources.source import OperandStream
from workloads.training.batches import Batch
from workloads.training.form import SimulatedIterations
from workloads.training.iteration import PrunedIteration, run_pruned_iteration
from workloads.training.plan import TrainingPlan
from workloads.training.state import TrainingState
from workloads.workload import Workload

# The two sets of operands of an iteration.
AS_TRAINED, UNPRUNED = "as_trained", "unpruned"
HEADLINE = "an iteration of a training on the host"


@dataclasses.dataclass(eq=False)
class ObservedWork(StepWork):
    """Opens the operands of the iteration that is looked at, whatever the workload's own are.

    Attributes:
        images: The numbers of those of the batch that are executed.
        densities: What was found in the layers that were opened, by set of operands, layer and tensor.
    """

    images: Sequence[int] = (0,)
    as_trained: Iteration | PrunedIteration | None = None
    unpruned: Iteration | None = None
    seed: int = 0
    densities: dict[str, dict[str, dict[str, float]]] = dataclasses.field(default_factory=dict)

    def look_at(self, as_trained: Iteration | PrunedIteration, unpruned: Iteration) -> None:
        """Take the operands of another iteration from now on."""
        self.as_trained, self.unpruned, self.densities = as_trained, unpruned, {}

    def release(self) -> None:
        """Let go of the tensors of the iteration."""
        self.as_trained = self.unpruned = None

    def open(
        self, workload: Workload, iteration: int | None, keeper: TensorKeeper | None = None  # noqa: ARG002
    ) -> OperandStream:  # fmt: skip
        """Open the operands with the workload's pruning, or those without."""
        found = self.unpruned if workload.form.pruning is None else self.as_trained
        assert found is not None, "an iteration is looked at before its operands are opened"
        pruned = found.pruned if isinstance(found, PrunedIteration) else frozenset[str]()
        name = UNPRUNED if workload.form.pruning is None else AS_TRAINED
        return OperandStream(self._select(found.operands(), name), HEADLINE, self.seed, {}, pruned)

    def _select(self, layers: Iterable[Operands], name: str) -> Iterator[Operands]:
        found = self.densities.setdefault(name, {})
        for operands in layers:
            whole = operands.shape.batch == len(self.images)
            chosen = operands if whole else select_images(operands, self.images)
            found[chosen.layer] = measure_densities(chosen)
            yield chosen


class MachineObserver:
    """Executes iterations of a training on machines, before the host runs them."""

    def __init__(
        self,
        plan: TrainingPlan,
        workload: Workload,
        contenders: Sequence[Contender],
        *,
        sample: str | float | None = None,
        verifies: bool = True,
    ) -> None:
        """Choose the machines.

        Args:
            workload: Of the plan; its batch plays no part.
            contenders: The machine, and those that it is compared with.
            sample: As `sim.iteration.sampling.name_sample` writes it, None for whole steps.

        Raises:
            InputError: a baseline prunes at a rate of its own, or the batch is not cut into equal parts.
        """
        self._plan = plan
        self._at = plan.form.simulate_at or SimulatedIterations()
        self._images = min(self._at.images, plan.form.batch)
        self._work = ObservedWork(images=range(self._images), seed=plan.seed)
        self._prunes = plan.pruning is not None and plan.pruning.rate > 0
        self._machines = list_observed(contenders, prunes=self._prunes)
        self._workload = cut_batch(workload, plan, self._images)
        self._sample, self._verifies = sample, verifies
        self._plans: dict[tuple[ObservedMachine, ...], RunPlan] = {}
        # The dense machine's figures follow from shapes alone.
        self._dense: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def machines(self) -> tuple[ObservedMachine, ...]:
        """The machines, and the sparsity that each meets."""
        return self._machines

    def wants(self, iteration: int) -> bool:
        """Tell whether an iteration is looked at.

        It is the first of every so manieth epoch, the first that is pruned, where the FIFO of thresholds has to be
        filled before, or the last of all.
        """
        if self._plan.form.simulate_at is None:
            return False
        if iteration == self._plan.unpruned_iterations:
            return True
        epoch, number = divmod(iteration, self._plan.epoch_iterations)
        is_first = number == 0 and epoch % self._at.every_epochs == 0
        return is_first or iteration == self._plan.iterations - 1

    def observe(self, state: TrainingState, batch: Batch) -> Mapping[str, Any]:
        """Execute the next iteration, and give cycles and energy of every machine, by layer and step.

        Raises:
            NotFiniteError: the loss or a gradient is no finite number.
        """
        open_machines = tuple(one for one in self._machines if one.key not in self._dense)
        sources: dict[str, dict[str, Any]] = {}
        self._work.densities = {}
        failures: list[str] = []
        found: dict[tuple[str, str], dict[str, Any]] = {}
        # A dense machine by itself meets no values: behind its first iteration nothing is computed for it.
        if open_machines:
            as_trained, unpruned = self.compute(state, batch)
            sources = relate_gradients(unpruned)
            self._work.look_at(as_trained, unpruned)
            del as_trained, unpruned
            findings = self.execute(open_machines)
            self._work.release()
            failures = list(findings.failures)
            found = {one.key: describe_machine(one, findings) for one in open_machines}
        self._dense |= {key: told for key, told in found.items() if key[0] == DENSE}
        return {
            "images": self._images,
            "batch": len(batch.images),
            "densities": self._work.densities,
            "gradient_sources": sources,
            "machines": [found[one.key] if one.key in found else self._dense[one.key] for one in self._machines],
            "failures": failures,
        }

    def compute(self, state: TrainingState, batch: Batch) -> tuple[Iteration | PrunedIteration, Iteration]:
        """Compute the next iteration as it is trained, and what it were without pruning."""
        plan, given = self._plan, (batch.images, batch.targets)
        options, number = plan.host_options, state.iteration
        if not self._prunes or plan.pruning is None or state.pruning is None:
            found = run_iteration(
                plan.network, state.parameters, *given, seed=plan.seed, iteration=number, options=options
            )
            return found, found
        done = run_pruned_iteration(
            plan.network, state.parameters, given, pruning=plan.pruning, state=state.pruning, seed=plan.seed,
            iteration=number, options=options,
        )  # fmt: skip
        if not any(one.is_pruned for one in done.prunings.values()):
            return done, done.iteration
        found = run_iteration(plan.network, state.parameters, *given, seed=plan.seed, iteration=number, options=options)
        return done, found

    def execute(self, machines: tuple[ObservedMachine, ...]) -> Findings:
        """Execute the iteration that is looked at on some machines."""
        plan = self.plan_run(machines)
        workload = plan.request.workload
        findings = Findings(plan.request.machines, None, workload.form.accumulate or 1)
        execute_plan(plan, findings, Teller(plan.request.nominal_macs, None))
        findings.add_updates(workload.network, self._plan.form.optimiser.cost(), partial(list_steps, workload))
        return findings

    def plan_run(self, machines: tuple[ObservedMachine, ...]) -> RunPlan:
        """Decide, once, how some machines execute iterations."""
        if machines not in self._plans:
            request = SimulationRequest(
                workload=self._workload,
                contenders=tuple(one.contender for one in machines),
                steps=tuple(Step),
                layers="*",
                chosen=frozenset(node.name for node in self._workload.network.compute_nodes()),
                sample=self._sample,
                verifies=self._verifies,
            )
            self._plans[machines] = plan_run(request, self._work)
        return self._plans[machines]


def cut_batch(workload: Workload, plan: TrainingPlan, images: int) -> Workload:
    """Give the workload of the iterations that are executed, in microbatches of so many images.

    Updates of parameters are left to the training's own optimiser.

    Raises:
        InputError: the batch is not cut into equal ones.
    """
    batch = plan.form.batch
    if batch % images:
        raise InputError(
            f"{workload.label}: training.simulate_at.images must divide the {batch} images of a batch, which the "
            f"machine works in equal parts, got {images}"
        )
    pruning = plan.pruning if plan.pruning is not None and plan.pruning.rate > 0 else None
    part = workload.with_changes(batch=images)
    changed = {"batch": batch, "accumulate": batch // images, "pruning": pruning, "update": None}
    return dataclasses.replace(part, form=part.form.model_copy(update=changed))


def measure_densities(operands: Operands) -> dict[str, float]:
    """Measure the densities of a layer's operands."""
    tensors = {"input": operands.input, "weight": operands.weight, "grad_output": operands.grad_output}
    if operands.grad_output_for_gta is not None:
        tensors["grad_output_for_gta"] = operands.grad_output_for_gta
    return {name: measure_density(values) for name, values in tensors.items()}


def relate_gradients(found: Iteration) -> dict[str, dict[str, Any]]:
    """Relate the density of the gradient to each layer's output to that of what the next layer reads.

    Without pruning such a gradient is as dense as the mask that it went through, but for poolings on its way. Layers
    with several readers are left out, and those whose gradient is made dense.
    """
    related = {}
    for layer, tensors in found.tensors.items():
        reader = find_reader(found.network, layer)
        read = 0.0 if reader is None else measure_density(found.tensors[reader].input)
        if read:
            related[layer] = {"layer": reader, "ratio": measure_density(tensors.grad_output) / read}
    return related


def find_reader(network: Network, layer: str) -> str | None:
    """Find the layer that alone reads a layer's output, behind nothing that makes its gradient dense."""
    name = layer
    while True:
        readers = network.consumers(name)
        if len(readers) != 1 or readers[0].layer.traits.is_loss or readers[0].layer.traits.densifies_gradient:
            return None
        name = readers[0].name
        if readers[0].layer.traits.is_computed:
            return name


def describe_machine(one: ObservedMachine, findings: Findings) -> dict[str, Any]:
    """Give what a machine took for an iteration of a whole batch, as plain data: by layer and step, and in all.

    The scope `network` is without the update of parameters, as in the record of a run.

    Half widths of 95 % intervals stand in scopes where steps were sampled.
    """
    name = one.contender.machine.name
    rows = [row for row in findings.results if row.machine == name]
    compared = [row for row in rows if row.kind in COMPUTE_KINDS]
    totals = sum_machine(rows, has_updates=True)
    return {
        "policy": one.policy,
        "machine": one.machine,
        "verified": all(row.verified for row in compared),
        "rows": [
            {"layer": row.layer, "kind": row.kind, "step": row.step, "cycles": row.cycles, "energy_pj": row.energy_pj}
            for row in rows
        ],
        **{
            scope: {
                "cycles": totals[scope]["cycles"],
                "energy_pj": totals[scope]["energy_pj"],
                **tell_sampling(rows, findings, name, scope),
            }
            for scope in (*SCOPES, WITH_UPDATE)
        },
    }


def tell_sampling(rows: Sequence[StepResult], findings: Findings, machine: str, scope: str) -> dict[str, float]:
    """Give the half widths of the intervals of a sampled machine's totals; nothing where steps were whole."""
    spreads = [
        findings.spreads.get((row.layer, row.step, machine))
        for row in rows
        if scope != "convolutions" or row.kind in CONVOLUTION_KINDS
    ]
    found: list[tuple[Spread, Spread]] = [spread for spread in spreads if spread is not None]
    if not found:
        return {}
    cycles, energy = (add_independent(one[place] for one in found).half_width for place in (0, 1))
    return {"cycles_ci95": cycles, "energy_ci95_pj": energy}
