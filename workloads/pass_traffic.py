"""What a pass moves: the tensors that it reads and writes, and what stands beside them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from workloads.gradient_shares import GradientShare
from workloads.network import Network
from workloads.passes import ElementwisePass, PassStep, list_shares_read, list_shares_written

# A node's output, by its name, or a gradient.
MovedTensor = str | GradientShare


@dataclass(frozen=True, slots=True)
class PassTraffic:
    """What a pass moves.

    Attributes:
        reads: Tensors, each as often as it is read.
        handed_on: Those that fused passes hand to each other, as often as the later one would read them.
        read_bytes: Of indices, flags and masks.
        write_bytes: Of indices and flags.
        target_elements: Numbers that a loss reads besides.
    """

    reads: tuple[MovedTensor, ...]
    writes: tuple[MovedTensor, ...]
    handed_on: tuple[tuple[MovedTensor, int], ...] = ()
    read_bytes: int = 0
    write_bytes: int = 0
    target_elements: int = 0


def list_traffic(network: Network, made: ElementwisePass) -> PassTraffic:
    """Tell what a pass moves; fused passes read and write no tensor that one hands to the next."""
    if made.members:
        return join_traffic([list_traffic(network, member) for member in made.members])
    index_bytes = -(-made.index_bits // 8)
    is_forward = made.step is PassStep.FORWARD
    return PassTraffic(
        reads=(*made.reads, *list_shares_read(network, made)),
        writes=(*made.writes, *list_shares_written(network, made)),
        read_bytes=made.mask_bytes + (0 if is_forward else index_bytes),
        write_bytes=index_bytes if is_forward else 0,
        target_elements=made.target_elements,
    )


def join_traffic(parts: list[PassTraffic]) -> PassTraffic:
    """Tell what passes move that run as one: reads of the first, other reads of the others, writes of the last."""
    reads, handed_on = list(parts[0].reads), list[tuple[MovedTensor, int]]()
    for before, part in pairwise(parts):
        (handed,) = before.writes
        reads += [tensor for tensor in part.reads if tensor != handed]
        handed_on.append((handed, part.reads.count(handed)))
    return PassTraffic(
        reads=tuple(reads),
        writes=parts[-1].writes,
        handed_on=tuple(handed_on),
        read_bytes=sum(part.read_bytes for part in parts),
        write_bytes=parts[-1].write_bytes,
        target_elements=sum(part.target_elements for part in parts),
    )
