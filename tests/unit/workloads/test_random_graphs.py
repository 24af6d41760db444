"""Gradients of random networks with branches in float64 equal finite differences; what is stored of them adds up."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from random_graphs import CLASSES, INPUT_SHAPE, LAYERS, make_random_network

from workloads.host import FLOAT64, Iteration, initial_parameters, run_iteration
from workloads.network import Network
from workloads.operands import Operands
from workloads.reference.convolution import conv_forward, conv_gta
from workloads.reference.fully_connected import linear_gta
from workloads.reference.matmul import matmul_gta, matmul_gtw
from workloads.shapes import ConvShape, MatmulShape, Step, TransposedConvShape

GRAPHS = 40
STEP = 1e-6
ELEMENTS = 6


def draw_parameters(network: Network, seed: int) -> dict[str, NDArray[np.float64]]:
    parameters = initial_parameters(network, seed)
    rng = np.random.default_rng([seed, 5])
    return {name: values + 0.3 * rng.standard_normal(values.shape) for name, values in parameters.items()}


def draw_batch(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng([seed, 6])
    return rng.standard_normal(INPUT_SHAPE), rng.integers(0, CLASSES, INPUT_SHAPE[0])


@cache
def run_graph(seed: int) -> tuple[Network, dict[str, NDArray[np.float64]], Iteration]:
    network = make_random_network(seed)
    parameters = draw_parameters(network, seed)
    return network, parameters, run_iteration(network, parameters, *draw_batch(seed), seed=seed, options=FLOAT64)


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_the_gradients_of_a_random_graph_equal_finite_differences(seed: int) -> None:
    network, parameters, iteration = run_graph(seed)

    def loss_of(name: str, element: int, change: float) -> float:
        moved = parameters[name].copy()
        moved.flat[element] += change
        changed: dict[str, NDArray[Any]] = {**parameters, name: moved}
        return run_iteration(network, changed, *draw_batch(seed), seed=seed, options=FLOAT64).loss

    for name, values in parameters.items():
        for element in range(0, values.size, 1 + values.size // ELEMENTS):
            difference = (loss_of(name, element, STEP) - loss_of(name, element, -STEP)) / (2 * STEP)
            # The error is STEP^2 times a third derivative, and 1e-16 / STEP of rounding; no ReLU and no maximum of
            # these fixed draws changes within STEP.
            assert iteration.grads[name].flat[element] == pytest.approx(difference, rel=1e-5, abs=1e-7), (name, element)


def test_the_random_graphs_hold_all_layer_kinds_and_every_way_to_sum() -> None:
    kinds: set[str] = set()
    summing: set[str] = set()
    left, counts = 0, set()
    for seed in range(GRAPHS):
        network = make_random_network(seed)
        kinds.update(node.layer.type for node in network.nodes)
        for node in network.nodes:
            if names := network.summed_gradients(node.name):
                summing.add(node.layer.type)
                counts.add((len(names), names[0] == node.inputs[0]))
            left += bool(network.unsummed_gradients(node.name))
    # The images are higher than the one row of signals.
    assert kinds == set(LAYERS.json_schema()["items"]["discriminator"]["mapping"]) - {"conv1d"}
    assert {"conv2d", "batch_norm", "mean_squared_error"} <= summing
    assert {(1, True), (1, False), (2, True), (2, False)} <= counts
    assert left


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_the_last_gta_and_what_it_adds_make_the_whole_gradient(seed: int) -> None:
    network, parameters, _ = run_graph(seed)
    totals: dict[str, NDArray[Any]] = {}

    def keep(name: str, gradient: NDArray[Any], _mask: NDArray[np.bool_] | None) -> NDArray[Any]:
        totals[name] = gradient
        return gradient

    iteration = run_iteration(network, parameters, *draw_batch(seed), seed=seed, options=FLOAT64, hook=keep)
    for operands in iteration.operands():
        node = network.node(operands.layer)
        for (number, source), step in zip(enumerate(node.inputs), (Step.GTA, Step.GTW), strict=False):
            readers = network.gradient_sources(source)
            writers = [reader.name for reader in readers if network.writes_gradient(reader.name, source)]
            if source not in totals or writers[-1] != node.name or network.unsummed_gradients(source):
                continue
            if source in node.inputs[number + 1 :]:
                # A product of a tensor with itself completes the gradient in its second step.
                continue
            summed, mask = operands.find_summed(step), operands.find_finish(step).mask
            assert len(summed) == len(network.summed_gradients(node.name, number))
            own = find_own_share(operands, step)
            total = own + sum(gradient.astype(np.float64) for gradient in summed)
            if mask is not None:
                total = total * mask
            # The operands are rounded to float32; sums have at most some hundred terms.
            np.testing.assert_allclose(total, totals[source], rtol=1e-4, atol=1e-5)


def find_own_share(operands: Operands, step: Step) -> NDArray[np.float64]:
    shape = operands.shape
    input, grad_output, weight = (
        tensor.astype(np.float64) for tensor in (operands.input, operands.grad_output, operands.weight)
    )
    if isinstance(shape, ConvShape):
        return conv_gta(grad_output, weight, shape)
    if isinstance(shape, TransposedConvShape):
        return conv_forward(grad_output, weight, shape.conv)
    if isinstance(shape, MatmulShape):
        if step is Step.GTW:
            return matmul_gtw(input, grad_output, shape)
        return matmul_gta(grad_output, weight, shape)
    return linear_gta(grad_output, weight, shape)
