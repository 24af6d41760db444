"""The elementwise passes of a training iteration: what no convolution or fully connected step does on its way.

ReLU, dropout and flatten have none: they happen in the unit that writes the tensor they act on. A concatenation is
written in its place by each branch. The gradient of a sum is its output's gradient, and is stored once, but for that to
an input which the sum spreads over positions.

Where branches meet, the gradient to a tensor is a sum of its readers' shares. A pass that writes such a share adds what
is stored of the sum by then, as a GTA does in its PPU (`Network.summed_gradients`); only what is left unsummed when all
readers are through has a pass of its own (`Network.unsummed_gradients`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from workloads.gradient_shares import GradientShare, find_gradient, find_share_written, list_shares_added
from workloads.network import Network, Node
from workloads.shapes import Shape, Step

GRADIENT_SUM = "gradient_sum"
GRADIENT_PRUNING = "gradient_pruning"


class PassStep(StrEnum):
    """When a pass runs."""

    FORWARD = "forward"
    BACKWARD = "backward"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class LayerStep:
    """A step of a layer that the accelerator executes, in its place among the passes.

    Attributes:
        reads_copy: It reads a pruned copy of the gradient to the layer's output, which a pass has written.
    """

    node: str
    step: Step
    reads_copy: bool = False


@dataclass(frozen=True, slots=True)
class ElementwisePass:
    """One pass: elements processed, tensors read and written, by the name of the node that stores them.

    Gradients are those to the named node's output.

    Attributes:
        index_bits: Argmax indices moved besides, written forward and read backward.
        target_elements: Numbers that a loss reads besides.
        members: The passes that run as this one, in their order, where they are fused (`workloads.fusion`); its `node`
            then names all of them.
        mask_bytes: Of a ReLU's mask, each row rounded up, read backward where an average is handed back to what comes
            out of it (a maximum is handed back to nonzeros only, and other gradients are written with their mask).
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
    mask_bytes: int = 0
    target_elements: int = 0
    members: tuple[ElementwisePass, ...] = ()


def find_stored(network: Network, name: str) -> str:
    """Name the node whose output is stored when `name` is written: ReLU, dropout and flatten ride along."""
    while True:
        readers = network.consumers(name)
        if len(readers) != 1 or not readers[0].layer.traits.rides_along:
            return name
        name = readers[0].name


def find_writer(network: Network, name: str) -> str:
    """Name the node that writes the tensor which `name` stands for; the network's input is its own."""
    while not network.is_source(name) and network.node(name).layer.traits.rides_along:
        (name,) = network.node(name).inputs
    return name


def list_passes(network: Network) -> tuple[ElementwisePass, ...]:
    """List the passes of one iteration: forward in the network's order, then losses, then backward in reverse."""
    return tuple(one for one in list_iteration(network) if isinstance(one, ElementwisePass))


def list_iteration(
    network: Network,
    list_steps: Callable[[str], tuple[Step, ...]] | None = None,
    copied: Collection[str] = frozenset(),
) -> tuple[LayerStep | ElementwisePass, ...]:
    """List the steps of layers and the passes of one iteration in the order in which they are executed.

    Forward they follow the network's order, with the losses behind all others, and backward its reverse: of each node
    the pass that sums the gradient to its output, then its GTW and GTA, or its own pass. The gradient that GTA hands on
    is so followed by what reads it.

    Args:
        list_steps: The steps of a layer, by default those that training needs.
        copied: The layers whose GTA reads a pruned copy of its gradient, which a pass writes just before.
    """
    forward: list[LayerStep | ElementwisePass] = []
    losses: list[ElementwisePass] = []
    for node in network.nodes:
        if node.layer.traits.is_computed:
            forward.append(LayerStep(node.name, Step.FORWARD))
        elif (made := make_forward_pass(network, node)) is not None:
            (losses if made.step is PassStep.LOSS else forward).append(made)
    backward: list[LayerStep | ElementwisePass] = []
    for node in reversed(network.nodes):
        if (made := make_sum_pass(network, node)) is not None:
            backward.append(made)
        if node.layer.traits.is_computed:
            steps = (list_steps or network.list_steps)(node.name)
            if Step.GTW in steps:
                backward.append(LayerStep(node.name, Step.GTW))
            has_copy = node.name in copied
            if Step.GTA in steps:
                backward += [make_pruning_pass(network, node)] if has_copy else []
                backward.append(LayerStep(node.name, Step.GTA, has_copy))
        elif (made := make_backward_pass(network, node, network.trained)) is not None:
            backward.append(made)
    return (*forward, *losses, *backward)


def make_forward_pass(network: Network, node: Node) -> ElementwisePass | None:
    """Give a node's forward pass, or None if it has none; the loss's stands for forward and backward together."""
    layer = node.layer
    work = layer.forward_work(node.input_shapes, node.output_shape)
    if work is None:
        return None
    elements = count_elements(node)
    reads = node.inputs * work.sweeps
    if layer.traits.is_loss:
        return ElementwisePass(
            node.name, layer.type, PassStep.LOSS, elements * work.sweeps, reads=reads, writes_gradients=node.inputs,
            reads_gradients=find_summed(network, node), target_elements=work.target_elements,
        )  # fmt: skip
    return ElementwisePass(
        node.name, layer.type, PassStep.FORWARD, elements * work.sweeps, reads=reads,
        writes=find_written(network, node), index_bits=work.index_bits,
    )  # fmt: skip


def count_elements(node: Node) -> int:
    """Count what a pass goes through: the elements of the largest tensor that a node reads or gives out."""
    read = () if node.layer.traits.is_source else node.input_shapes
    return max(prod(shape) for shape in (*read, node.output_shape))


