"""The host's training in torch: the reference's graph, draws, pruning and updates, by torch's layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from workloads.errors import InputError
from workloads.forward_walk import walk_forward
from workloads.host import check_finite, check_images, check_parameters
from workloads.losses import Evaluation, evaluate_losses, make_targets
from workloads.network import Network, Node
from workloads.optimisers.optimiser import OptimiserState
from workloads.reference.threads import fixed_blas_threads
from workloads.training.batches import Batch
from workloads.training.evaluation import Score
from workloads.training.hosts.numpy_host import describe_site, evaluate_all, set_rate
from workloads.training.hosts.torch_hooks import BackwardHooks
from workloads.training.hosts.torch_kinds import Tensor, TorchPlace, run_layer, to_array, to_tensor
from workloads.training.hosts.torch_optimisers import Slots, update_tensor
from workloads.training.plan import TrainingPlan
from workloads.training.record import BatchOutcome
from workloads.training.state import Arrays, TrainingState
from workloads.workers import shared_work

Values = dict[str, Tensor]


class TorchHost:
    """Torch, on a processor or a graphics card.

    Raises:
        InputError: there is no such device.
    """

    name = "torch"

    def __init__(self, device: str = "cpu") -> None:
        try:
            self.device = torch.device(device)
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError, NotImplementedError):
            raise InputError(
                f"--host torch:{device}: torch finds no such device; torch alone takes the processor"
            ) from None

    def open(self, plan: TrainingPlan, state: TrainingState) -> TorchTraining:
        """Go on with a training from a state."""
        return TorchTraining(plan, state, self.device)


class TorchTraining:
    """A training under way in torch."""

    def __init__(self, plan: TrainingPlan, state: TrainingState, device: Any) -> None:
        check_parameters(plan.network, state.parameters)
        self._plan = plan
        self._device = device
        self._network_of = lru_cache(maxsize=2)(plan.make_network)
        self._masks = self._move({} if plan.masks is None else plan.masks)
        self._parameters = {name: one.requires_grad_() for name, one in self._move(state.parameters).items()}
        self._statistics = self._move(state.statistics)
        self._slots: dict[str, Slots] = {name: self._move(slots) for name, slots in state.optimiser.slots.items()}
        # What is not a tensor, and all tensors where none was changed since they were asked for.
        self._state = state
        self._is_current = True

    def _move(self, arrays: Arrays) -> Values:
        return {name: to_tensor(np.array(values, np.float32), self._device) for name, values in arrays.items()}

    @property
    def state(self) -> TrainingState:
        """Give the state between two iterations."""
        if not self._is_current:
            slots = {name: copy_arrays(kept) for name, kept in self._slots.items()}
            self._state = dataclasses.replace(
                self._state,
                parameters=copy_arrays(self._parameters),
                optimiser=OptimiserState(self._state.optimiser.updates, slots),
                statistics=copy_arrays(self._statistics),
            )
            self._is_current = True
        return self._state

    def train_batch(self, batch: Batch) -> BatchOutcome:
        """Run the next iteration and update the state."""
        plan, number = self._plan, self._state.iteration
        check_images(plan.network, batch.images)
        targets = make_targets(plan.network, batch.targets)
        hooks = BackwardHooks(plan, self._state.pruning, number, self._device)
        # The statistics of before are needed again where the numbers overflow.
        statistics = {name: values.clone() for name, values in self._statistics.items()}
        with fixed_surroundings(plan.form.threads, self._device):
            momentum = plan.form.statistics_momentum
            place = TorchPlace({}, momentum, seed=plan.seed, iteration=number)
            scores = run_forward(plan.network, self._parameters, statistics, self._load(batch), place, hooks.run)
            found = evaluate_scores(plan.network, scores, targets)
            self._differentiate(scores, found)
            gradients = self._take_gradients()
            outcome = BatchOutcome(
                found.total,
                found.accuracy,
                {node: describe_site(one) for node, one in hooks.prunings.items()},
                hooks.measure_densities(self._parameters),
            )
            self._update(gradients)
        self._statistics, self._is_current = statistics, False
        optimiser = OptimiserState(self._state.optimiser.updates + 1)
        self._state = dataclasses.replace(
            self._state, iteration=number + 1, optimiser=optimiser, pruning=hooks.push_thresholds()
        )
        return outcome

    def end_epoch(self) -> None:
        """Count an epoch as done."""
        self._state = dataclasses.replace(self._state, epoch=self._state.epoch + 1)

    def evaluate(self, batches: Iterable[Batch]) -> Score:
        """Compute loss and accuracy of images in evaluation mode."""
        return evaluate_all(self._evaluate_batch, batches)

    def _evaluate_batch(self, batch: Batch) -> Evaluation:
        network = self._network_of(len(batch.images))
        targets = make_targets(network, batch.targets)
        with fixed_surroundings(self._plan.form.threads, self._device), torch.no_grad():
            scores = run_forward(network, self._parameters, self._statistics, self._load(batch), TorchPlace({}, None))
            return evaluate_scores(network, scores, targets)

    def _load(self, batch: Batch) -> Tensor:
        return to_tensor(batch.images, self._device)

    def _differentiate(self, scores: Values, found: Evaluation) -> None:
        """Hand the gradients of the losses back, as the reference has them.

        Raises:
            NotFiniteError: the loss or a gradient that is pruned is no finite number.
        """
        check_finite(self._plan.network, found.total, {})
        for parameter in self._parameters.values():
            # An iteration whose numbers overflowed may have left some.
            parameter.grad = None
        wanted = {name: values for name, values in scores.items() if values.requires_grad}
        gradients = [to_tensor(found.grad_scores(name), self._device) for name in wanted]
        torch.autograd.backward(list(wanted.values()), gradients)

    def _take_gradients(self) -> Values:
        """Take the gradients to the parameters.

        Raises:
            NotFiniteError: one of them is no finite number.
        """
        gradients: Values = {}
        for name, parameter in self._parameters.items():
            gradients[name] = parameter.grad
            parameter.grad = None
        extremes = torch.stack([torch.stack(one.aminmax()) for one in gradients.values()])
        check_finite(self._plan.network, 0.0, dict(zip(gradients, to_array(extremes), strict=True)))
        return gradients

    def _update(self, gradients: Values) -> None:
        number, updates = self._state.iteration, self._state.optimiser.updates
        optimiser = set_rate(self._plan.form.optimiser, self._plan.learning_rate(number))
        for name, parameter in self._parameters.items():
            update_tensor(optimiser, parameter, gradients[name], self._slots.setdefault(name, {}), updates)
        with torch.no_grad():
            for name, mask in self._masks.items():
                self._parameters[name].mul_(mask)


def run_node(node: Node, read: list[Tensor], own: Values, place: TorchPlace) -> Tensor:
    """Compute a node's output."""
    return run_layer(node.layer, read, own, place)


