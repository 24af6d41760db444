"""The reference: the host's training iteration, its pruning and the optimiser's pure update, all in numpy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.host import OUTPUT, Iteration, run_iteration
from workloads.kinds.execution import Parameters
from workloads.losses import Evaluation
from workloads.optimisers.optimiser import Optimiser
from workloads.profile_plan import list_output_figures
from workloads.pruners.site import SitePruning
from workloads.pruning import measure_density
from workloads.training.batches import Batch
from workloads.training.evaluation import Score, evaluate_batch
from workloads.training.iteration import run_pruned_iteration
from workloads.training.plan import TrainingPlan
from workloads.training.record import BatchOutcome, SiteOutcome
from workloads.training.state import Arrays, TrainingState
from workloads.workers import shared_work


@dataclass(frozen=True, slots=True)
class Notes:
    """What layers tell during an iteration.

    Attributes:
        statistics: Of the batch, by the names of those that follow them.
        densities: Of the outputs of layers that are watched.
    """

    statistics: dict[str, NDArray[Any]] = field(default_factory=dict)
    densities: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, name: str, values: NDArray[Any]) -> None:
        """Keep a statistic, or the density of an output alone."""
        layer, _, tensor = name.rpartition("/")
        if tensor == OUTPUT:
            self.densities[layer, tensor] = measure_density(values)
        else:
            self.statistics[name] = values


class NumpyHost:
    """The host's own numpy code."""

    name = "numpy"

    def open(self, plan: TrainingPlan, state: TrainingState) -> NumpyTraining:
        """Go on with a training from a state."""
        return NumpyTraining(plan, state)


class NumpyTraining:
    """A training under way in numpy."""

    def __init__(self, plan: TrainingPlan, state: TrainingState) -> None:
        self._plan = plan
        self._state = state
        self._network_of = lru_cache(maxsize=2)(plan.make_network)

    @property
    def state(self) -> TrainingState:
        """Give the state between two iterations."""
        return self._state

    def train_batch(self, batch: Batch) -> BatchOutcome:
        """Run the next iteration and update the state."""
        plan, state = self._plan, self._state
        number, given = state.iteration, (batch.images, batch.targets)
        noted = Notes()
        watched = list_output_figures(plan.network) if plan.is_recorded(number) else frozenset[str]()
        options = dataclasses.replace(plan.host_options, note=noted.take, watched=watched)
        if plan.pruning is None or state.pruning is None:
            found = run_iteration(
                plan.network, state.parameters, *given, seed=plan.seed, iteration=number, options=options
            )
            prunings, pushed = {}, state.pruning
        else:
            done = run_pruned_iteration(
                plan.network, state.parameters, given, pruning=plan.pruning, state=state.pruning, seed=plan.seed,
                iteration=number, options=options,
            )  # fmt: skip
            found, prunings, pushed = done.iteration, dict(done.prunings), done.state
        densities = measure_densities(found) | noted.densities if plan.is_recorded(number) else {}
        outcome = describe_batch(found, prunings, densities)
        optimiser = set_rate(plan.form.optimiser, plan.learning_rate(number))
        # What overflows is found in the next iteration's loss, or at the end of the epoch.
        with np.errstate(over="ignore", invalid="ignore"), shared_work(plan.form.threads):
            update = optimiser.update(state.parameters, found.grads, state.optimiser)
            self._state = dataclasses.replace(
                state,
                iteration=number + 1,
                parameters=mask(update.parameters, plan.masks),
                optimiser=update.state,
                statistics=follow(state.statistics, noted.statistics, plan.form.statistics_momentum),
                pruning=pushed,
            )
        return outcome

    def end_epoch(self) -> None:
        """Count an epoch as done."""
        self._state = dataclasses.replace(self._state, epoch=self._state.epoch + 1)

    def evaluate(self, batches: Iterable[Batch]) -> Score:
        """Compute loss and accuracy of images in evaluation mode."""
        return evaluate_all(self._evaluate_batch, batches)

    def _evaluate_batch(self, batch: Batch) -> Evaluation:
        network, state = self._network_of(len(batch.images)), self._state
        return evaluate_batch(
            network, state.parameters, state.statistics, batch.images, batch.targets, self._plan.form.threads
        )


def evaluate_all(evaluate: Callable[[Batch], Evaluation], batches: Iterable[Batch]) -> Score:
    """Evaluate all batches, and weigh their scores by their images.

    Args:
        evaluate: Computes the losses of one.
    """
    images, loss, hits = 0, 0.0, 0.0
    has_accuracy = True
    for batch in batches:
        found = evaluate(batch)
        count, accuracy = len(batch.images), found.accuracy
        images, loss = images + count, loss + count * found.total
        has_accuracy &= accuracy is not None
        hits += count * (accuracy or 0.0)
    return Score(images, loss / images, hits / images if has_accuracy else None)


def set_rate(optimiser: Optimiser, learning_rate: float) -> Optimiser:
    """Give the optimiser with the learning rate of an iteration."""
    return optimiser.model_copy(update={"learning_rate": learning_rate})


def mask(parameters: Parameters, masks: Arrays | None) -> Parameters:
    """Keep masked weights at zero."""
    if masks is None:
        return parameters
    return {name: values * masks[name] if name in masks else values for name, values in parameters.items()}


def follow(statistics: Arrays, noted: Parameters, momentum: float) -> dict[str, NDArray[np.float32]]:
    """Let running statistics follow those of a batch."""
    kept, taken = np.float32(1 - momentum), np.float32(momentum)
    return {name: kept * running + taken * noted[name].astype(np.float32) for name, running in statistics.items()}


def describe_batch(
    found: Iteration, prunings: dict[str, SitePruning], densities: dict[tuple[str, str], float]
) -> BatchOutcome:
    """Tell what an iteration was.

    Args:
        densities: Empty where they are not recorded.
    """
    sites = {node: describe_site(one) for node, one in prunings.items()}
    return BatchOutcome(found.loss, found.accuracy, sites, densities)


def describe_site(one: SitePruning) -> SiteOutcome:
    """Tell what happened to a gradient."""
    return SiteOutcome(
        one.threshold, one.own_threshold, one.density_before, one.density_after, one.sigma, one.snapped,
        one.aimed_density,
    )  # fmt: skip


def measure_densities(found: Iteration) -> dict[tuple[str, str], float]:
    """Measure the densities of the tensors that every layer met, pruned where they were."""
    densities: dict[tuple[str, str], float] = {}
    for layer, tensors in found.tensors.items():
        weight = found.parameters.get(f"{layer}/weight") if tensors.factor is None else tensors.factor
        named = {"input": tensors.input, "weight": weight, "grad_output": tensors.grad_output}
        if tensors.grad_output_for_gta is not None:
            named["grad_output_for_gta"] = tensors.grad_output_for_gta
        for name, values in named.items():
            assert values is not None
            densities[layer, name] = measure_density(values)
    return densities
