"""Losses: their values and gradients, what labels stand for, and several of them in one network."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from workloads.errors import InputError
from workloads.host import FLOAT64, initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.kinds.loss import LossLayer
from workloads.losses import BatchTargets, count_classes, list_spread, make_targets
from workloads.network import Network, build_network
from workloads.passes import ElementwisePass, PassStep, list_passes
from workloads.pruning_sites import find_gradient_writer

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
INPUT_SHAPE = (4, 2, 6, 5)
LABELS = np.array([0, 2, 1, 2])
STEP = 1e-6

CONV: dict[str, Any] = {"name": "conv", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1}
RELU: dict[str, Any] = {"name": "relu", "type": "relu"}
AUXILIARY: list[dict[str, Any]] = [
    CONV,
    RELU,
    {"name": "aux_flat", "type": "flatten"},
    {"name": "aux_fc", "type": "linear", "out_features": 3},
    {"name": "aux", "type": "softmax_cross_entropy", "weight": 0.3, "label_smoothing": 0.1},
    {"name": "conv2", "type": "conv2d", "inputs": ["relu"], "out_channels": 3, "kernel": 3},
    {"name": "pixels", "type": "softmax_cross_entropy", "weight": 0.5},
    {"name": "maps", "type": "binary_cross_entropy", "inputs": ["conv2"], "weight": 0.7},
    {"name": "relu2", "type": "relu", "inputs": ["conv2"]},
    {"name": "flat", "type": "flatten"},
    {"name": "fc", "type": "linear", "out_features": 3},
    {"name": "main", "type": "softmax_cross_entropy"},
    {"name": "squared", "type": "mean_squared_error", "inputs": ["fc"]},
]


def make_network(*layers: dict[str, Any], shape: tuple[int, ...] = INPUT_SHAPE) -> Network:
    return build_network("net", shape, LAYERS.validate_python(list(layers)))


def make_loss(kind: str, **fields: Any) -> LossLayer:
    (made,) = LAYERS.validate_python([{"name": "loss", "type": kind, **fields}])
    assert isinstance(made, LossLayer)
    return made


def draw_scores(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(3).standard_normal(shape)


LOSSES = [
    ("softmax_cross_entropy", {}),
    ("softmax_cross_entropy", {"label_smoothing": 0.2}),
    ("mean_squared_error", {}),
    ("binary_cross_entropy", {}),
]


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 5)])
@pytest.mark.parametrize(("kind", "fields"), LOSSES)
def test_the_gradient_of_a_loss_equals_finite_differences(
    kind: str, fields: dict[str, Any], shape: tuple[int, ...]
) -> None:
    layer, scores = make_loss(kind, **fields), draw_scores(*shape)
    targets = layer.spread_labels(LABELS, shape)
    grad_scores = layer.evaluate(scores, targets).grad_scores
    for element in range(scores.size):
        values = []
        for sign in (1, -1):
            moved = scores.copy()
            moved.flat[element] += sign * STEP
            values.append(layer.evaluate(moved, targets).value)
        # The error is STEP^2 times a third derivative, and 1e-16 / STEP of rounding.
        assert grad_scores.flat[element] == pytest.approx((values[0] - values[1]) / (2 * STEP), abs=1e-9)


@pytest.mark.parametrize(("kind", "fields"), LOSSES)
def test_a_gradient_has_the_type_of_its_scores(kind: str, fields: dict[str, Any]) -> None:
    layer, scores = make_loss(kind, **fields), draw_scores(4, 3).astype(np.float32)
    assert layer.evaluate(scores, layer.spread_labels(LABELS, scores.shape)).grad_scores.dtype == np.float32


def test_the_values_of_losses_are_those_of_their_formulas() -> None:
    scores, labels = np.array([[1.0, -2.0]]), np.array([1])
    total = exp(1) + exp(-2)
    nll = [log(total) - 1, log(total) + 2]
    assert make_loss("softmax_cross_entropy").evaluate(scores, labels).value == pytest.approx(nll[1], rel=1e-15)
    smoothed = make_loss("softmax_cross_entropy", label_smoothing=0.2).evaluate(scores, labels)
    assert smoothed.value == pytest.approx(0.9 * nll[1] + 0.1 * nll[0], rel=1e-15)
    squared = make_loss("mean_squared_error").evaluate(scores, np.array([[0.5, 1.0]]))
    assert squared.value == (0.5**2 + 3**2) / 2
    np.testing.assert_array_equal(squared.grad_scores, [[0.5, -3]])
    assert squared.hits is None
    binary = make_loss("binary_cross_entropy").evaluate(scores, np.array([[1.0, 0.25]]))
    expected = (log(1 + exp(-1)) + 0.25 * log(1 + exp(2)) + 0.75 * log(1 + exp(-2))) / 2
    assert binary.value == pytest.approx(expected, rel=1e-15)
    assert binary.hits == 1


def test_a_binary_cross_entropy_of_large_scores_does_not_overflow() -> None:
    found = make_loss("binary_cross_entropy").evaluate(np.array([[1000.0, -1000.0]]), np.array([[0.0, 0.0]]))
    assert found.value == 500
    np.testing.assert_array_equal(found.grad_scores, [[0.5, 0]])


def test_a_pixels_label_is_its_images_and_a_value_is_one_for_the_label() -> None:
    classes = make_loss("softmax_cross_entropy").spread_labels(LABELS, (4, 3, 2, 5))
    np.testing.assert_array_equal(classes, np.repeat(LABELS, 10).reshape(4, 2, 5))
    for kind in ("mean_squared_error", "binary_cross_entropy"):
        np.testing.assert_array_equal(make_loss(kind).spread_labels(LABELS, (4, 3)), np.eye(3)[LABELS])
        maps = make_loss(kind).spread_labels(LABELS, (4, 3, 2, 5))
        np.testing.assert_array_equal(maps, np.broadcast_to(np.eye(3)[LABELS][:, :, None, None], (4, 3, 2, 5)))
    np.testing.assert_array_equal(make_loss("mean_squared_error").spread_labels(LABELS, (4, 1)), LABELS[:, None])


def test_a_loss_counts_hits_and_saturated_images() -> None:
    scores = np.array([[[9.0, 900.0]], [[0.0, 0.0]]]).reshape(1, 2, 1, 2)
    found = make_loss("softmax_cross_entropy").evaluate(scores, np.array([[[1, 0]]]))
    assert (found.hits, found.saturated_images) == (0.5, 0)
    scores[0, 0, 0, 0] = 900
    assert make_loss("softmax_cross_entropy").evaluate(scores, np.array([[[1, 0]]])).saturated_images == 1
    smoothed = make_loss("softmax_cross_entropy", label_smoothing=0.1)
    assert smoothed.evaluate(scores, np.array([[[1, 0]]])).saturated_images == 0


def run(network: Network, targets: Any = LABELS, **changed: Any) -> Any:
    rng = np.random.default_rng(5)
    parameters = {
        name: values + 0.3 * rng.standard_normal(values.shape)
        for name, values in initial_parameters(network, 1).items()
    } | changed
    images = np.random.default_rng(7).standard_normal(network.input_shape)
    return run_iteration(network, parameters, images, targets, seed=1, options=FLOAT64)


def test_the_gradients_of_several_outputs_equal_differences_of_their_weighted_sum() -> None:
    network = make_network(*AUXILIARY)
    found = run(network)
    weights = {"aux": 0.3, "pixels": 0.5, "maps": 0.7, "main": 1.0, "squared": 1.0}
    assert list(found.losses) == list(weights)
    assert found.loss == pytest.approx(sum(weights[name] * value for name, value in found.losses.items()), rel=1e-14)
    for name, values in found.parameters.items():
        for element in range(0, values.size, 1 + values.size // 20):
            losses = []
            for sign in (1, -1):
                moved = values.copy()
                moved.flat[element] += sign * STEP
                losses.append(run(network, **{name: moved}).loss)
            difference = (losses[0] - losses[1]) / (2 * STEP)
            # As above; no ReLU of these fixed draws changes within STEP.
            assert found.grads[name].flat[element] == pytest.approx(difference, rel=1e-6, abs=1e-8), (name, element)


def test_losses_hand_back_before_other_readers_and_the_last_writer_adds() -> None:
    network = make_network(*AUXILIARY)
    assert [node.name for node in network.gradient_sources("conv2")] == ["pixels", "maps", "relu2"]
    assert network.summed_gradients("maps") == ("conv2",)
    assert network.unsummed_gradients("conv2") == ("conv2", "relu2")
    assert network.summed_gradients("squared") == ("fc",)
    assert find_gradient_writer(network, "fc") == "squared"
    passes = [made for made in list_passes(network) if made.step is PassStep.LOSS]
    assert passes[2:4] == [
        ElementwisePass("maps", "binary_cross_entropy", PassStep.LOSS, 4 * 3 * 4 * 3, reads=("conv2",),
                        reads_gradients=("conv2",), writes_gradients=("conv2",), target_elements=4 * 3 * 4 * 3),
        ElementwisePass("main", "softmax_cross_entropy", PassStep.LOSS, 4 * 3, reads=("fc",),
                        writes_gradients=("fc",)),
    ]  # fmt: skip
    assert passes[1].target_elements == 4 * 4 * 3
    sums = [made for made in list_passes(network) if made.kind == "gradient_sum"]
    # relu2's share is stored behind the flatten that it rides along with.
    assert [(made.node, made.reads_gradients) for made in sums] == [
        ("conv2", ("conv2", "flat")), ("relu", ("relu", "aux_flat")),
    ]  # fmt: skip


def test_losses_come_between_the_directions() -> None:
    order = [made.step for made in list_passes(make_network(*AUXILIARY))]
    assert order == sorted(order, key=[PassStep.FORWARD, PassStep.LOSS, PassStep.BACKWARD].index)


def test_a_gta_adds_the_share_of_a_loss_on_what_it_reads() -> None:
    network = make_network(
        CONV, RELU, {"name": "pixels", "type": "mean_squared_error"},
        {"name": "conv2", "type": "conv2d", "inputs": ["relu"], "out_channels": 3, "kernel": 3},
        {"name": "maps", "type": "softmax_cross_entropy"},
    )  # fmt: skip
    labels = np.array([0, 2, 1, 2])
    operands = {one.layer: one for one in run(network, labels).operands()}
    (share,) = operands["conv2"].summed
    assert operands["conv2"].mask is not None
    rectified = operands["conv2"].input
    target = np.broadcast_to(np.eye(4)[labels][:, :, None, None], rectified.shape)
    expected = 2 * (rectified - target) / rectified.size * (rectified != 0)
    # The iteration is float64's; input and share are rounded to float32, and the input is of size 1 to 10.
    np.testing.assert_allclose(share, expected, rtol=1e-6, atol=10 * 2 / rectified.size * 2.0**-24)


def test_the_accuracy_is_that_of_the_loss_of_the_largest_weight() -> None:
    network = make_network(*AUXILIARY)
    assert run(network).accuracy is None
    assert run(make_network(*AUXILIARY[:-1])).accuracy in (0, 0.25, 0.5, 0.75, 1)
    weighed = make_network(*AUXILIARY[:-1], {**AUXILIARY[-1], "weight": 0.9})
    assert run(weighed).accuracy == run(make_network(*AUXILIARY[:-1])).accuracy


def test_a_loss_takes_targets_of_its_own() -> None:
    network = make_network(CONV, {"name": "maps", "type": "mean_squared_error"})
    wanted = draw_scores(4, 4, 6, 5)
    found = run(network, BatchTargets(LABELS, {"maps": wanted}))
    grads = {one.layer: one.grad_output for one in found.operands()}
    scores = wanted + grads["conv"] * wanted.size / 2
    assert found.loss == pytest.approx(((scores - wanted) ** 2).mean(), rel=1e-5)
    assert found.loss != run(network).loss


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [
        ("softmax_cross_entropy", np.zeros((4, 6, 4), int),
         "targets of the loss 'loss' must be integers of shape (4, 6, 5), got int64 of shape (4, 6, 4)"),
        ("softmax_cross_entropy", np.zeros((4, 6, 5)),
         "targets of the loss 'loss' must be integers of shape (4, 6, 5), got float64 of shape (4, 6, 5)"),
        ("softmax_cross_entropy", np.full((4, 6, 5), 4), "targets of the loss 'loss' must be in 0..3, got 4..4"),
        ("mean_squared_error", np.zeros((4, 4, 6), int),
         "targets of the loss 'loss' must be numbers of shape (4, 4, 6, 5), got int64 of shape (4, 4, 6)"),
        ("mean_squared_error", np.full((4, 4, 6, 5), np.nan), "targets of the loss 'loss' must be finite"),
        ("binary_cross_entropy", np.full((4, 4, 6, 5), 1.5),
         "targets of the loss 'loss' must be in 0..1, got 1.5..1.5"),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit_are_refused(kind: str, targets: NDArray[Any], message: str) -> None:
    network = make_network(CONV, {"name": "loss", "type": kind})
    with pytest.raises(InputError) as error:
        make_targets(network, BatchTargets(LABELS, {"loss": targets}))
    assert str(error.value) == f"network 'net': {message}"


def test_targets_of_no_loss_and_labels_of_no_score_are_refused() -> None:
    network = make_network(CONV, {"name": "loss", "type": "softmax_cross_entropy"})
    with pytest.raises(InputError) as error:
        make_targets(network, BatchTargets(LABELS, {"conv": LABELS}))
    assert str(error.value) == "network 'net': targets are given for 'conv', which is no loss"
    one = make_network({**CONV, "out_channels": 1}, {"name": "loss", "type": "binary_cross_entropy"})
    with pytest.raises(InputError) as error:
        make_targets(one, BatchTargets(LABELS))
    assert str(error.value) == "network 'net': labels of the loss 'loss' must be in 0..1, got 0..2"
    assert count_classes(one) == 2
    assert count_classes(network) == 4


def test_labels_of_images_at_each_place_are_named() -> None:
    assert list_spread(make_network(*AUXILIARY)) == ("pixels", "maps")
