"""What surrounds the PE groups of a machine."""

from __future__ import annotations

from dataclasses import dataclass

from sim.machine.banked_channels import BankedDram


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The speeds of what surrounds the PE groups; None is unlimited. The defaults are those of the ideal machine.

    Attributes:
        dram_bytes_per_cycle: Of all channels together.
        banked: DRAM with banks, in whose place bandwidth and latency play no part.
    """

    ports: int | None = None
    bytes_per_port_cycle: int | None = None
    dram_bytes_per_cycle: int | None = None
    dram_latency_cycles: int = 0
    elements_per_cycle: int | None = None
    prefetches_next_task: bool = False
    banked: BankedDram | None = None


INSTANT = Surroundings()