def find_written(network: Network, node: Node) -> tuple[str, ...]:
    """Name the tensors that a forward pass writes: what is stored, and its own output where only its backward reads it.

    The two differ where a ReLU or dropout rides along: behind a softmax and dropout both are there. Where others read
    the same output too, it is stored beside what becomes of it on the way.
    """
    backward = node.layer.backward_work(node.input_shapes, node.output_shape)
    is_read_back = backward is not None and backward.reads_output and node.name in network.trained
    return tuple(dict.fromkeys([node.name] * is_read_back + list_stored(network, node.name)))


def list_stored(network: Network, name: str) -> list[str]:
    """Name the tensors that are stored when a node's output is written: it, and what rides along makes of it."""
    readers = network.consumers(name)
    if len(readers) == 1 and readers[0].layer.traits.rides_along:
        return list_stored(network, readers[0].name)
    readers = see_through_views(network, name)
    riding = [one for one in readers if one.layer.traits.rides_along and not one.layer.traits.is_view]
    made = [stored for one in riding for stored in list_stored(network, one.name)]
    return made if made and len(riding) == len(readers) else [name, *made]


def see_through_views(network: Network, name: str) -> tuple[Node, ...]:
    """Give the readers of a node's output and of its views; a view that nobody reads is one."""
    found: list[Node] = []
    for reader in network.consumers(name):
        behind = see_through_views(network, reader.name) if reader.layer.traits.is_view else ()
        found += behind or (reader,)
    return tuple(found)


def make_backward_pass(network: Network, node: Node, trained: frozenset[str]) -> ElementwisePass | None:
    """Give a node's backward pass, or None: it has none, or neither its input nor a parameter needs a gradient."""
    layer = node.layer
    work = layer.backward_work(node.input_shapes, node.output_shape)
    wanted = tuple(name for name in node.inputs if name in trained and network.writes_gradient(node.name, name))
    if work is None or not (wanted or layer.traits.has_parameters):
        return None
    output, summed = find_gradient(network, node.name), find_summed(network, node)
    elements = count_elements(node)
    has_mask = work.reads_mask and network.is_behind_relu(node.name)
    return ElementwisePass(
        node.name, layer.type, PassStep.BACKWARD, elements * work.sweeps,
        reads=(*node.inputs * work.reads_input, *(node.name,) * work.reads_output) * work.sweeps,
        reads_gradients=(*[output] * work.sweeps, *summed), writes_gradients=wanted,
        index_bits=work.index_bits, mask_bytes=size_mask(node.input_shapes[0]) if has_mask else 0,
    )  # fmt: skip


def size_mask(shape: Shape) -> int:
    """Give the bytes of a mask: a bit an element, each row rounded up."""
    return prod(shape[:-1]) * -(-shape[-1] // 8)


def find_summed(network: Network, node: Node) -> tuple[str, ...]:
    """Name where the gradients are stored that a node's pass adds to its own share."""
    return tuple(share.node for share in list_summed(network, node))


def list_summed(network: Network, node: Node) -> tuple[GradientShare, ...]:
    """List the gradients that a node's pass adds to its own share."""
    return tuple(
        share
        for number, source in enumerate(node.inputs)
        for share in list_shares_added(network, node.name, source, number)
    )


def list_shares_read(network: Network, made: ElementwisePass) -> tuple[GradientShare, ...]:
    """Tell what of each gradient a pass reads that `reads_gradients` names."""
    if made.kind == GRADIENT_SUM:
        return list_shares_added(network, made.node, made.node)
    if made.kind == GRADIENT_PRUNING:
        return tuple(map(GradientShare, made.reads_gradients))
    if made.step is PassStep.FORWARD:
        return ()
    summed = list_summed(network, network.node(made.node))
    own = made.reads_gradients[: len(made.reads_gradients) - len(summed)]
    return (*(GradientShare(name) for name in own), *summed)


def list_shares_written(network: Network, made: ElementwisePass) -> tuple[GradientShare, ...]:
    """Tell what of each gradient a pass leaves that `writes_gradients` names."""
    if made.kind == GRADIENT_SUM:
        return (GradientShare(made.node),)
    if made.kind == GRADIENT_PRUNING:
        return (GradientShare(made.node, is_copy=True),)
    inputs, seen = network.node(made.node).inputs, made.writes_gradients
    shares = []
    for place, name in enumerate(seen):
        numbers = [number for number, source in enumerate(inputs) if source == name]
        shares.append(find_share_written(network, name, (made.node, numbers[seen[:place].count(name)])))
    return tuple(shares)


def make_pruning_pass(network: Network, node: Node) -> ElementwisePass:
    """Give the pass that writes a pruned copy of the gradient to a layer's output, for its GTA alone."""
    return ElementwisePass(
        node.name, GRADIENT_PRUNING, PassStep.BACKWARD, prod(node.output_shape),
        reads_gradients=(find_gradient(network, node.name),), writes_gradients=(node.name,),
    )  # fmt: skip


def make_sum_pass(network: Network, node: Node) -> ElementwisePass | None:
    """Give the pass that adds the shares of the gradient to a node's output which nobody adds while writing."""
    shares = list_shares_added(network, node.name, node.name)
    if not shares:
        return None
    return ElementwisePass(
        node.name, GRADIENT_SUM, PassStep.BACKWARD, prod(node.output_shape),
        reads_gradients=tuple(share.node for share in shares), writes_gradients=(node.name,),
    )  # fmt: skip
