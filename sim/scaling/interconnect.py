"""What joins the chips: a ring or a tree of links, and the hops of a sum of gradients over them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, isfinite

from sim.machine.all_reduce import Hop
from workloads.errors import InputError

MOST_CHIPS = 64
# Assumed: at 800 MHz 12.8 GB/s in each direction, about 100 gigabit Ethernet, and 1 microsecond.
LINK_BYTES_PER_CYCLE = 16.0
LINK_LATENCY_CYCLES = 800
LARGEST_LATENCY = 2**31


class Topology(StrEnum):
    """How the chips are joined."""

    RING = "ring"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class Interconnect:
    """Links of one bandwidth and latency, in both directions at once.

    Attributes:
        bytes_per_cycle: Of each link and direction, in cycles of the chips' clock.
        latency_cycles: From the end of a transfer to its arrival.

    Raises:
        InputError: the bandwidth is not above 0, or the latency below it.
    """

    topology: Topology = Topology.RING
    bytes_per_cycle: float = LINK_BYTES_PER_CYCLE
    latency_cycles: int = LINK_LATENCY_CYCLES

    def __post_init__(self) -> None:
        if not isinstance(self.topology, Topology):
            raise InputError(f"topology must be {' or '.join(Topology)}, got {self.topology!r}")
        if not (isfinite(self.bytes_per_cycle) and self.bytes_per_cycle > 0):
            raise InputError(f"the bytes of a link in a cycle must be a number above 0, got {self.bytes_per_cycle}")
        if not 0 <= self.latency_cycles <= LARGEST_LATENCY:
            raise InputError(
                f"the latency of a link must be a whole number of cycles from 0 to {LARGEST_LATENCY}, got "
                f"{self.latency_cycles}"
            )

    def list_hops(self, size_bytes: int, chips: int) -> tuple[Hop, ...]:
        """List the hops of a sum of so many bytes over so many chips; one chip has none, nor have no bytes.

        A ring passes parts of ceil(bytes / N) on, N - 1 times to sum them and N - 1 times to spread the sums. A tree is
        binary, chip i below chip (i - 1) // 2: all bytes go up its floor(log2 N) levels and down again.
        """
        if chips == 1 or size_bytes == 0:
            return ()
        if self.topology is Topology.RING:
            return (self._make_hop(0, -(-size_bytes // chips)),) * (2 * (chips - 1))
        levels = chips.bit_length() - 1
        up = [self._make_hop(level, size_bytes) for level in range(levels)]
        return (*up, *(self._make_hop(levels + level, size_bytes) for level in range(levels)))

    def count_sent_bytes(self, size_bytes: int, chips: int) -> int:
        """Count what the busiest link carries of a sum, in one direction."""
        if chips == 1:
            return 0
        return 2 * (chips - 1) * -(-size_bytes // chips) if self.topology is Topology.RING else size_bytes

    def _make_hop(self, link: int, size_bytes: int) -> Hop:
        return Hop(link, ceil(size_bytes / self.bytes_per_cycle), self.latency_cycles)


def check_chips(chips: tuple[int, ...]) -> tuple[int, ...]:
    """Give numbers of chips in rising order, each once.

    Raises:
        InputError: there is none, or one is not from 1 to 64.
    """
    wrong = [count for count in chips if not 1 <= count <= MOST_CHIPS]
    if wrong or not chips:
        raise InputError(f"chips must be whole numbers from 1 to {MOST_CHIPS}, got {wrong[0] if wrong else 'none'}")
    return tuple(sorted(set(chips)))
