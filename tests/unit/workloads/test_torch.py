"""The host's loss and gradients equal torch's, in float64, on random graphs of all layer kinds and on presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peers import import_peer
from random_graphs import CLASSES, INPUT_SHAPE, make_random_network
from torch_layers import OTHER_SHAPE, SAME_SHAPE

from workloads.host import FLOAT64, initial_parameters, run_iteration
from workloads.kinds.add import Add
from workloads.kinds.avg_pool import AvgPool
from workloads.kinds.batch_norm import BatchNorm
from workloads.kinds.concat import Concat
from workloads.kinds.conv2d import Conv2d
from workloads.kinds.dropout import Dropout
from workloads.kinds.flatten import Flatten
from workloads.kinds.global_avg_pool import GlobalAvgPool
from workloads.kinds.linear import Linear
from workloads.kinds.loss import LossLayer
from workloads.kinds.max_pool import MaxPool
from workloads.kinds.relu import Relu
from workloads.network import INPUT, Network, Node, build_network
from workloads.reference.elementwise import draw_dropout_mask
from workloads.workload import load_workload

torch = import_peer("torch")
functional = torch.nn.functional
pytestmark = pytest.mark.peers

GRAPHS = 60


def run_node(node: Node, inputs: Sequence[Any], parameters: Mapping[str, Any], seed: int) -> Any:
    """Compute a node's output with torch."""
    (first, *_), layer, name = inputs, node.layer, node.name
    match layer:
        case Conv2d():
            return functional.conv2d(
                first, parameters[f"{name}/weight"], parameters.get(f"{name}/bias"), stride=layer.stride,
                padding=layer.padding, groups=layer.groups,
            )  # fmt: skip
        case Linear():
            return functional.linear(first, parameters[f"{name}/weight"], parameters.get(f"{name}/bias"))
        case Relu():
            return functional.relu(first)
        case MaxPool():
            return functional.max_pool2d(
                first, layer.kernel, layer.stride, layer.padding, ceil_mode=layer.ceil_mode
            )  # fmt: skip
        case AvgPool():
            return functional.avg_pool2d(first, layer.kernel, layer.stride, layer.padding)
        case GlobalAvgPool():
            return functional.adaptive_avg_pool2d(first, 1)
        case Flatten():
            return first.flatten(1)
        case Dropout():
            kept = draw_dropout_mask(tuple(first.shape), layer.rate, seed=seed, layer=name)
            return first * torch.from_numpy(kept) / (1 - layer.rate)
        case BatchNorm():
            scale, shift = parameters[f"{name}/scale"], parameters[f"{name}/shift"]
            return functional.batch_norm(first, None, None, scale, shift, training=True, eps=layer.epsilon)
        case Add():
            return sum(inputs[1:], first)
        case Concat():
            return torch.cat(tuple(inputs), dim=layer.axis)
        case _:
            own = {short: parameters[f"{name}/{short}"] for short in layer.list_parameters(node.input_shapes[0])}
            if layer.type in OTHER_SHAPE:
                return OTHER_SHAPE[layer.type](layer, list(inputs), own)
            return SAME_SHAPE[layer.type](layer, first, own)


def compute_loss(layer: LossLayer, scores: Any, labels: NDArray[Any]) -> Any:
    """Compute a loss of labels with torch."""
    targets = torch.from_numpy(np.array(layer.spread_labels(labels, tuple(scores.shape))))
    if layer.type == "softmax_cross_entropy":
        return functional.cross_entropy(scores, targets)
    if layer.type == "mean_squared_error":
        return functional.mse_loss(scores, targets.double())
    return functional.binary_cross_entropy_with_logits(scores, targets.double())


def run_torch(
    network: Network, parameters: Mapping[str, NDArray[Any]], images: NDArray[Any], labels: NDArray[Any], seed: int
) -> tuple[float, dict[str, NDArray[Any]]]:
    """Give torch's loss and its gradients to all parameters."""
    leaves = {name: torch.from_numpy(values.copy()).requires_grad_() for name, values in parameters.items()}
    values = {INPUT: torch.from_numpy(images)}
    total: Any = 0
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs]
        if isinstance(node.layer, LossLayer):
            total = total + node.layer.weight * compute_loss(node.layer, inputs[0], labels)
        else:
            values[node.name] = run_node(node, inputs, leaves, seed)
    loss = total
    loss.backward()
    return float(loss.detach()), {name: leaf.grad.numpy() for name, leaf in leaves.items()}


def assert_equals_torch(network: Network, seed: int, classes: int) -> None:
    """Compare loss and gradients; both sum in float64, in another order, so they differ by rounding alone."""
    rng = np.random.default_rng([seed, 8])
    images = rng.standard_normal(network.input_shape)
    labels = rng.integers(0, classes, network.input_shape[0])
    parameters = {
        name: values + 0.05 * rng.standard_normal(values.shape)
        for name, values in initial_parameters(network, seed).items()
    }
    ours = run_iteration(network, parameters, images, labels, seed=seed, options=FLOAT64)
    loss, grads = run_torch(network, parameters, images, labels, seed)
    assert ours.loss == pytest.approx(loss, rel=1e-10)
    assert set(ours.grads) == set(grads)
    for name, grad in grads.items():
        scale = max(float(np.abs(grad).max()), 1e-6)
        np.testing.assert_allclose(ours.grads[name], grad, rtol=1e-7, atol=1e-7 * scale, err_msg=name)


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_a_random_graph_has_the_gradients_of_torch(seed: int) -> None:
    network = make_random_network(seed)
    assert network.input_shape == INPUT_SHAPE
    assert_equals_torch(network, seed, CLASSES)


@pytest.mark.parametrize("name", ["lenet5", "alexnet_cifar", "resnet20", "resnet18_cifar", "vgg16_cifar"])
def test_a_small_preset_has_the_gradients_of_torch(name: str) -> None:
    preset = load_workload(name, batch=2).network
    assert_equals_torch(preset, 1, 10)


def test_inception_on_small_images_has_the_gradients_of_torch() -> None:
    """All kinds of modules, on the smallest image that every one of them still reads."""
    preset = load_workload("inception_v3").network
    small = build_network("small", (2, 3, 107, 107), [node.layer for node in preset.nodes])
    assert_equals_torch(small, 1, 1000)
