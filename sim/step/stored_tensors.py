"""Stored bytes of the tensors that elementwise passes move, as the steps beside them found them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import prod

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare
from dataflows.storage.stored_tensor import store_tensor
from dataflows.tiling.occupancy import size_bits
from workloads.gradient_shares import (
    GradientShare,
    ShareWriter,
    find_gradient,
    find_next_writer,
    hands_whole_gradient_on,
    list_share_writers,
    list_shares_added,
)
from workloads.network import Network
from workloads.operands import Operands
from workloads.pass_traffic import MovedTensor
from workloads.passes import find_stored, find_writer
from workloads.pruning_sites import find_gradient_writer
from workloads.shapes import Step


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """What the tensors of one layer take on one machine; None where the step that tells was not run.

    Attributes:
        grad_factor: The gradient to the second factor of a product of two activations.
        summed: The gradients that the layer's GTA adds to its result, as `Network.summed_gradients` orders them.
        factor_summed: Those that the GTW of a product of two activations adds.
        gradient_copy: The pruned copy of the gradient to the output that GTA reads.
    """

    input: int | None = None
    grad_output: int | None = None
    output: int | None = None
    grad_input: int | None = None
    grad_factor: int | None = None
    summed: tuple[int, ...] | None = None
    factor_summed: tuple[int, ...] | None = None
    gradient_copy: int | None = None

    def merge(self, other: StoredBytes) -> StoredBytes:
        """Add what another step of the layer tells."""
        names = (field.name for field in fields(self))
        return StoredBytes(
            *(mine if (mine := getattr(self, name)) is not None else getattr(other, name) for name in names)
        )


def name_gradient(size_bytes: int, *, has_copy: bool) -> StoredBytes:
    """Tell what the gradient takes that a GTA reads: that to the layer's output, or a pruned copy of it."""
    return StoredBytes(gradient_copy=size_bytes) if has_copy else StoredBytes(grad_output=size_bytes)


def size_stored(tensor: NDArray[np.float32], array: PEArray, memory: MemoryShare, times: int = 1) -> int:
    """Give the stored bytes of a sparse operand, with the bits that say which of its rows are occupied.

    Args:
        times: How often it is there, where images of a batch are alike.
    """
    rows = store_tensor(tensor, array, memory).row_bytes
    return times * int(rows.sum()) + size_bits(array, [times * rows.size])


def size_summed(operands: Operands, step: Step, array: PEArray, memory: MemoryShare, times: int = 1) -> tuple[int, ...]:
    """Give the stored bytes of the gradients that a step adds to its result, as `size_stored` does."""
    return tuple(size_stored(tensor, array, memory, times) for tensor in operands.find_summed(step))


def size_output(network: Network, name: str, stored: Mapping[str, StoredBytes], data_bits: int) -> int:
    """Give the stored bytes of a node's output, which has one size, whoever writes and reads it.

    It is what a layer wrote; of a part its share of the whole, in proportion to its elements; of a concatenation what
    its parts take together; else what a layer reads; else its share of what a layer reads of a concatenation that it
    lies in; else raw.
    """
    name = find_whole(network, name)
    writer = find_writer(network, name)
    if writer in stored and (known := stored[writer].output) is not None:
        return known
    if not network.is_source(writer):
        node = network.node(writer)
        if node.layer.traits.is_source:
            # Nobody writes a parameter, so that what rides along is done as it is read.
            name = find_stored(network, writer)
        if node.layer.traits.is_part:
            (whole,) = node.inputs
            return share_bytes(network, name, whole, size_output(network, whole, stored, data_bits))
        if node.layer.traits.is_joined:
            return sum(size_output(network, part, stored, data_bits) for part in node.inputs)
    known = find_operand_bytes(network, name, stored)
    return size_raw_tensor(network, name, data_bits) if known is None else known


def find_whole(network: Network, name: str) -> str:
    """Name the tensor that a node's output is stored as: a view that is not its input's only reader is that one."""
    while not network.is_source(name) and network.node(name).layer.traits.is_view:
        (source,) = network.node(name).inputs
        if len(network.consumers(source)) == 1:
            return name
        name = source
    return name


def find_operand_bytes(network: Network, name: str, stored: Mapping[str, StoredBytes]) -> int | None:
    """Give what a node's output takes as first operand of a layer, or its share of what a concatenation takes as one.

    The second factor of a product is stored raw.
    """
    aliases = list_views(network, name)
    for node in network.compute_nodes():
        if node.inputs[0] in aliases and (known := stored[node.name].input) is not None:
            return known
    for reader in (reader for alias in aliases for reader in network.consumers(alias)):
        if not reader.layer.traits.is_joined:
            continue
        if (known := find_operand_bytes(network, find_stored(network, reader.name), stored)) is not None:
            return share_bytes(network, name, reader.name, known)
    return None


def list_views(network: Network, name: str) -> list[str]:
    """Name what is the same elements in the same order: a node's output and its views."""
    found = [name]
    for one in found:
        found += [reader.name for reader in network.consumers(one) if reader.layer.traits.is_view]
    return found


