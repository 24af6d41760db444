"""Forward and backward of one node of a network, by the kind of its layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workloads.kinds.add import Add
from workloads.kinds.avg_pool import AvgPool
from workloads.kinds.batch_norm import BatchNorm
from workloads.kinds.concat import Concat
from workloads.kinds.conv2d import Conv2d
from workloads.kinds.dropout import Dropout
from workloads.kinds.flatten import Flatten
from workloads.kinds.global_avg_pool import GlobalAvgPool
from workloads.kinds.linear import Linear
from workloads.kinds.max_pool import MaxPool
from workloads.kinds.relu import Relu
from workloads.network import Node
from workloads.reference.arrays import Array, Keep, keep_in_memory
from workloads.reference.convolution import conv_forward, conv_gta, conv_gtw
from workloads.reference.elementwise import (
    add_forward,
    concat_backward,
    concat_forward,
    draw_dropout_mask,
    dropout_forward,
    relu_backward,
    relu_forward,
)
from workloads.reference.fully_connected import linear_forward, linear_gta, linear_gtw
from workloads.reference.normalisation import batch_norm_backward, batch_norm_forward
from workloads.reference.pooling import (
    avg_pool_backward,
    avg_pool_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from workloads.reference.steps import add_bias
from workloads.shapes import ConvShape, LayerShape


@dataclass(frozen=True, eq=False)
class Gradients:
    """What a node hands back: a gradient for each of its inputs (None: nobody needs it) and for its parameters."""

    inputs: Sequence[Array | None]
    parameters: Mapping[str, Array]


Backward = Callable[[Array], Gradients]


@dataclass(frozen=True)
class Place:
    """What a node has to know of its surroundings.

    shape: geometry of a convolution or fully connected layer, None for others;
    output_is_kept: a consumer keeps this node's output for its own backward pass;
    seed, iteration: key of the node's random draws; keep: gives what to keep of an array for the backward pass.
    """

    shape: LayerShape | None
    needs_grad_input: bool
    output_is_kept: bool
    seed: int
    iteration: int
    keep: Keep = keep_in_memory


def run_node(
    node: Node, inputs: Sequence[Array], parameters: Mapping[str, Array], place: Place
) -> tuple[Array, Backward]:
    """Compute the node's output and the function that takes its gradient back; that function keeps what it needs.

    An output that a consumer keeps has been handed to `place.keep`.

    Raises:
        TypeError: the layer's kind has no output, as the loss.
    """
    if isinstance(node.layer, Relu):
        return _run_relu(inputs[0], place)
    output, backward = _run_layer(node, inputs, parameters, place)
    return place.keep(output) if place.output_is_kept else output, backward


def _run_layer(
    node: Node, inputs: Sequence[Array], parameters: Mapping[str, Array], place: Place
) -> tuple[Array, Backward]:
    """Any layer but a ReLU, whose backward needs nothing of its output."""
    first = inputs[0]
    match node.layer:
        case Conv2d() | Linear():
            return _run_compute(node.name, first, parameters, place)
        case MaxPool() | AvgPool() as layer:
            return _run_pool(layer, first, place)
        case GlobalAvgPool():
            shape = first.shape
            return global_avg_pool_forward(first), lambda grad: Gradients([global_avg_pool_backward(grad, shape)], {})
        case Flatten():
            shape = first.shape
            return first.reshape(shape[0], -1), lambda grad: Gradients([grad.reshape(shape)], {})
        case Dropout() as layer:
            return _run_dropout(layer, first, place)
        case BatchNorm() as layer:
            return _run_batch_norm(layer, first, parameters)
        case Add():
            count = len(inputs)
            return add_forward(inputs), lambda grad: Gradients([grad] * count, {})
        case Concat():
            channels = [input.shape[1] for input in inputs]
            return concat_forward(inputs), lambda grad: Gradients(concat_backward(grad, channels), {})
        case layer:
            raise TypeError(f"layer '{node.name}' of type {layer.type} has no output to compute")


def _run_compute(name: str, input: Array, parameters: Mapping[str, Array], place: Place) -> tuple[Array, Backward]:
    """A convolution or a fully connected layer; its backward keeps the input.

    A mask makes no difference here: the ReLU that it stands for is passed on the way back.
    """
    shape, weight, bias = place.shape, parameters[f"{name}/weight"], parameters.get(f"{name}/bias")
    assert shape is not None
    if isinstance(shape, ConvShape):
        output = conv_forward(input, weight, shape)
    else:
        output = linear_forward(input, weight, shape)
    if bias is not None:
        add_bias(output, bias)

    def backward(grad: Array) -> Gradients:
        grad_input: Array | None = None
        if isinstance(shape, ConvShape):
            grads = {f"{name}/weight": conv_gtw(input, grad, shape)}
            if place.needs_grad_input:
                grad_input = conv_gta(grad, weight, shape)
        else:
            grads = {f"{name}/weight": linear_gtw(input, grad, shape)}
            if place.needs_grad_input:
                grad_input = linear_gta(grad, weight, shape)
        if bias is not None:
            axes = (0, *range(2, grad.ndim))
            grads[f"{name}/bias"] = grad.sum(axis=axes, dtype=np.float64).astype(grad.dtype)
        return Gradients([grad_input], grads)

    return output, backward


def _run_relu(input: Array, place: Place) -> tuple[Array, Backward]:
    output = relu_forward(input)
    if place.output_is_kept:
        output = place.keep(output)
    positive = output if place.output_is_kept else place.keep(output > 0)
    return output, lambda grad: Gradients([relu_backward(grad, positive)], {})


def _run_pool(layer: MaxPool | AvgPool, input: Array, place: Place) -> tuple[Array, Backward]:
    window, shape = layer.window, input.shape
    if isinstance(layer, AvgPool):
        return avg_pool_forward(input, window), lambda grad: Gradients([avg_pool_backward(grad, window, shape)], {})
    output, argmax = max_pool_forward(input, window)
    kept = place.keep(argmax)
    return output, lambda grad: Gradients([max_pool_backward(grad, kept, window, shape)], {})


def _run_dropout(layer: Dropout, input: Array, place: Place) -> tuple[Array, Backward]:
    drawn = draw_dropout_mask(input.shape, layer.rate, seed=place.seed, layer=layer.name, iteration=place.iteration)
    kept = place.keep(drawn)
    return dropout_forward(input, kept, layer.rate), lambda grad: Gradients(
        [dropout_forward(grad, kept, layer.rate)], {}
    )


def _run_batch_norm(layer: BatchNorm, input: Array, parameters: Mapping[str, Array]) -> tuple[Array, Backward]:
    name = layer.name
    scale = parameters[f"{name}/scale"]
    output, statistics = batch_norm_forward(input, scale, parameters[f"{name}/shift"], layer.epsilon)

    def backward(grad: Array) -> Gradients:
        grad_input, grad_scale, grad_shift = batch_norm_backward(grad, input, scale, statistics)
        return Gradients([grad_input], {f"{name}/scale": grad_scale, f"{name}/shift": grad_shift})

    return output, backward