def run_forward(
    network: Network,
    parameters: Values,
    statistics: Values,
    images: Tensor,
    place: TorchPlace,
    run: Callable[[Node, list[Tensor], Values, TorchPlace], Tensor] = run_node,
) -> Values:
    """Compute what each loss reads, by the losses' names.

    Args:
        statistics: Running ones; in training they are changed.
        run: Computes a node's output from what it reads and its parameters.
    """

    def compute_node(node: Node, read: list[Tensor]) -> Tensor:
        shape = node.input_shapes[0]
        own = {name: parameters[f"{node.name}/{name}"] for name in node.layer.list_parameters(shape)}
        running = {name: statistics[f"{node.name}/{name}"] for name in node.layer.list_statistics(shape)}
        needs_grad_input = not network.trained.isdisjoint(node.inputs)
        here = dataclasses.replace(place, running=running, needs_grad_input=needs_grad_input)
        return run(node, read, own, here)

    return walk_forward(network, images, compute_node)


def evaluate_scores(network: Network, scores: Values, targets: Mapping[str, Any]) -> Evaluation:
    """Compare the scores with the targets, as the reference does."""
    with np.errstate(over="ignore", invalid="ignore"):
        return evaluate_losses(network, {name: to_array(values) for name, values in scores.items()}, targets)


def copy_arrays(tensors: Values) -> Arrays:
    """Copy tensors into arrays."""
    return {name: to_array(values).copy() for name, values in tensors.items()}


@contextmanager
def fixed_surroundings(threads: int, device: Any) -> Iterator[None]:
    """Run the block on so many threads, and by algorithms that give the same result again on a processor."""
    before, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
    # A graphics card would round factors to ten bits by default.
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with fixed_blas_threads(), shared_work(threads), flags:
            yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(was_deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = filled
