"""Gradients of whole small networks in float64: equal to finite differences, for every layer kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from workloads.host import FLOAT64, initial_parameters, run_iteration
from workloads.kinds import Layer
from workloads.network import Network, build_network

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
INPUT_SHAPE = (3, 2, 6, 5)
STEP = 1e-6

CONV: dict[str, Any] = {"name": "conv", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1}
ENDING: list[dict[str, Any]] = [
    {"name": "flat", "type": "flatten"},
    {"name": "fc", "type": "linear", "out_features": 3},
    {"name": "loss", "type": "softmax_cross_entropy"},
]

KINDS: dict[str, list[dict[str, Any]]] = {
    "conv2d": [{"type": "conv2d", "out_channels": 6, "kernel": [2, 3], "stride": 2, "padding": [0, 1], "groups": 2}],
    "conv2d without bias": [{"type": "conv2d", "out_channels": 2, "kernel": 1, "bias": False}],
    "linear": [{"type": "flatten"}, {"type": "linear", "out_features": 5, "bias": False}],
    "relu": [{"type": "relu"}],
    "conv2d behind relu": [{"type": "relu"}, {"type": "conv2d", "out_channels": 3, "kernel": 3}],
    "conv2d behind relu and pooling": [
        {"type": "relu"},
        {"type": "max_pool", "kernel": 2},
        {"type": "conv2d", "out_channels": 3, "kernel": 2},
    ],
    "max_pool": [{"type": "max_pool", "kernel": [3, 2], "stride": 2, "padding": 1, "ceil_mode": True}],
    "avg_pool": [{"type": "avg_pool", "kernel": 3, "stride": 2, "padding": 1}],
    "global_avg_pool": [{"type": "global_avg_pool"}],
    "dropout": [{"type": "dropout", "rate": 0.3}],
    "relu6": [{"type": "prelu", "init": 4.0}, {"type": "relu6"}],
    "conv2d behind relu6 and pooling": [
        {"type": "prelu", "init": 4.0},
        {"type": "relu6"},
        {"type": "max_pool", "kernel": 2},
        {"type": "conv2d", "out_channels": 3, "kernel": 2},
    ],
    "leaky_relu": [{"type": "leaky_relu", "negative_slope": 0.2}],
    "prelu": [{"type": "prelu"}],
    "prelu of each channel": [{"type": "prelu", "per_channel": True, "init": 0.1}],
    "sigmoid": [{"type": "sigmoid"}],
    "tanh": [{"type": "tanh"}],
    "hard_sigmoid": [{"type": "hard_sigmoid"}],
    "hard_swish": [{"type": "hard_swish"}],
    "silu": [{"type": "silu"}],
    "gelu": [{"type": "gelu"}],
    "gelu by tanh": [{"type": "gelu", "approximate": "tanh"}],
    "softmax": [{"type": "softmax"}],
    "softmax of channels": [{"type": "softmax", "axis": 1}],
    "prelu of features": [{"type": "flatten"}, {"type": "prelu", "per_channel": True}],
    "batch_norm": [{"type": "batch_norm"}],
    "batch_norm of features": [{"type": "flatten"}, {"type": "batch_norm"}],
    "layer_norm": [{"type": "layer_norm"}],
    "layer_norm of images": [{"type": "layer_norm", "axes": 3, "affine": False}],
    "layer_norm of features": [{"type": "flatten"}, {"type": "layer_norm"}],
    "group_norm": [{"type": "group_norm", "groups": 2}],
    "group_norm of features": [{"type": "flatten"}, {"type": "group_norm", "groups": 4, "affine": False}],
    "instance_norm": [{"type": "instance_norm"}],
    "instance_norm with scale": [{"type": "instance_norm", "affine": True}],
    "local_response_norm": [{"type": "local_response_norm", "size": 3, "alpha": 0.5}],
    "conv2d behind local_response_norm": [
        {"type": "relu"},
        {"type": "local_response_norm", "size": 2, "alpha": 2.0, "beta": 1.5, "k": 2.0},
        {"type": "conv2d", "out_channels": 3, "kernel": 2},
    ],
    "add": [{"type": "batch_norm", "name": "norm"}, {"type": "add", "name": "sum", "inputs": ["norm", "conv"]}],
    "adaptive_avg_pool": [{"type": "adaptive_avg_pool", "output": [4, 3]}],
    "upsample": [{"type": "upsample", "scale": 2}],
    "upsample bilinear": [{"type": "upsample", "scale": [2, 3], "mode": "bilinear"}],
    "conv2d behind relu and upsample": [
        {"type": "relu"},
        {"type": "upsample", "scale": 2, "mode": "bilinear", "align_corners": True},
        {"type": "conv2d", "out_channels": 3, "kernel": 2},
    ],
    "reshape": [{"type": "reshape", "shape": [-1, 2]}],
    "transpose": [{"type": "transpose", "axes": [3, 1, 2]}],
    "channel_shuffle": [{"type": "channel_shuffle", "groups": 2}],
    "pixel_shuffle": [{"type": "pixel_shuffle", "upscale": 2}],
    "flatten of tokens": [{"type": "relu"}, {"type": "flatten", "start_axis": 2}],
    "split": [
        {"type": "split", "name": "first", "sizes": [1, 3], "part": 0},
        {"type": "split", "name": "rest", "inputs": ["conv"], "sizes": [1, 3], "part": 1},
        {"type": "concat", "inputs": ["rest", "first"]},
    ],
    "split and another reader": [
        {"type": "split", "name": "some", "sizes": [2, 2], "part": 1},
        {"type": "concat", "inputs": ["some", "conv"]},
    ],
    "subtract": [{"type": "sigmoid", "name": "gate"}, {"type": "subtract", "inputs": ["conv", "gate"]}],
    "multiply": [
        {"type": "global_avg_pool", "name": "mean"},
        {"type": "sigmoid", "name": "gate"},
        {"type": "multiply", "inputs": ["gate", "conv"]},
    ],
    "multiply by a parameter": [
        {"type": "parameter", "name": "scale", "shape": [4, 1, 1], "init": 1.0},
        {"type": "multiply", "inputs": ["conv", "scale"]},
    ],
    "the square": [{"type": "multiply", "inputs": ["conv", "conv"]}],
    "add of the same twice": [{"type": "relu", "name": "half"}, {"type": "add", "inputs": ["half", "half", "conv"]}],
    "concat of the same twice": [{"type": "concat", "inputs": ["conv", "conv"]}],
    "concat of rows": [{"type": "relu", "name": "half"}, {"type": "concat", "axis": 2, "inputs": ["conv", "half"]}],
    "concat of columns": [
        {"type": "relu", "name": "half"},
        {"type": "adaptive_avg_pool", "name": "narrow", "output": [6, 2]},
        {"type": "concat", "axis": 3, "inputs": ["half", "narrow"]},
    ],
    "concat": [{"type": "relu", "name": "half"}, {"type": "concat", "name": "both", "inputs": ["conv", "half"]}],
}

EVERYTHING: list[dict[str, Any]] = [
    {"name": "conv1", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1, "bias": False},
    {"name": "norm1", "type": "batch_norm"},
    {"name": "relu1", "type": "relu"},
    {"name": "conv2", "type": "conv2d", "out_channels": 4, "kernel": 3, "padding": 1, "groups": 2},
    {"name": "norm2", "type": "batch_norm"},
    {"name": "sum", "type": "add", "inputs": ["norm2", "relu1"]},
    {"name": "relu2", "type": "relu"},
    {"name": "pool", "type": "max_pool", "kernel": 2, "ceil_mode": True},
    {"name": "left", "type": "conv2d", "out_channels": 2, "kernel": [1, 3], "padding": [0, 1]},
    {"name": "right", "type": "avg_pool", "inputs": ["pool"], "kernel": 3, "stride": 1, "padding": 1},
    {"name": "joined", "type": "concat", "inputs": ["left", "right"]},
    {"name": "cut_off", "type": "relu6"},
    {"name": "mixed", "type": "conv2d", "out_channels": 4, "kernel": 1},
    {"name": "leaky", "type": "leaky_relu"},
    {"name": "slopes", "type": "prelu", "per_channel": True},
    {"name": "scores", "type": "matmul", "inputs": ["slopes", "leaky"], "transpose_b": True, "scale": 0.3},
    {"name": "tangent", "type": "tanh"},
    {"name": "weights", "type": "softmax", "axis": 1},
    {"name": "wide", "type": "conv2d", "out_channels": 5, "kernel": 1},
    {"name": "up", "type": "conv_transpose2d", "out_channels": 5, "kernel": 3, "padding": 1},
    {"name": "gate", "type": "sigmoid"},
    {"name": "swish", "type": "silu"},
    {"name": "lateral", "type": "local_response_norm", "size": 2},
    {"name": "by_image", "type": "instance_norm"},
    {"name": "hard", "type": "hard_swish"},
    {"name": "by_group", "type": "group_norm", "groups": 5},
    {"name": "normal", "type": "gelu"},
    {"name": "clipped", "type": "hard_sigmoid"},
    {"name": "shuffled", "type": "channel_shuffle", "groups": 5},
    {"name": "kept", "type": "split", "sizes": [1, 4], "part": 0},
    {"name": "worked", "type": "split", "inputs": ["shuffled"], "sizes": [1, 4], "part": 1},
    {"name": "pixels", "type": "pixel_shuffle", "upscale": 2},
    {"name": "turned", "type": "transpose", "axes": [1, 3, 2]},
    {"name": "scale", "type": "parameter", "shape": [1, 1, 1]},
    {"name": "scaled", "type": "multiply", "inputs": ["turned", "scale"]},
    {"name": "kept_mean", "type": "global_avg_pool", "inputs": ["kept"]},
    {"name": "weighed", "type": "multiply", "inputs": ["scaled", "kept_mean"]},
    {"name": "less", "type": "subtract", "inputs": ["weighed", "turned"]},
    {"name": "folded", "type": "reshape", "shape": [4, 3, -1]},
    {"name": "unfolded", "type": "conv2d", "out_channels": 4, "kernel": 1},
    {"name": "larger", "type": "upsample", "scale": 2},
    {"name": "smaller", "type": "adaptive_avg_pool", "output": [3, 2]},
    {"name": "drop", "type": "dropout", "rate": 0.25},
    {"name": "mean", "type": "global_avg_pool"},
    {"name": "signal", "type": "conv1d", "out_channels": 4, "kernel": 3, "padding": 1},
    {"name": "by_layer", "type": "layer_norm", "axes": 3},
    *ENDING,
    {"name": "squared", "type": "mean_squared_error", "inputs": ["fc"], "weight": 0.3},
    {"name": "binary", "type": "binary_cross_entropy", "inputs": ["fc"], "weight": 0.5},
]


def make_network(layers: Sequence[dict[str, Any]]) -> Network:
    named = [{"name": f"layer{index}", **layer} for index, layer in enumerate(layers)]
    return build_network("net", INPUT_SHAPE, LAYERS.validate_python(named))


def draw_parameters(network: Network) -> dict[str, NDArray[np.float64]]:
    """Values away from their start, where bias is 0 and scale 1."""
    parameters: dict[str, NDArray[np.float64]] = {}
    for index, (name, values) in enumerate(initial_parameters(network, 1).items()):
        noise = np.random.default_rng(index).standard_normal(values.shape)
        parameters[name] = values + 0.3 * noise
    return parameters


def assert_gradients_equal_differences(network: Network, absolute: float = 1e-8) -> None:
    """Compare each parameter's gradient with central differences of the loss.

    Their error is STEP^2 times a third derivative, and 1e-16 / STEP of rounding: some 1e-10 together.
    No ReLU and no pooling maximum of these fixed draws changes within STEP.
    """
    images, labels = np.random.default_rng(7).standard_normal(INPUT_SHAPE), np.array([2, 0, 1])
    parameters = draw_parameters(network)

    def loss_of(parameters: dict[str, NDArray[np.float64]]) -> float:
        return run_iteration(network, parameters, images, labels, seed=5, options=FLOAT64).loss

    grads = run_iteration(network, parameters, images, labels, seed=5, options=FLOAT64).grads
    assert list(grads) == list(parameters)
    for name, values in parameters.items():
        # At most some thirty elements of each parameter, spread over it.
        for element in range(0, values.size, 1 + values.size // 30):
            losses = []
            for sign in (1, -1):
                moved = values.copy()
                moved.flat[element] += sign * STEP
                losses.append(loss_of({**parameters, name: moved}))
            difference = (losses[0] - losses[1]) / (2 * STEP)
            assert grads[name].flat[element] == pytest.approx(difference, rel=1e-6, abs=absolute), (name, element)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_through_a_layer_kind_equal_finite_differences(kind: str) -> None:
    ending = ENDING if KINDS[kind][0]["type"] != "flatten" else ENDING[1:]
    assert_gradients_equal_differences(make_network([CONV, *KINDS[kind], *ending]))


def test_the_gradients_of_a_network_of_all_layer_kinds_equal_finite_differences() -> None:
    network = make_network(EVERYTHING)
    kinds = {node.layer.type for node in network.nodes}
    assert kinds == set(LAYERS.json_schema()["items"]["discriminator"]["mapping"])
    # Through forty layers the third derivative is larger.
    assert_gradients_equal_differences(network, absolute=1e-7)
