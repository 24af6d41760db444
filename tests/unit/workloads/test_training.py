"""Training iterations with pruning on the host: warm-up, thresholds of each batch, updates of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from workloads.arrays import BoolArray
from workloads.host import initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.kinds.execution import Parameters
from workloads.network import Network, build_network
from workloads.pruning import PruningKey, PruningState, prune, threshold
from workloads.reference.arrays import Array
from workloads.settings import GradientPruning
from workloads.training.iteration import count_warmup_batches, run_pruned_iteration, warm_up

LAYERS: list[dict[str, Any]] = [
    {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1, "bias": False},
    {"name": "norm1", "type": "batch_norm"},
    {"name": "relu1", "type": "relu"},
    {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel": 3},
    {"name": "relu2", "type": "relu"},
    {"name": "flat", "type": "flatten"},
    {"name": "fc", "type": "linear", "out_features": 3},
    {"name": "loss", "type": "softmax_cross_entropy"},
]
SEED = 5


def make_network() -> Network:
    return build_network("net", (3, 2, 8, 8), TypeAdapter(list[Layer]).validate_python(LAYERS))


def load_batch(number: int) -> tuple[NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(number)
    return draw.standard_normal((3, 2, 8, 8), dtype=np.float32), draw.integers(0, 3, size=3)


def record_gradients(number: int, parameters: Parameters) -> dict[str, tuple[Array, BoolArray | None]]:
    """Run an iteration without pruning and give the gradients at the places of pruning, with their masks."""
    seen: dict[str, tuple[Array, BoolArray | None]] = {}

    def hook(node: str, gradient: Array, mask: BoolArray | None) -> Array:
        seen[node] = (gradient, mask)
        return gradient

    run_iteration(make_network(), parameters, *load_batch(number), seed=SEED, iteration=number, hook=hook)
    return {node: seen[node] for node in ("flat", "conv1")}


def test_the_first_batches_are_not_pruned_and_push_the_thresholds_of_their_own_gradients() -> None:
    network = make_network()
    parameters = initial_parameters(network, SEED)
    pruning = GradientPruning(rate=0.9, fifo_depth=3, warmup_batches=3)
    state = warm_up(network, parameters, load_batch, pruning=pruning, seed=SEED)
    expected: dict[str, list[float]] = {"flat": [], "conv1": []}
    for number in range(3):
        for node, (gradient, mask) in record_gradients(number, parameters).items():
            expected[node].append(threshold(gradient, mask, 0.9))
    assert {node: list(taus) for node, taus in state.taus.items()} == expected


def test_the_batch_behind_a_full_fifo_is_pruned_with_its_mean() -> None:
    network = make_network()
    parameters = initial_parameters(network, SEED)
    pruning = GradientPruning(rate=0.9, fifo_depth=2, warmup_batches=2)
    state = warm_up(network, parameters, load_batch, pruning=pruning, seed=SEED)
    done = run_pruned_iteration(
        network, parameters, load_batch(2), pruning=pruning, state=state, seed=SEED, iteration=2
    )
    gradient, mask = record_gradients(2, parameters)["flat"]
    found = done.prunings["flat"]
    assert found.threshold == np.float32(np.mean(state.taus["flat"]))
    assert found.own_threshold == threshold(gradient, mask, 0.9)
    assert found.density_before == np.count_nonzero(gradient) / gradient.size
    pruned = prune(gradient, found.threshold, PruningKey(SEED, "flat", 2))
    assert found.density_after == np.count_nonzero(pruned) / pruned.size < found.density_before
    assert done.state.taus["flat"] == (state.taus["flat"][1], found.own_threshold)


def test_a_warm_up_longer_than_the_fifo_prunes_its_last_batches_and_keeps_the_youngest_thresholds() -> None:
    network = make_network()
    parameters = initial_parameters(network, SEED)
    depth, batches, rate = 2, 4, 0.9
    pruning = GradientPruning(rate=rate, fifo_depth=depth, warmup_batches=batches)
    state = warm_up(network, parameters, load_batch, pruning=pruning, seed=SEED)
    taus: dict[str, list[float]] = {"flat": [], "conv1": []}

    def hook(node: str, gradient: Array, mask: BoolArray | None) -> Array:
        if node not in taus:
            return gradient
        last = taus[node][-depth:]
        taus[node].append(threshold(gradient, mask, rate))
        used = float(np.float32(sum(last) / depth)) if len(last) == depth else 0.0
        return prune(gradient, used, PruningKey(SEED, node, number))

    for number in range(batches):
        run_iteration(network, parameters, *load_batch(number), seed=SEED, iteration=number, hook=hook)
    assert {node: list(kept) for node, kept in state.taus.items()} == {
        node: found[-depth:] for node, found in taus.items()
    }
    # Behind a pruned gradient stand other ones: conv1's thresholds are not those of iterations without pruning.
    gradient, mask = record_gradients(batches - 1, parameters)["conv1"]
    assert state.taus["conv1"][-1] != threshold(gradient, mask, rate)


def test_the_pruned_gradient_is_what_the_layers_before_get() -> None:
    network = make_network()
    parameters = initial_parameters(network, SEED)
    pruning = GradientPruning(rate=0.9, threshold="own_batch")
    done = run_pruned_iteration(
        network, parameters, load_batch(0), pruning=pruning, state=PruningState(5), seed=SEED, iteration=0
    )
    gradient, _ = record_gradients(0, parameters)["flat"]
    pruned = prune(gradient, done.prunings["flat"].threshold, PruningKey(SEED, "flat", 0))
    operands = {each.layer: each for each in done.operands()}
    np.testing.assert_array_equal(operands["conv2"].grad_output.reshape(pruned.shape), pruned)
    # The batch norm's gradient takes two values below its threshold, and many above.
    magnitudes = np.abs(operands["conv1"].grad_output)
    tau = np.float32(done.prunings["conv1"].threshold)
    assert ((magnitudes == 0) | (magnitudes >= tau)).all()
    assert (magnitudes == 0).any()


def test_the_layer_that_writes_a_pruned_gradient_is_given_threshold_and_key() -> None:
    network = make_network()
    parameters = initial_parameters(network, SEED)
    pruning = GradientPruning(rate=0.9, threshold="own_batch")
    done = run_pruned_iteration(
        network, parameters, load_batch(4), pruning=pruning, state=PruningState(5), seed=SEED, iteration=4
    )
    finishes = {each.layer: each.finish for each in done.operands()}
    assert (finishes["fc"].tau, finishes["fc"].key) == (
        done.prunings["flat"].own_threshold,
        PruningKey(SEED, "flat", 4),
    )
    # Batch norm's backward pass prunes what the other convolutions get.
    assert [(finishes[name].tau, finishes[name].key) for name in ("conv1", "conv2")] == [(0.0, None)] * 2


def test_an_own_threshold_needs_no_warm_up() -> None:
    def refuse(number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        raise AssertionError(f"batch {number} was loaded")

    network = make_network()
    pruning = GradientPruning(rate=0.9, threshold="own_batch")
    state = warm_up(network, initial_parameters(network, SEED), refuse, pruning=pruning, seed=SEED)
    assert state == PruningState(5)
    assert [count_warmup_batches(given) for given in (None, pruning, GradientPruning(rate=0.5))] == [0, 0, 6]
