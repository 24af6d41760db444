"""What a step of a layer reads and writes, and what of it is needed later: tensors by the names that passes know."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.gradient_shares import (
    GradientShare,
    find_gradient,
    find_share_written,
    list_share_writers,
    list_shares_added,
)
from workloads.network import Network
from workloads.pass_traffic import MovedTensor
from workloads.passes import LayerStep, find_stored, list_stored
from workloads.shapes import Step

# An operand's name, or the place of a gradient that is added.
Role = str | int


@dataclass(frozen=True, slots=True)
class StepTraffic:
    """The tensors of a step that others write or read; weights and their gradients are nobody else's.

    Attributes:
        reads: Each with its part in the step.
        writes: None where it is a weight's gradient, or is stored in several forms.
        masks: Outputs whose zeros are read as a mask.
        summed: Gradients that are added.
    """

    reads: tuple[tuple[Role, MovedTensor], ...]
    writes: MovedTensor | None
    masks: tuple[str, ...] = ()
    summed: int = 0


def list_step_traffic(network: Network, one: LayerStep) -> StepTraffic:
    """Tell what a step of a layer reads and writes."""
    inputs, is_product = network.node(one.node).inputs, len(network.node(one.node).inputs) == 2
    second = (("weight", find_kept_output(network, inputs[-1])),) if is_product else ()
    if one.step is Step.FORWARD:
        stored = list_stored(network, one.node)
        writes = stored[0] if len(stored) == 1 else None
        return StepTraffic((("input", find_kept_output(network, inputs[0])), *second), writes)
    read = GradientShare(one.node, is_copy=True) if one.reads_copy else GradientShare(find_gradient(network, one.node))
    gradient = ("grad_output", read)
    number = 0 if one.step is Step.GTA else 1
    others = second if one.step is Step.GTA else (("input", find_kept_output(network, inputs[0])),)
    if number >= len(inputs):
        return StepTraffic((gradient, *others), None)
    source = inputs[number]
    added = list_shares_added(network, one.node, source, number)
    writer = (one.node, number)
    writes_share = writer in list_share_writers(network, source)
    return StepTraffic(
        (gradient, *others, *enumerate(added)),
        find_share_written(network, source, writer) if writes_share else None,
        masks=(find_kept_output(network, source),) if network.is_behind_relu(one.node, source) else (),
        summed=len(added),
    )


def find_kept_output(network: Network, name: str) -> str:
    """Name the tensor that a node's output is stored as: a view that is not its input's only reader is that one."""
    while not network.is_source(name) and network.node(name).layer.traits.is_view:
        (source,) = network.node(name).inputs
        if len(network.consumers(source)) == 1:
            break
        name = source
    return find_stored(network, name)


def list_holders(network: Network, tensor: MovedTensor) -> frozenset[MovedTensor]:
    """List the tensors, this one among them, that hold a tensor, or a part of it, or what it was before a ReLU.

    Of an output those are what rides along and its parts, of a gradient that of the concatenation which it is part of.
    """
    if isinstance(tensor, GradientShare):
        if tensor.is_copy:
            return frozenset([tensor])
        name = tensor.node
        while len(readers := network.consumers(name)) == 1 and readers[0].layer.traits.is_joined:
            name = find_gradient(network, readers[0].name)
        return frozenset([GradientShare(tensor.node, tensor.writer), GradientShare(name, tensor.writer)])
    found = [tensor]
    for name in found:
        if not network.is_source(name):
            traits = network.node(name).layer.traits
            if traits.rides_along or traits.is_joined or traits.is_part or traits.is_view:
                found += network.node(name).inputs
    return frozenset(found)
