"""The elementwise passes of a training iteration: what no convolution or fully connected step does on its way.

ReLU, dropout and flatten have none: they happen in the unit that writes the tensor they act on. A concatenation is
written in its place by each branch. The gradient of a sum is its output's gradient, and is stored once.

Where branches meet, the gradient to a tensor is a sum of its readers' shares. A pass that writes such a share adds what
is stored of the sum by then, as a GTA does in its PPU (`Network.summed_gradients`); only what is left unsummed when all
readers are through has a pass of its own (`Network.unsummed_gradients`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod

from workloads.kinds import hands_gradient_on, rides_along, unknown_kind
from workloads.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Relu,
    SoftmaxCrossEntropy,
)
from workloads.network import INPUT, Network, Node


class PassStep(StrEnum):
    """When a pass runs."""

    FORWARD = "forward"
    BACKWARD = "backward"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class ElementwisePass:
    """One pass: elements processed, tensors read and written, by the name of the node that stores them.

    Gradients are those to the named node's output. index_bits: argmax indices moved besides, written forward and read
    backward. mask_bits: of a ReLU's mask, read backward where an average is handed back to what comes out of it (a
    maximum is handed back to nonzeros only, and other gradients are written with their mask).
    """

    node: str
    kind: str
    step: PassStep
    elements: int
    reads: tuple[str, ...] = ()
    reads_gradients: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    writes_gradients: tuple[str, ...] = ()
    index_bits: int = 0
    mask_bits: int = 0


def find_stored(network: Network, name: str) -> str:
    """Name the node whose output is stored when `name` is written: ReLU, dropout and flatten ride along."""
    while True:
        readers = network.consumers(name)
        if len(readers) != 1 or not rides_along(readers[0].layer):
            return name
        name = readers[0].name


def find_gradient(network: Network, name: str) -> str:
    """Name the node to whose output the gradient is stored that a node's own backward pass reads.

    It is the node's own, or that of its only reader where this one hands its output's gradient back as it is, or with
    the mask of a ReLU that it is stored with.
    """
    while True:
        readers = network.consumers(name)
        if len(readers) != 1 or not hands_whole_gradient_on(readers[0].layer):
            return name
        name = readers[0].name


def hands_whole_gradient_on(layer: Layer) -> bool:
    """Tell whether the gradient to each input of a layer is stored as its output's: a concatenation hands on parts."""
    return hands_gradient_on(layer) and not isinstance(layer, Concat)


def find_writer(network: Network, name: str) -> str:
    """Name the node that writes the tensor which `name` stands for; the network's input is its own."""
    while name != INPUT and rides_along(network.node(name).layer):
        (name,) = network.node(name).inputs
    return name


def list_trained(network: Network) -> frozenset[str]:
    """Name the nodes with a parameter in or before them: the gradients to their outputs are wanted."""
    return network.trained


def list_passes(network: Network) -> tuple[ElementwisePass, ...]:
    """List the passes of one iteration: forward in the network's order, then loss, then backward in reverse."""
    trained = list_trained(network)
    forward = [made for node in network.nodes if (made := make_forward_pass(network, node))]
    backward: list[ElementwisePass] = []
    for node in reversed(network.nodes):
        found = (make_sum_pass(network, node), make_backward_pass(network, node, trained))
        backward.extend(made for made in found if made is not None)
    return (*forward, *backward)


def make_forward_pass(network: Network, node: Node) -> ElementwisePass | None:
    """Give a node's forward pass, or None if it has none; the loss's stands for forward and backward together."""
    layer, elements = node.layer, max(prod(shape) for shape in node.input_shapes)
    match layer:
        case SoftmaxCrossEntropy():
            source = node.inputs[0]
            return ElementwisePass(
                node.name, layer.type, PassStep.LOSS, elements, reads=(source,), writes_gradients=(source,)
            )
        case MaxPool() | AvgPool() | GlobalAvgPool() | BatchNorm() | Add():
            return ElementwisePass(
                node.name, layer.type, PassStep.FORWARD, elements, reads=node.inputs,
                writes=(find_stored(network, node.name),), index_bits=count_index_bits(node),
            )  # fmt: skip
        case Conv2d() | Linear() | Relu() | Dropout() | Flatten() | Concat():
            return None
        case _:
            raise unknown_kind(layer, "its forward pass")


