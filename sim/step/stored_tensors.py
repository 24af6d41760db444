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
from workloads.network import Network
from workloads.passes import find_writer


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """What the tensors of one layer take on one machine; None where the step that tells was not run.

    grad_factor: the gradient to the second factor of a product of two activations.
    """

    input: int | None = None
    grad_output: int | None = None
    output: int | None = None
    grad_input: int | None = None
    grad_factor: int | None = None

    def merge(self, other: StoredBytes) -> StoredBytes:
        """Add what another step of the layer tells."""
        names = (field.name for field in fields(self))
        return StoredBytes(
            *(mine if (mine := getattr(self, name)) is not None else getattr(other, name) for name in names)
        )


def size_stored(tensor: NDArray[np.float32], array: PEArray, memory: MemoryShare) -> int:
    """Give the stored bytes of a sparse operand."""
    return int(store_tensor(tensor, array, memory).row_bytes.sum())


def size_output(network: Network, name: str, stored: Mapping[str, StoredBytes], data_bits: int) -> int:
    """Give the stored bytes of a node's output: what a layer reads of it, else what a layer wrote, else raw.

    A part of a concatenation takes its share of that one's bytes, in proportion to its elements.
    """
    for reader in network.consumers(name):
        is_first = reader.inputs[0] == name
        if is_first and reader.layer.traits.is_computed and (known := stored[reader.name].input) is not None:
            return known
    writer = find_writer(network, name)
    if writer in stored and (known := stored[writer].output) is not None:
        return known
    if (whole := find_concatenation(network, name)) is not None:
        return share_bytes(network, name, whole, size_output(network, whole, stored, data_bits))
    return size_raw_tensor(network, name, data_bits)


def size_gradient(network: Network, name: str, stored: Mapping[str, StoredBytes], data_bits: int) -> int:
    """Give the stored bytes of the gradient to a node's output, by the same rule."""
    writer = find_writer(network, name)
    if writer in stored and (known := stored[writer].grad_output) is not None:
        return known
    for reader in network.consumers(name):
        if not reader.layer.traits.is_computed:
            continue
        reads = stored[reader.name]
        # Of a product of a tensor with itself GTW completes the gradient.
        if (known := reads.grad_factor if name in reader.inputs[1:] else reads.grad_input) is not None:
            return known
    if (whole := find_concatenation(network, name)) is not None:
        return share_bytes(network, name, whole, size_gradient(network, whole, stored, data_bits))
    return size_raw_tensor(network, name, data_bits)


def find_concatenation(network: Network, name: str) -> str | None:
    """Name the concatenation that a node's output is stored in, None where there is none: where it alone reads it."""
    readers = network.consumers(name)
    return readers[0].name if len(readers) == 1 and readers[0].layer.traits.is_joined else None


def share_bytes(network: Network, name: str, whole: str, whole_bytes: int) -> int:
    """Give a node's share of the bytes of the concatenation that it is a part of, rounded up."""
    part, elements = prod(network.node(name).output_shape), prod(network.node(whole).output_shape)
    return -(-whole_bytes * part // elements)


def size_raw_tensor(network: Network, name: str, data_bits: int) -> int:
    """Give the bytes of a tensor whose rows are all raw."""
    shape = network.output_shape(name)
    return prod(shape[:-1]) * -(-shape[-1] * data_bits // 8)
