"""The way back of the host's iteration: gradients of losses go through the graph, summed where branches meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from workloads.arrays import BoolArray
from workloads.kinds.execution import Backward, PairBackward
from workloads.losses import Evaluation
from workloads.network import Network, Node
from workloads.reference.arrays import Array, Keep
from workloads.reference.elementwise import add_forward, mask_gradient


@dataclass(frozen=True, eq=False)
class GradientPair:
    """A gradient to a layer's output, and what the layer's GTA reads in its place."""

    gradient: Array
    for_gta: Array


GradientHook = Callable[[str, Array, BoolArray | None], Array | GradientPair]


def run_backward(
    network: Network,
    tape: dict[str, Backward],
    reads: Mapping[str, Mapping[str, Array]],
    evaluation: Evaluation,
    hook: GradientHook | None,
    keep: Keep,
) -> tuple[dict[str, Array], dict[str, tuple[Array, Array | None]], dict[tuple[str, int], tuple[Array, ...]]]:
    """Hand the gradients of the losses back through a network; the tape is used up.

    Args:
        tape: The backward function of each node.
        reads: What each layer that the accelerator executes has read, by the names of its inputs.

    Returns:
        Gradients of the parameters; of each layer that the accelerator executes the gradient to its output, and what
        its GTA reads in its place; the summed gradients of each writer, by its name and the number of its input.
    """
    trained = network.trained
    pending: dict[str, Array] = {}
    grads: dict[str, Array] = {}
    grad_outputs: dict[str, tuple[Array, Array | None]] = {}
    shares: dict[str, list[Array]] = {}
    summed: dict[tuple[str, int], tuple[Array, ...]] = {}

    def hand_back(reader: Node, number: int, share: Array) -> None:
        name = reader.inputs[number]
        pending[name] = add_forward([pending[name], share]) if name in pending else share
        _keep_share(network, reader, number, share, pending[name], shares, summed)

    for node in network.loss_nodes():
        hand_back(node, 0, evaluation.grad_scores(node.name))
    for node in reversed(network.nodes):
        backward = tape.pop(node.name, None)
        if backward is None or node.name not in trained or node.name not in pending:
            continue
        grad, for_gta = pending.pop(node.name), None
        shares.pop(node.name, None)
        if hook is not None:
            found = _apply_hook(network, node, grad, reads, hook)
            grad, for_gta = (found.gradient, found.for_gta) if isinstance(found, GradientPair) else (found, None)
        if node.name in reads:
            grad_outputs[node.name] = keep(grad), None if for_gta is None else keep(for_gta)
        handed_back = backward(grad) if for_gta is None else cast("PairBackward", backward)(grad, for_gta)
        grads |= {f"{node.name}/{name}": keep(gradient) for name, gradient in handed_back.parameters.items()}
        for number, (name, share) in enumerate(zip(node.inputs, handed_back.inputs, strict=True)):
            if share is not None and name in trained:
                hand_back(node, number, share)
        for place in ((node.name, number) for number in range(len(node.inputs))):
            if place in summed:
                summed[place] = tuple(keep(gradient) for gradient in summed[place])
    return grads, grad_outputs, summed


def _keep_share(
    network: Network,
    reader: Node,
    number: int,
    share: Array,
    total: Array,
    shares: dict[str, list[Array]],
    summed: dict[tuple[str, int], tuple[Array, ...]],
) -> None:
    """Keep what is stored of the gradient to a node's output that several read, and what each writer adds to its own.

    Args:
        number: Of the input of `reader` to which the share is the gradient.
        shares: Of each node whose gradient is not complete, in the order of `Network.summed_gradients`.
    """
    name = reader.inputs[number]
    if len(network.consumers(name)) < 2:
        return
    stored = shares.setdefault(name, [])
    if not network.writes_gradient(reader.name, name):
        stored.append(share)
        return
    if reader.layer.traits.is_computed:
        summed[reader.name, number] = tuple(stored)
    shares[name] = [total]


def _apply_hook(
    network: Network, node: Node, grad: Array, reads: Mapping[str, Mapping[str, Array]], hook: GradientHook
) -> Array | GradientPair:
    """Call the hook, with the mask where a layer that reads this node computes its gradient behind one."""
    for reader in network.consumers(node.name):
        read = reads.get(reader.name)
        if read is not None and network.is_behind_relu(reader.name, node.name):
            return hook(node.name, *mask_gradient(grad, read[node.name], network.find_ceiling(reader.name, node.name)))
    return hook(node.name, grad, None)