def make_backward_pass(network: Network, node: Node, trained: frozenset[str]) -> ElementwisePass | None:
    """Give a node's backward pass, or None if it has none; batch norm sweeps gradient and input twice."""
    layer, elements = node.layer, max(prod(shape) for shape in node.input_shapes)
    match layer:
        case BatchNorm():
            output, summed = find_gradients_read(network, node)
            writes = node.inputs if node.inputs[0] in trained else ()
            return ElementwisePass(
                node.name, layer.type, PassStep.BACKWARD, 2 * elements, reads=node.inputs * 2,
                reads_gradients=(output, output, *summed), writes_gradients=writes,
            )  # fmt: skip
        case MaxPool() | AvgPool() | GlobalAvgPool():
            if node.inputs[0] not in trained:
                return None
            output, summed = find_gradients_read(network, node)
            return ElementwisePass(
                node.name, layer.type, PassStep.BACKWARD, elements, reads_gradients=(output, *summed),
                writes_gradients=node.inputs, index_bits=count_index_bits(node),
                mask_bits=count_mask_bits(network, node),
            )  # fmt: skip
        case Conv2d() | Linear() | Relu() | Dropout() | Flatten() | Add() | Concat() | SoftmaxCrossEntropy():
            return None
        case _:
            raise unknown_kind(layer, "its backward pass")


def find_gradients_read(network: Network, node: Node) -> tuple[str, tuple[str, ...]]:
    """Name where the gradient that a node's backward pass reads is stored, and those of what it adds to its own."""
    summed = tuple(find_gradient(network, name) for name in network.summed_gradients(node.name))
    return find_gradient(network, node.name), summed


def make_sum_pass(network: Network, node: Node) -> ElementwisePass | None:
    """Give the pass that adds the shares of the gradient to a node's output which nobody adds while writing."""
    shares = network.unsummed_gradients(node.name)
    if not shares:
        return None
    return ElementwisePass(
        node.name, "gradient_sum", PassStep.BACKWARD, prod(node.output_shape),
        reads_gradients=tuple(find_gradient(network, name) for name in shares), writes_gradients=(node.name,),
    )  # fmt: skip


def count_mask_bits(network: Network, node: Node) -> int:
    """Count the bits of the mask that the backward pass of an average pooling reads: one for each input, or none."""
    match node.layer:
        case AvgPool() | GlobalAvgPool():
            return prod(node.input_shapes[0]) if network.is_behind_relu(node.name) else 0
        case (
            MaxPool() | BatchNorm() | Conv2d() | Linear() | Relu() | Dropout() | Flatten() | Add() | Concat()
            | SoftmaxCrossEntropy()
        ):  # fmt: skip
            return 0
        case layer:
            raise unknown_kind(layer, "the mask that its backward pass reads")


def count_index_bits(node: Node) -> int:
    """Count the bits of the argmax indices of a maximum pooling: enough to tell a window's elements apart."""
    match node.layer:
        case MaxPool() as layer:
            kernel = layer.kernel
            window = kernel * kernel if isinstance(kernel, int) else kernel[0] * kernel[1]
            return prod(node.output_shape) * (window - 1).bit_length()
        case (
            AvgPool() | GlobalAvgPool() | BatchNorm() | Conv2d() | Linear() | Relu() | Dropout() | Flatten() | Add()
            | Concat() | SoftmaxCrossEntropy()
        ):  # fmt: skip
            return 0
        case layer:
            raise unknown_kind(layer, "the indices that its pass moves")
