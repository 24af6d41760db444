"""Which passes of an iteration run as one.

A pass runs with the one before it where it is the only reader of what that one writes, no step lies between, and it
needs each element only together with the same element or a window of rows around it. What a later pass reads again, or
takes a ReLU's mask from, has another reader. Passes of the backward half join none of the forward half, which the loss
belongs to: a run may have one half alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from workloads.gradient_shares import GradientShare, find_gradient, list_shares_added
from workloads.kinds.layer import SAME_ELEMENT, WHOLE_TENSOR, PassWork
from workloads.network import Network
from workloads.pass_traffic import MovedTensor, PassTraffic, list_traffic
from workloads.passes import GRADIENT_PRUNING, GRADIENT_SUM, ElementwisePass, LayerStep, PassStep, list_iteration
from workloads.shapes import Step

FUSED = "fused"
# Between the names of what is fused; no layer's name holds it.
JOINT = "+"


@dataclass(frozen=True, slots=True)
class HeldRows:
    """Rows that a fused pass holds of what one of its members hands to the next."""

    rows: int
    width: int


Holds = Callable[[Sequence[HeldRows]], bool]


def fuse_iteration(
    network: Network,
    holds: Holds,
    list_steps: Callable[[str], tuple[Step, ...]] | None = None,
    copied: Collection[str] = frozenset(),
) -> tuple[LayerStep | ElementwisePass, ...]:
    """List the steps and passes of an iteration in their order, with passes that run as one joined.

    Args:
        holds: Tells whether the rows that the members of a pass need of each other fit the machine.
        list_steps: The steps of a layer, by default those that training needs.
        copied: As in `list_iteration`.
    """
    order = list_iteration(network, list_steps, copied)
    links = _Links(network, [one for one in order if isinstance(one, ElementwisePass)], copied)
    done: list[LayerStep | ElementwisePass] = []
    chain: list[ElementwisePass] = []
    held: list[HeldRows] = []
    for one in order:
        if isinstance(one, LayerStep):
            done += [*_close(network, chain), one]
            chain = []
            continue
        needed = links.find_needed_rows(chain[-1], one) if chain else None
        if needed is None or not holds([*held, needed]):
            done += _close(network, chain)
            chain, held = [one], []
        else:
            chain.append(one)
            held.append(needed)
    return (*done, *_close(network, chain))


def _close(network: Network, chain: list[ElementwisePass]) -> list[ElementwisePass]:
    return [join_passes(network, chain)] if len(chain) > 1 else chain


def join_passes(network: Network, chain: list[ElementwisePass]) -> ElementwisePass:
    """Make the pass that runs in place of several."""
    names = [name for made in chain for name in list_names(network, made)]
    handed = [{*made.writes, *made.writes_gradients} for made in chain[:-1]]
    others = zip(chain[1:], handed, strict=True)
    kept = [chain[0], *(_leave_out(made, gone) for made, gone in others)]
    return ElementwisePass(
        JOINT.join(names),
        FUSED,
        chain[-1].step,
        sum(made.elements for made in chain),
        reads=tuple(name for made in kept for name in made.reads),
        reads_gradients=tuple(name for made in kept for name in made.reads_gradients),
        writes=chain[-1].writes,
        writes_gradients=chain[-1].writes_gradients,
        index_bits=sum(made.index_bits for made in chain),
        mask_bytes=sum(made.mask_bytes for made in chain),
        target_elements=sum(made.target_elements for made in chain),
        members=tuple(chain),
    )


def _leave_out(made: ElementwisePass, gone: set[str]) -> ElementwisePass:
    return replace(
        made,
        reads=tuple(name for name in made.reads if name not in gone),
        reads_gradients=tuple(name for name in made.reads_gradients if name not in gone),
    )


def list_names(network: Network, made: ElementwisePass) -> list[str]:
    """Name a pass's node and, forward, what rides along behind it."""
    names = [made.node]
    while made.step is PassStep.FORWARD and len(readers := network.consumers(names[-1])) == 1:
        if not readers[0].layer.traits.rides_along:
            break
        names.append(readers[0].name)
    return names


def find_work(network: Network, made: ElementwisePass) -> PassWork:
    """Give what a pass's kind says of it."""
    if made.kind in (GRADIENT_SUM, GRADIENT_PRUNING):
        return PassWork(window_rows=SAME_ELEMENT)
    node = network.node(made.node)
    ask = node.layer.backward_work if made.step is PassStep.BACKWARD else node.layer.forward_work
    work = ask(node.input_shapes, node.output_shape)
    if work is None:
        raise TypeError(f"layer '{made.node}' has no pass {made.step}")
    return work


class _Links:
    """Who reads what the passes of an iteration write."""

    def __init__(self, network: Network, passes: Sequence[ElementwisePass], copied: Collection[str]) -> None:
        self._network = network
        self._traffic: dict[int, PassTraffic] = {id(made): list_traffic(network, made) for made in passes}
        self._readers: Counter[MovedTensor] = Counter()
        for traffic in self._traffic.values():
            self._readers.update({self._find_whole(tensor) for tensor in traffic.reads})
        for node in network.compute_nodes():
            # A layer without GTW whose GTA reads a copy leaves its gradient to the pass that writes that.
            reads_gradient = node.name not in copied or Step.GTW in network.list_steps(node.name)
            read = [GradientShare(find_gradient(network, node.name))] * reads_gradient
            read += [
                share
                for number, source in enumerate(node.inputs)
                for share in list_shares_added(network, node.name, source, number)
            ]
            self._readers.update({*node.inputs, *(self._find_whole(share) for share in read)})

    def _find_whole(self, tensor: MovedTensor) -> MovedTensor:
        """Give a gradient as a whole that is stored as a part of a concatenation's."""
        if not isinstance(tensor, GradientShare) or tensor.is_copy:
            return tensor
        name = tensor.node
        while len(readers := self._network.consumers(name)) == 1 and readers[0].layer.traits.is_joined:
            name = find_gradient(self._network, readers[0].name)
        return GradientShare(name, tensor.writer)

    def find_needed_rows(self, before: ElementwisePass, made: ElementwisePass) -> HeldRows | None:
        """Tell which rows a pass needs of what the one before it writes; None where they do not run as one."""
        work = find_work(self._network, made)
        writes, reads = self._traffic[id(before)].writes, self._traffic[id(made)].reads
        is_same_half = (before.step is PassStep.BACKWARD) == (made.step is PassStep.BACKWARD)
        if work.window_rows is WHOLE_TENSOR or not is_same_half or before.step is PassStep.LOSS:
            return None
        # Indices that are written are read by a pass of their own.
        if len(writes) != 1 or writes[0] not in reads or self._traffic[id(before)].write_bytes:
            return None
        (tensor,) = writes
        if self._readers[tensor] != 1 or not self._is_read_alone(tensor, made, work):
            return None
        name = tensor.node if isinstance(tensor, GradientShare) else tensor
        is_added = isinstance(tensor, GradientShare) and name != find_gradient(self._network, made.node)
        rows = SAME_ELEMENT if is_added else work.window_rows
        return HeldRows(rows, self._network.output_shape(name)[-1])

    def _is_read_alone(self, tensor: MovedTensor, made: ElementwisePass, work: PassWork) -> bool:
        """Tell whether neither a part of an output nor the mask that it holds is read anywhere else."""
        network = self._network
        if isinstance(tensor, GradientShare):
            return True
        if {reader.name for reader in network.consumers(tensor)} != {made.node}:
            return False
        return work.carries_mask or not (network.gives_rectified(tensor) and tensor in network.trained)