def size_gradient(network: Network, name: str, stored: Mapping[str, StoredBytes], data_bits: int) -> int:
    """Give the stored bytes of the gradient to a node's output, all shares summed, by the same rule.

    Parts of it that are stored beside each other take their bytes together.

    Args:
        name: Of the node that it is stored for (`workloads.passes.find_gradient`).
    """
    readers = network.consumers(name)
    if len(readers) > 1 and all(reader.layer.traits.is_part for reader in readers) and is_in_parts(network, name):
        parts = (find_gradient(network, reader.name) for reader in readers)
        return sum(size_gradient(network, part, stored, data_bits) for part in parts)
    known = find_gradient_bytes(network, name, stored)
    return size_raw_tensor(network, name, data_bits) if known is None else known


def is_in_parts(network: Network, name: str) -> bool:
    """Tell whether the gradient to what only parts of it read is never summed, since no two share an element."""
    return name in network.trained and not network.unsummed_gradients(name)


def find_gradient_bytes(network: Network, name: str, stored: Mapping[str, StoredBytes]) -> int | None:
    """Give what the gradient to a node's output takes where a step tells: as it writes, reads or adds it.

    As a part of a concatenation's it has its share of that.
    """
    if (whole := find_concatenation(network, name)) is not None:
        known = find_gradient_bytes(network, find_gradient(network, whole), stored)
        return None if known is None else share_bytes(network, name, whole, known)
    if find_gradient_writer(network, name) != name:
        known = find_written_share(list_share_writers(network, name)[-1], stored)
        if known is not None:
            return known
    for node in list_sharing(network, name):
        if node in stored and (known := stored[node].grad_output) is not None:
            return known
    return find_added(network, GradientShare(name), find_adders(network, name), stored)


def size_share(network: Network, share: GradientShare, stored: Mapping[str, StoredBytes], data_bits: int) -> int:
    """Give the stored bytes of a gradient, or of a sum of some of its shares, or of a concatenation's part of it.

    A sum so far takes what its writer's step writes, else what the next writer's step adds, else as much as raw.
    """
    if share.is_copy:
        copied = stored[share.node].gradient_copy if share.node in stored else None
        return size_raw_tensor(network, share, data_bits) if copied is None else copied
    if share.writer is None:
        known = size_gradient(network, share.node, stored, data_bits)
        return known if share.part is None else share_bytes(network, share.part, share.node, known)
    written = find_written_share(share.writer, stored)
    if written is None:
        following = find_next_writer(network, share.node, share.writer)
        written = find_added(network, share, () if following is None else following[:1], stored)
    return size_raw_tensor(network, share, data_bits) if written is None else written


def find_written_share(writer: ShareWriter, stored: Mapping[str, StoredBytes]) -> int | None:
    """Give what a layer's step writes of the gradient to what it reads; None where it is a pass, or was not run."""
    name, number = writer
    if name not in stored:
        return None
    return stored[name].grad_input if number == 0 else stored[name].grad_factor


def list_sharing(network: Network, name: str) -> list[str]:
    """Name the nodes whose own backward work reads the gradient to a node's output as theirs, that node the first.

    Of what a part is taken from, its gradient is another tensor, with zeros beside the part's.
    """
    found = [name]
    for one in found:
        if network.is_source(one) or network.node(one).layer.traits.is_part:
            continue
        node = network.node(one)
        alone = [source for source in node.inputs if len(network.consumers(source)) == 1]
        found += [source for source in alone if hands_whole_gradient_on(network, node, source)]
    return found


def find_adders(network: Network, name: str) -> tuple[str, ...]:
    """Name the nodes that may add the whole gradient to a node's output: other readers of what is handed it back."""
    sources = (source for one in list_sharing(network, name) if not network.is_source(one)
               for source in network.node(one).inputs)  # fmt: skip
    return tuple(dict.fromkeys(reader.name for source in sources for reader in network.consumers(source)))


def find_added(
    network: Network, share: GradientShare, adders: tuple[str, ...], stored: Mapping[str, StoredBytes]
) -> int | None:
    """Give what a gradient takes that a step of one of these nodes adds; None where none is known to."""
    for adder in adders:
        if adder not in stored:
            continue
        both = stored[adder].summed, stored[adder].factor_summed
        for number, (source, sizes) in enumerate(zip(network.node(adder).inputs, both, strict=False)):
            added = list_shares_added(network, adder, source, number)
            if prod(network.output_shape(source)) != prod(network.output_shape(share.node)):
                continue
            if sizes is not None and share in added:
                return sizes[added.index(share)]
    return None


def find_concatenation(network: Network, name: str) -> str | None:
    """Name the concatenation whose gradient holds that to a node's output, None where it is not the only reader."""
    readers = network.consumers(name)
    return readers[0].name if len(readers) == 1 and readers[0].layer.traits.is_joined else None


def share_bytes(network: Network, name: str, whole: str, whole_bytes: int) -> int:
    """Give a node's share of the bytes of the tensor that it is a part of, rounded up."""
    part, elements = prod(network.output_shape(name)), prod(network.output_shape(whole))
    return -(-whole_bytes * part // elements)


def size_raw_tensor(network: Network, tensor: MovedTensor, data_bits: int) -> int:
    """Give the bytes of a tensor whose rows are all raw; a share of a gradient is as large as the whole."""
    shape = network.output_shape(tensor.node if isinstance(tensor, GradientShare) else tensor)
    return prod(shape[:-1]) * -(-shape[-1] * data_bits // 8)
