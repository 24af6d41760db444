"""The host's training iteration: what it hands to the accelerator, its hook, its errors."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter
from threadpoolctl import threadpool_info, threadpool_limits

from workloads.errors import InputError
from workloads.host import HostOptions, Iteration, initial_parameters, parameter_shapes, run_iteration
from workloads.kinds import Layer
from workloads.network import Network, build_network
from workloads.operands import Operands
from workloads.reference import conv_gta, fixed_blas_threads, run_forward, run_gta, run_gtw
from workloads.reference.threads import BLAS_THREADS
from workloads.shapes import ConvShape, LinearShape, Step
from workloads.workload import load_workload

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
INPUT_SHAPE = (4, 2, 8, 8)
LABELS = np.array([0, 2, 1, 2])
CHAIN: list[dict[str, Any]] = [
    {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1},
    {"name": "relu1", "type": "relu"},
    {"name": "pool1", "type": "max_pool", "kernel": 2},
    {"name": "conv2", "type": "conv2d", "out_channels": 6, "kernel": 3, "bias": False},
    {"name": "relu2", "type": "relu"},
    {"name": "conv3", "type": "conv2d", "out_channels": 5, "kernel": 1, "bias": False},
    {"name": "norm3", "type": "batch_norm"},
    {"name": "flat", "type": "flatten"},
    {"name": "fc", "type": "linear", "out_features": 3},
    {"name": "loss", "type": "softmax_cross_entropy"},
]


def make_network(layers: Sequence[dict[str, Any]], input_shape: tuple[int, ...] = INPUT_SHAPE) -> Network:
    return build_network("net", input_shape, LAYERS.validate_python(list(layers)))


def draw_images(shape: tuple[int, ...] = INPUT_SHAPE) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


def iterate(network: Network, **options: Any) -> Iteration:
    return run_iteration(network, initial_parameters(network, 1), draw_images(), LABELS, seed=1, **options)


def operands_of(iteration: Iteration) -> dict[str, Operands]:
    return {operands.layer: operands for operands in iteration.operands()}


def test_operands_come_in_the_order_of_the_network_with_their_shapes_and_steps() -> None:
    operands = list(iterate(make_network(CHAIN)).operands())
    every_step = (Step.FORWARD, Step.GTA, Step.GTW)
    assert [(each.layer, each.shape, each.steps) for each in operands] == [
        ("conv1", ConvShape(4, 2, 8, 8, 4, 3, 3, padding=(1, 1, 1, 1)), (Step.FORWARD, Step.GTW)),
        ("conv2", ConvShape(4, 4, 4, 4, 6, 3, 3), every_step),
        ("conv3", ConvShape(4, 6, 2, 2, 5, 1, 1), every_step),
        ("fc", LinearShape(4, 20, 3), every_step),
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_operands_are_contiguous_float32_arrays_of_their_shapes(dtype: type[np.floating[Any]]) -> None:
    for operands in iterate(make_network(CHAIN), options=HostOptions(dtype)).operands():
        shape = operands.shape
        tensors = {"input": shape.input_shape, "weight": shape.weight_shape, "grad_output": shape.output_shape}
        for tensor, expected in tensors.items():
            array = getattr(operands, tensor)
            assert (array.dtype, array.shape, array.flags.c_contiguous) == (np.float32, expected, True), tensor


def test_masks_and_biases_stand_where_the_graph_has_them() -> None:
    operands = operands_of(iterate(make_network(CHAIN)))
    assert {name for name, each in operands.items() if each.mask is not None} == {"conv2", "conv3"}
    for name in ("conv2", "conv3"):
        np.testing.assert_array_equal(operands[name].mask, operands[name].input != 0)
    assert {name for name, each in operands.items() if each.bias is not None} == {"conv1", "fc"}


def test_the_steps_of_the_operands_chain_into_the_iteration() -> None:
    iteration = iterate(make_network(CHAIN))
    operands = operands_of(iteration)
    for name, each in operands.items():
        np.testing.assert_array_equal(run_gtw(each), iteration.grads[f"{name}/weight"])
    rectified = np.maximum(run_forward(operands["conv2"]), 0)
    np.testing.assert_array_equal(rectified, operands["conv3"].input)
    # Behind the mask the gradient of conv3's input is the gradient of conv2's output.
    np.testing.assert_array_equal(run_gta(operands["conv3"]), operands["conv2"].grad_output)
    scores = run_forward(operands["fc"])
    assert iteration.accuracy == (scores.argmax(axis=1) == LABELS).mean()


def test_the_loss_of_equal_scores_is_the_logarithm_of_their_number() -> None:
    network = make_network(CHAIN)
    zeros = {name: np.zeros(shape, dtype=np.float32) for name, shape in parameter_shapes(network).items()}
    iteration = run_iteration(network, zeros, draw_images(), LABELS, seed=1)
    # One rounding of float32.
    assert iteration.loss == pytest.approx(np.log(3), rel=1e-7)
    assert iteration.accuracy == (LABELS == 0).mean()


def test_a_fully_connected_layer_on_the_flattened_input_has_no_gta() -> None:
    network = make_network([{"name": "flat", "type": "flatten"}, {**CHAIN[-2]}, CHAIN[-1]])
    (operands,) = iterate(network).operands()
    assert operands.steps == (Step.FORWARD, Step.GTW)


def test_a_first_convolution_behind_a_trained_batch_norm_has_a_gta() -> None:
    network = make_network([{"name": "norm", "type": "batch_norm"}, *CHAIN])
    iteration = iterate(network)
    operands = operands_of(iteration)["conv1"]
    assert operands.steps == (Step.FORWARD, Step.GTA, Step.GTW)
    expected = run_gta(operands).sum(axis=(0, 2, 3))
    # The two sums over 256 elements add in different order and precision.
    np.testing.assert_allclose(iteration.grads["norm/shift"], expected, rtol=1e-3, atol=1e-5)


def test_the_gradient_of_a_node_with_two_readers_is_the_sum_of_theirs() -> None:
    branches: list[dict[str, Any]] = [
        CHAIN[0],
        {"name": "left", "type": "conv2d", "inputs": ["conv1"], "out_channels": 4, "kernel": 1, "bias": False},
        {"name": "right", "type": "conv2d", "inputs": ["conv1"], "out_channels": 4, "kernel": 3, "padding": 1},
        {"name": "sum", "type": "add", "inputs": ["left", "right", "conv1"]},
        *CHAIN[-3:],
    ]
    operands = operands_of(iterate(make_network(branches)))
    left, right = operands["left"], operands["right"]
    np.testing.assert_array_equal(left.grad_output, right.grad_output)
    expected = left.grad_output + run_gta(right) + run_gta(left)
    # Three summands, added in whichever order: one rounding of float32.
    np.testing.assert_allclose(operands["conv1"].grad_output, expected, rtol=1e-5, atol=1e-8)


def test_two_runs_are_equal_bit_by_bit() -> None:
    network = make_network([*CHAIN[:-2], {"name": "drop", "type": "dropout"}, *CHAIN[-2:]])
    first, second = iterate(network), iterate(network)
    assert first.loss == second.loss
    for name, grad in first.grads.items():
        np.testing.assert_array_equal(grad, second.grads[name])
    assert iterate(network, iteration=1).loss != first.loss


def test_given_parameters_and_images_are_left_as_they_are() -> None:
    network = make_network(CHAIN)
    parameters, images = initial_parameters(network, 1), draw_images()
    before = {name: values.copy() for name, values in parameters.items()}
    run_iteration(network, parameters, images, LABELS, seed=1, hook=lambda _, gradient, __: gradient)
    np.testing.assert_array_equal(images, draw_images())
    for name, values in before.items():
        np.testing.assert_array_equal(parameters[name], values)


def test_the_hook_sees_each_gradient_once_and_behind_its_mask() -> None:
    network = make_network(CHAIN)
    seen: dict[str, Any] = {}

    def record(name: str, gradient: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any]:
        assert name not in seen
        seen[name] = (gradient, mask)
        return gradient

    hooked, plain = iterate(network, hook=record), iterate(network)
    assert list(seen) == ["fc", "flat", "norm3", "conv3", "relu2", "conv2", "pool1", "relu1", "conv1"]
    assert {name for name, (_, mask) in seen.items() if mask is not None} == {"relu2", "pool1"}
    operands = operands_of(hooked)
    for name, reader in (("relu2", "conv3"), ("pool1", "conv2")):
        gradient, mask = seen[name]
        np.testing.assert_array_equal(mask, operands[reader].mask)
        np.testing.assert_array_equal(gradient, run_gta(operands[reader]))
    np.testing.assert_array_equal(seen["conv3"][0], operands["conv3"].grad_output)
    for name, grad in plain.grads.items():
        np.testing.assert_array_equal(hooked.grads[name], grad)


def test_what_the_hook_returns_takes_the_gradients_place() -> None:
    network = make_network(CHAIN)

    def double_conv3(name: str, gradient: NDArray[Any], _: NDArray[np.bool_] | None) -> NDArray[Any]:
        return 2 * gradient if name == "conv3" else gradient

    hooked, plain = operands_of(iterate(network, hook=double_conv3)), operands_of(iterate(network))
    # Doubling is exact, and so is all that follows from it.
    for name, factor in (("fc", 1), ("conv3", 2), ("conv2", 2), ("conv1", 2)):
        np.testing.assert_array_equal(hooked[name].grad_output, factor * plain[name].grad_output)


def test_a_gradient_that_the_hook_gets_is_zero_outside_the_mask_where_branches_meet() -> None:
    branches: list[dict[str, Any]] = [
        *CHAIN[:2],
        {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1},
        {"name": "sum", "type": "add", "inputs": ["conv2", "relu1"]},
        *CHAIN[-3:],
    ]
    network = make_network(branches)
    seen: dict[str, Any] = {}

    def record(name: str, gradient: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any]:
        seen[name] = (gradient, mask)
        return gradient

    hooked, plain = operands_of(iterate(network, hook=record)), operands_of(iterate(network))
    gradient, mask = seen["relu1"]
    conv2 = plain["conv2"]
    assert isinstance(conv2.shape, ConvShape)
    shortcut = conv2.grad_output
    assert not gradient[~mask].any()
    np.testing.assert_array_equal(
        gradient[mask], (shortcut + conv_gta(conv2.grad_output, conv2.weight, conv2.shape))[mask]
    )
    np.testing.assert_array_equal(hooked["conv1"].grad_output, plain["conv1"].grad_output)


def test_initial_weights_follow_kaimings_rule() -> None:
    layers: list[dict[str, Any]] = [
        {"name": "conv", "type": "conv2d", "out_channels": 64, "kernel": [3, 5], "groups": 2},
        {"name": "norm", "type": "batch_norm"},
        *CHAIN[-3:],
    ]
    network = make_network(layers, (1, 32, 8, 8))
    parameters = initial_parameters(network, 1)
    assert {name: values.shape for name, values in parameters.items()} == parameter_shapes(network)
    assert all(values.dtype == np.float32 for values in parameters.values())
    fan_in = 16 * 3 * 5
    # 15,360 draws: the deviation's relative error is 0.6 %, the mean's 0.8 % of it; four of each are allowed.
    assert parameters["conv/weight"].std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.024)
    assert parameters["conv/weight"].mean() == pytest.approx(0, abs=0.032 * np.sqrt(2 / fan_in))
    assert not parameters["conv/bias"].any()
    assert (parameters["norm/scale"] == 1).all()
    assert not parameters["norm/shift"].any()


def test_initial_weights_of_a_layer_depend_on_seed_and_name_alone() -> None:
    whole = initial_parameters(make_network(CHAIN), 1)
    alone = initial_parameters(make_network([CHAIN[0], *CHAIN[-3:]]), 1)
    renamed = initial_parameters(make_network([{**CHAIN[0], "name": "first"}, *CHAIN[-3:]]), 1)
    np.testing.assert_array_equal(whole["conv1/weight"], alone["conv1/weight"])
    assert (whole["conv1/weight"] != initial_parameters(make_network(CHAIN), 2)["conv1/weight"]).all()
    assert (whole["conv1/weight"] != renamed["first/weight"]).all()


def test_blas_runs_on_a_fixed_number_of_threads_and_gets_its_own_back() -> None:
    def count() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    inside: list[list[int]] = []

    def record(_: str, gradient: NDArray[Any], __: NDArray[np.bool_] | None) -> NDArray[Any]:
        inside.append(count())
        return gradient

    with threadpool_limits(BLAS_THREADS + 1):
        before = count()
        iterate(make_network(CHAIN), hook=record)
        assert count() == before
        with fixed_blas_threads():
            inside.append(count())
        assert count() == before
    assert before == [BLAS_THREADS + 1] * len(before)
    assert inside == [[BLAS_THREADS] * len(before)] * (1 + 9)


@pytest.mark.parametrize("preset", ["lenet5", "resnet20"])
def test_an_iteration_is_the_same_to_the_bit_on_any_number_of_threads(preset: str) -> None:
    network = load_workload(preset, batch=6).network
    images = draw_images(network.input_shape)
    found = []
    for workers in (1, 2, 5):
        parameters, options = initial_parameters(network, 1), HostOptions(threads=workers)
        found.append(run_iteration(network, parameters, images, np.arange(6), seed=1, options=options))
    for other in found[1:]:
        assert other.loss == found[0].loss
        for name, gradient in other.grads.items():
            np.testing.assert_array_equal(gradient, found[0].grads[name])


def test_tensors_that_backward_does_not_need_are_released() -> None:
    depth, shape = 20, (4, 8, 32, 32)
    pairs: list[dict[str, Any]] = []
    for index in range(depth):
        pairs.append({"name": f"relu{index}", "type": "relu"})
        pairs.append({"name": f"pool{index}", "type": "avg_pool", "kernel": 1})
    network = make_network([{"name": "norm", "type": "batch_norm"}, *pairs, *CHAIN[-3:]], shape)
    parameters, images = initial_parameters(network, 1), draw_images(shape)
    run_iteration(network, parameters, images, LABELS, seed=1)
    tracemalloc.start()
    run_iteration(network, parameters, images, LABELS, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Each ReLU keeps a byte an element; besides, some tensors are in work, where keeping all would take 2 * depth.
    flags, in_work = depth * images.size, 6 * images.nbytes
    assert peak < flags + in_work


def refuse(network: Network, images: Any, labels: Any, **changed: Any) -> str:
    parameters = {**initial_parameters(network, 1), **changed}
    with pytest.raises(InputError) as error:
        run_iteration(
            network, {name: each for name, each in parameters.items() if each is not None}, images, labels, seed=1
        )
    return str(error.value)


def test_a_network_without_a_loss_is_refused() -> None:
    message = refuse(make_network(CHAIN[:-1]), draw_images(), LABELS)
    assert message == "network 'net' has no loss layer; a training iteration on the host needs one"


def test_images_and_labels_that_do_not_fit_are_refused() -> None:
    network, images = make_network(CHAIN), draw_images()
    assert refuse(network, images[:, :1], LABELS) == (
        "network 'net' takes images of shape (4, 2, 8, 8), got (4, 1, 8, 8)"
    )
    assert refuse(network, images, LABELS[:3]) == "labels must have shape (4,), one for each image, got (3,)"
    for labels, found in ((LABELS + 1, "1..3"), (LABELS - 1, "-1..1")):
        assert refuse(network, images, labels) == (
            f"network 'net': labels of the loss 'loss' must be in 0..2, got {found}"
        )


def test_parameters_that_do_not_fit_are_refused() -> None:
    network, images = make_network(CHAIN), draw_images()
    message = refuse(network, images, LABELS, **{"fc/weight": None})
    assert message == "parameter 'fc/weight' of network 'net' is missing"
    message = refuse(network, images, LABELS, **{"fc/bias": np.zeros(4, np.float32)})
    assert message == "parameter 'fc/bias' must have shape (3,), got (4,)"


def test_numbers_that_overflow_are_refused() -> None:
    network, images = make_network(CHAIN), draw_images()
    huge = np.full((3, 20), np.finfo(np.float32).max, dtype=np.float32)
    assert refuse(network, images, LABELS, **{"fc/weight": huge}) == (
        "the loss of network 'net' is nan; its weights or images are too large"
    )
    shallow = make_network([*CHAIN[:2], *CHAIN[-3:]])
    large, tiny = np.full(INPUT_SHAPE, 1e38, dtype=np.float32), np.full((4, 2, 3, 3), 1e-38, dtype=np.float32)
    steep = 100 * initial_parameters(shallow, 1)["fc/weight"]
    assert refuse(shallow, large, LABELS, **{"conv1/weight": tiny, "fc/weight": steep}) == (
        "the gradient to 'conv1/weight' is not finite; weights or images are too large"
    )
