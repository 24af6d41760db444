"""The mask of a layer behind a ReLU, and behind one that cuts off at six."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from workloads.gradient_masks import make_mask
from workloads.host import initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.passes import list_passes
from workloads.reference.elementwise import relu_backward, relu_forward
from workloads.reference.steps import run_gta

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
IMAGES = (2, 3, 4, 4)
CONV: dict[str, Any] = {"name": "conv", "type": "conv2d", "out_channels": 4, "kernel": 1}
LAST: dict[str, Any] = {"name": "last", "type": "conv2d", "out_channels": 2, "kernel": 1}
RELU6: dict[str, Any] = {"name": "act", "type": "relu6"}


def build(*layers: dict[str, Any]) -> Network:
    return build_network("net", IMAGES, LAYERS.validate_python(list(layers)))


def test_relu6_cuts_off_and_passes_gradients_between_its_ends_alone() -> None:
    input = np.array([-1, 0, 2, 6, 7], np.float32)
    output = relu_forward(input, 6.0)
    np.testing.assert_array_equal(output, np.array([0, 0, 2, 6, 6], np.float32))
    gradient = np.arange(1, 6, dtype=np.float32)
    passed = np.array([0, 0, 3, 0, 0], np.float32)
    np.testing.assert_array_equal(relu_backward(gradient, output, 6.0), passed)
    np.testing.assert_array_equal(relu_backward(gradient, (output > 0) & (output < 6), 6.0), passed)


def test_relu6_rides_along() -> None:
    network = build(CONV, RELU6, LAST)
    assert list_passes(network) == ()
    assert network.relu_follows("conv")


BETWEEN: dict[str, tuple[dict[str, Any], float]] = {
    "max_pool": ({"type": "max_pool", "kernel": 2}, 6.0),
    "avg_pool": ({"type": "avg_pool", "kernel": 2}, inf),
    "global_avg_pool": ({"type": "global_avg_pool"}, inf),
    "dropout": ({"type": "dropout"}, inf),
    "local_response_norm": ({"type": "local_response_norm", "size": 3}, inf),
}


@pytest.mark.parametrize("kind", BETWEEN)
def test_the_ceiling_is_known_where_what_was_cut_off_stays_equal_to_it(kind: str) -> None:
    layer, ceiling = BETWEEN[kind]
    network = build(CONV, RELU6, {"name": "between", **layer}, LAST)
    assert network.is_behind_relu("last")
    assert network.find_ceiling("last") == ceiling


def test_a_concatenation_of_a_relu_and_a_relu6_has_the_mask_of_the_relu() -> None:
    branches = ({"name": "relu", "type": "relu", "inputs": ["conv"]}, {**RELU6, "inputs": ["conv"]})
    joined = {"name": "both", "type": "concat", "inputs": ["relu", "act"]}
    assert build(CONV, *branches, joined, LAST).find_ceiling("last") == inf
    second = {**branches[0], "type": "relu6"}
    assert build(CONV, second, branches[1], joined, LAST).find_ceiling("last") == 6.0


def test_the_mask_leaves_out_both_ends() -> None:
    values = np.array([0, 0.5, 5.5, 6], np.float32)
    behind = {
        kind: build(CONV, {"name": "act", "type": kind}, LAST) for kind in ("relu", "relu6", "silu", "hard_swish")
    }
    masks = {kind: make_mask(network, "last", values) for kind, network in behind.items()}
    np.testing.assert_array_equal(masks["relu"], [False, True, True, True])
    np.testing.assert_array_equal(masks["relu6"], [False, True, True, False])
    assert masks["silu"] is None
    assert masks["hard_swish"] is None


@pytest.mark.parametrize("is_pooled", [False, True])
def test_the_gta_behind_a_relu6_computes_all_of_the_gradient_that_the_layer_before_gets(is_pooled: bool) -> None:
    pool = ({"name": "pool", "type": "max_pool", "kernel": 1},) if is_pooled else ()
    ending = (
        {"name": "flat", "type": "flatten"}, {"name": "fc", "type": "linear", "out_features": 3},
        {"name": "loss", "type": "softmax_cross_entropy"},
    )  # fmt: skip
    network = build(CONV, RELU6, *pool, LAST, *ending)
    images = 6 * np.random.default_rng(1).standard_normal(IMAGES)
    made = run_iteration(network, initial_parameters(network, 1), images, np.array([0, 2]), seed=1)
    operands = {one.layer: one for one in made.operands()}
    last = operands["last"]
    assert last.mask is not None
    cut_off = last.input == 6
    assert cut_off.any()
    np.testing.assert_array_equal(last.mask, (last.input > 0) & ~cut_off)
    computed = run_gta(last)
    np.testing.assert_allclose(computed, operands["conv"].grad_output, rtol=1e-5, atol=1e-7)
    assert np.count_nonzero(operands["conv"].grad_output) == np.count_nonzero(last.mask)
