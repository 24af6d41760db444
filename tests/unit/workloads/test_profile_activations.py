"""Profiles of networks with other activations than ReLU, and with other normalisations than batch norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from unit.workloads.profile_networks import PLAIN, make_profile, network

from workloads.errors import InputError
from workloads.network import Network
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruners.normal import share_left

RATE = 0.9
OTHERS = {"relu2": 0.3, "pool2": 0.6, "relu3": 0.4}


def describe(made: Network, figures: dict[str, float]) -> dict[tuple[str, str], tuple[float | None, str]]:
    rows: list[dict[str, Any]] = ProfiledNetwork(made, make_profile(figures), 1, pruning_rate=RATE).describe()
    return {(row["layer"], row["tensor"]): (row["density"], row["rule"]) for row in rows}


def replace_first(layers: str) -> Network:
    """Put other layers in the place of the first ReLU."""
    return network(PLAIN.replace("  - {name: relu1, type: relu}\n", layers))


def test_a_relu6_is_as_a_relu() -> None:
    made = network(PLAIN.replace("type: relu}", "type: relu6}"))
    figures = {"relu1": 0.5, **OTHERS}
    assert describe(made, figures) == describe(network(), figures)
    operands, plain = (
        ProfiledNetwork(one, make_profile(figures), 1, pruning_rate=RATE).layer("conv2") for one in (made, network())
    )
    assert operands.mask is not None
    np.testing.assert_array_equal(operands.mask, plain.input != 0)


@pytest.mark.parametrize("kind", ["silu", "gelu", "leaky_relu", "prelu", "sigmoid", "tanh"])
def test_an_activation_without_zeros_is_dense_and_hands_the_gradient_on(kind: str) -> None:
    rows = describe(replace_first(f"  - {{name: act, type: {kind}}}\n"), OTHERS)
    assert rows["conv2", "input"] == (1.0, "no ReLU")
    assert rows["conv1", "grad_output"] == (1.0, "without a mask")


@pytest.mark.parametrize("kind", ["layer_norm", "group_norm, groups: 2", "instance_norm", "softmax, axis: 1"])
def test_what_makes_a_gradient_dense_has_it_pruned_before(kind: str) -> None:
    made = replace_first(f"  - {{name: norm, type: {kind}}}\n  - {{name: relu1, type: relu}}\n")
    rows = describe(made, {"relu1": 0.5, **OTHERS})
    assert rows["conv2", "input"] == (0.5, "figure")
    assert rows["conv1", "grad_output"] == (share_left(RATE), "made dense again")


def test_behind_a_local_response_norm_the_gradient_is_pruned_at_the_relu_and_dense_within_its_mask() -> None:
    made = replace_first("  - {name: relu1, type: relu}\n  - {name: norm, type: local_response_norm, size: 3}\n")
    rows = describe(made, {"relu1": 0.5, **OTHERS})
    assert rows["conv2", "input"] == (0.5, "derived by local_response_norm")
    assert rows["conv1", "grad_output"] == (0.5 * share_left(RATE), "behind a ReLU")
    profiled = ProfiledNetwork(made, make_profile({"relu1": 0.5, **OTHERS}), 1, pruning_rate=RATE)
    read, gradient = profiled.layer("conv2"), profiled.layer("conv1").grad_output
    assert read.mask is not None
    assert not np.count_nonzero(gradient[~read.mask])
    assert np.count_nonzero(gradient) / gradient.size == pytest.approx(0.5 * share_left(RATE), abs=0.02)


@pytest.mark.parametrize("kind", ["hard_swish", "hard_sigmoid"])
def test_what_makes_zeros_without_a_mask_needs_rows(kind: str) -> None:
    made = replace_first(f"  - {{name: act, type: {kind}}}\n")
    with pytest.raises(InputError) as error:
        describe(made, OTHERS)
    assert str(error.value) == (
        "own.csv: no row gives grad_output of 'conv1', and no rule covers it: "
        f"'act' ({kind}) reads it without a ReLU between; add the row conv1,grad_output"
    )
    with pytest.raises(InputError) as error:
        describe(made, {"conv1/grad_output": 0.5, **OTHERS})
    assert str(error.value) == (
        f"own.csv: no row gives the output of 'act', and no rule covers a {kind} layer; add the row act,output"
    )
    rows = describe(made, {"conv1/grad_output": 0.5, "act": 0.7, **OTHERS})
    assert rows["conv2", "input"] == (0.7, "figure")


@pytest.mark.parametrize("between", ["act, type: silu", "both, type: add, inputs: [conv1, input]"])
def test_what_is_pruned_behind_an_activation_or_a_sum_is_pruned_before_it_too(between: str) -> None:
    made = network(
        PLAIN.replace("out_channels: 8", "out_channels: 3", 1).replace(
            "  - {name: relu1,", f"  - {{name: {between}}}\n  - {{name: norm, type: batch_norm}}\n  - {{name: relu1,"
        )
    )
    assert describe(made, {"relu1": 0.5, **OTHERS})["conv1", "grad_output"] == (share_left(RATE), "behind batch norm")
