"""Profiles: the rules for what their tables do not tell, and the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from unit.workloads.profile_networks import FIGURES, PLAIN, make_profile, network

from workloads.errors import InputError
from workloads.profile_plan import plan_gradient
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruners.normal import share_left
from workloads.pruning import PruningKey, prune
from workloads.reference import run_gta
from workloads.settings import Clustering
from workloads.shapes import Step

RESIDUAL = """\
name: residual
batch: 1
input: {channels: 4, height: 12, width: 12}
layers:
  - {name: conv1, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: bn1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: pool1, type: max_pool, kernel: 3, stride: 2, padding: 1}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: bn2, type: batch_norm}
  - {name: side, type: conv2d, inputs: [pool1], out_channels: 8, kernel: 1}
  - {name: sum, type: add, inputs: [bn2, side]}
  - {name: relu2, type: relu}
  - {name: mean, type: global_avg_pool}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
"""


def profiled(
    figures: Mapping[str, float] = FIGURES, text: str = PLAIN, rate: float = 0.0, clustering: Clustering | None = None
) -> ProfiledNetwork:
    return ProfiledNetwork(network(text), make_profile(figures), 1, clustering, rate)


def test_what_pruning_leaves_is_the_closed_form() -> None:
    assert share_left(0.0) == 1.0
    assert [round(share_left(rate), 2) for rate in (0.7, 0.8, 0.9, 0.99)] == [0.62, 0.55, 0.46, 0.31]


def test_every_density_has_its_rule() -> None:
    left = share_left(0.9)
    rows = {(row["layer"], row["tensor"]): (row["density"], row["rule"]) for row in profiled(rate=0.9).describe()}
    assert rows == {
        ("conv1", "input"): (1.0, "network input"),
        ("conv1", "weight"): (1.0, "dense"),
        ("conv1", "grad_output"): (0.5 * left, "behind a ReLU"),
        ("conv2", "input"): (0.5, "figure"),
        ("conv2", "weight"): (1.0, "dense"),
        # One of the four elements of each window whose maximum is nonzero.
        ("conv2", "grad_output"): (0.6 * left / 4, "behind a ReLU"),
        ("fc1", "input"): (0.6, "derived by flatten"),
        ("fc1", "weight"): (1.0, "dense"),
        ("fc1", "grad_output"): (0.4 * 0.75 * left, "behind a ReLU"),
        ("fc2", "input"): (0.4 * 0.75, "derived by dropout"),
        ("fc2", "weight"): (1.0, "dense"),
        ("fc2", "grad_output"): (1.0, "behind the loss"),
    }


def test_batch_norm_makes_gradients_dense_before_they_are_pruned() -> None:
    figures = {"relu1": 0.5, "relu2": 0.3}
    for rate in (0.0, 0.8):
        rows = {(row["layer"], row["tensor"]): row for row in profiled(figures, RESIDUAL, rate).describe()}
        for layer in ("conv1", "conv2"):
            assert rows[layer, "grad_output"]["rule"] == "behind batch norm"
            assert rows[layer, "grad_output"]["density"] == share_left(rate)
        assert rows["side", "grad_output"]["rule"] == "behind a ReLU"


@pytest.mark.parametrize("clustering", [None, Clustering(image_variance=0.0)])
@pytest.mark.parametrize("rate", [0.0, 0.9])
def test_the_tensors_have_the_densities(clustering: Clustering | None, rate: float) -> None:
    made = profiled(rate=rate, clustering=clustering)
    expected = {(row["layer"], row["tensor"]): row["density"] for row in made.describe()}
    for name in ("conv1", "conv2", "fc1", "fc2"):
        for tensor, make in (("input", made.image_input), ("grad_output", made.image_gradient)):
            shares = []
            for seed in range(60):
                other = ProfiledNetwork(made.network, made.profile, seed, clustering, rate)
                values = (other.image_input if tensor == "input" else other.image_gradient)(name, 0)
                shares.append(np.count_nonzero(values) / values.size)
            assert make(name, 0).dtype == np.float32
            # Five standard errors of the mean over independent seeds; dense tensors have none.
            assert abs(np.mean(shares) - expected[name, tensor]) <= 5 * np.std(shares) / sqrt(60) + 1e-12


def occupied(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return values != 0


def test_gradients_stand_where_the_mask_is_set() -> None:
    made = profiled(clustering=Clustering(), rate=0.7)
    mask = occupied(made.image_input("conv2", 0))
    gradient = occupied(made.image_gradient("conv1", 0))
    assert not (gradient & ~mask).any()
    assert 0 < gradient.sum() < mask.sum()
    unpruned = profiled(clustering=Clustering()).image_gradient("conv1", 0)
    np.testing.assert_array_equal(occupied(unpruned), mask)


def test_a_max_pooling_hands_one_gradient_to_each_window() -> None:
    made = profiled()
    gradient = occupied(made.image_gradient("conv2", 0)).reshape(8, 8, 2, 8, 2).sum(axis=(2, 4))
    np.testing.assert_array_equal(gradient, occupied(made.image_input("fc1", 0)).reshape(8, 8, 8))


def test_a_pooling_without_a_figure_is_carried_out() -> None:
    figures = {name: density for name, density in FIGURES.items() if name != "pool2"}
    made = profiled(figures)
    mask = occupied(made.image_input("fc1", 0)).reshape(8, 8, 8)
    # Independent zeros: a window of four is empty if all are.
    assert mask.mean() == pytest.approx(1 - 0.7**4, abs=5 * sqrt(0.25 / mask.size))
    windows = occupied(made.image_gradient("conv2", 0)).reshape(8, 8, 2, 8, 2).sum(axis=(2, 4))
    np.testing.assert_array_equal(windows, mask)


def test_all_layers_that_read_a_tensor_read_the_same() -> None:
    made = profiled({"relu1": 0.5, "relu2": 0.3}, RESIDUAL)
    conv2, side = made.layer("conv2"), made.layer("side")
    np.testing.assert_array_equal(conv2.input, side.input)
    assert conv2.mask is not None


JOINED = RESIDUAL.replace(
    "  - {name: mean,",
    """\
  - {name: conv3, type: conv2d, out_channels: 8, kernel: 1}
  - {name: bn3, type: batch_norm}
  - {name: sum3, type: add, inputs: [bn3, relu2]}
  - {name: relu3, type: relu}
  - {name: mean,""",
)


def test_the_gradient_of_another_branch_is_there_to_be_summed() -> None:
    made = profiled({"relu1": 0.5, "relu2": 0.3, "relu3": 0.4}, JOINED, clustering=Clustering())
    assert made.network.summed_gradients("conv3") == ("sum3",)
    (summed,) = made.layer("conv3").summed
    assert summed.shape == made.network.layer_shape("conv3").input_shape
    # The gradient to the sum's output, behind the ReLU that follows it, which the fully connected layer's mean tells.
    mean = made.image_input("fc", 0)
    np.testing.assert_array_equal(occupied(summed[0]).any(axis=(1, 2)), occupied(mean))
    share = np.count_nonzero(summed) / summed.size
    assert share == pytest.approx(0.4, abs=0.2)
    # conv2 comes after its sister in the backward pass, and adds the masked gradient that she has stored.
    conv2 = made.layer("conv2")
    np.testing.assert_array_equal(occupied(conv2.summed[0]), conv2.mask)
    assert made.layer("side").summed == ()


def test_inputs_behind_a_relu_are_not_negative_and_masked_by_their_zeros() -> None:
    made = profiled(clustering=Clustering())
    for name in ("conv2", "fc1", "fc2"):
        operands = made.layer(name)
        assert operands.input.min() == 0
        np.testing.assert_array_equal(operands.mask, operands.input != 0)
    first = made.layer("conv1")
    assert first.mask is None
    assert first.input.min() < 0
    assert occupied(first.input).all()


def test_the_first_layer_has_no_gta() -> None:
    steps = {operands.layer: operands.steps for operands in profiled().operands()}
    assert steps == {"conv1": (Step.FORWARD, Step.GTW), **dict.fromkeys(("conv2", "fc1", "fc2"), tuple(Step))}


def test_an_image_and_a_layer_are_made_alone_as_in_the_batch() -> None:
    made = profiled(clustering=Clustering(), rate=0.9)
    for operands in made.operands():
        for image in range(2):
            np.testing.assert_array_equal(operands.input[image], made.image_input(operands.layer, image))
            np.testing.assert_array_equal(operands.grad_output[image], made.image_gradient(operands.layer, image))
        assert not np.array_equal(operands.input[0], operands.input[1])
        assert not np.array_equal(operands.grad_output[0], operands.grad_output[1])


def test_rows_of_inputs_weights_and_gradients_go_before_the_rules() -> None:
    rows = {"conv2/input": 0.0, "conv2/weight": 0.5, "conv2/grad_output": 0.25}
    operands = profiled({**FIGURES, **rows}, rate=0.9).layer("conv2")
    assert not operands.input.any()
    for values, density in ((operands.weight, 0.5), (operands.grad_output, 0.25)):
        share = np.count_nonzero(values) / values.size
        assert abs(share - density) < 5 * sqrt(density * (1 - density) / values.size)


def test_pruned_gradients_hold_nothing_below_the_threshold() -> None:
    gradient = np.abs(profiled(rate=0.9).image_gradient("conv1", 0))
    # Phi^-1(0.95), as float32.
    tau = np.float32(1.6448536269514722)
    assert gradient[gradient > 0].min() == tau
    assert np.count_nonzero(gradient == tau) > np.count_nonzero(gradient > tau)


def test_the_written_gradient_is_pruned_where_the_graph_has_a_site() -> None:
    made = profiled(rate=0.9)
    finish = {operands.layer: operands.finish for operands in made.operands()}
    assert [name for name in finish if finish[name].tau] == ["conv2", "fc1", "fc2"]
    assert not any(operands.finish.tau for operands in profiled().operands())


def test_the_threshold_of_the_written_gradient_leaves_what_the_next_layer_is_given() -> None:
    operands = profiled(rate=0.9).layer("fc2")
    written = run_gta(operands)
    pruned = prune(written, operands.finish.tau, PruningKey(1, "drop", 0))
    left = np.count_nonzero(pruned) / np.count_nonzero(operands.mask)
    # Ten products a sum are normal only roughly, and 600 elements know a share to 0.02.
    assert left == pytest.approx(share_left(0.9), abs=0.1)


@pytest.mark.parametrize(
    ("figures", "text", "message"),
    [
        ({"relu1": 0.5, "relu2": 0.3}, PLAIN,
         "own.csv: no row gives the output of 'relu3', and no rule covers a relu layer; add the row relu3,output"),
        ({**FIGURES, "pool1": 0.5}, RESIDUAL.replace("  - {name: bn1, type: batch_norm}\n", ""),
         "own.csv: no row gives grad_output of 'conv1', and no rule covers it: the windows of 'pool1' overlap or are "
         "padded, and it has a figure; add the row conv1,grad_output"),
        ({"relu1": 0.5, "relu2": 0.3}, RESIDUAL.replace("name: bn1, type: batch_norm", "name: bn1, type: dropout"),
         "own.csv: no row gives grad_output of 'conv1', and no rule covers it: 'bn1' (dropout) reads it without a ReLU "
         "between; add the row conv1,grad_output"),
    ],
)  # fmt: skip
def test_a_tensor_that_no_rule_covers_is_refused(figures: dict[str, float], text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        profiled(figures, text).describe()
    assert str(error.value) == message


def test_a_gradient_of_several_readers_needs_a_row() -> None:
    text = PLAIN.replace("{name: relu2, type: relu}", "{name: relu2, type: relu}\n  - {name: twice, type: add, "
                         "inputs: [relu2, conv2]}")  # fmt: skip
    with pytest.raises(InputError) as error:
        plan_gradient(network(text), make_profile(FIGURES), "conv2", 0.0)
    assert str(error.value) == (
        "own.csv: no row gives grad_output of 'conv2', and no rule covers it: 2 layers read 'conv2'; "
        "add the row conv2,grad_output"
    )
