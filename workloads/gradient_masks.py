"""The masks of the gradients that layers behind a ReLU compute."""

from __future__ import annotations

from math import inf
from typing import Any

from numpy.typing import NDArray

from workloads.arrays import BoolArray
from workloads.network import Network


def make_mask(network: Network, name: str, input: NDArray[Any], source: str | None = None) -> BoolArray | None:
    """Tell where the gradient to what a layer reads is needed, from that; None where no ReLU stands before.

    It is needed where the ReLU's output is not zero, and not at the upper end of one that has an end.

    Args:
        source: The name of what it reads, by default its first input.
    """
    if not network.is_behind_relu(name, source):
        return None
    ceiling = network.find_ceiling(name, source)
    mask: BoolArray = input != 0
    if ceiling < inf:
        mask &= input < ceiling
    return mask
