"""What surrounds the PE groups of a machine."""

from __future__ import annotations

from dataclasses import dataclass

from dataflows.contract.memory import Traffic
from sim.machine.banked_channels import BankedDram
from workloads.errors import InputError


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The speeds of what surrounds the PE groups; None is unlimited. The defaults are those of the ideal machine.

    Attributes:
        dram_bytes_per_cycle: Of all channels together.
        banked: DRAM with banks, in whose place bandwidth and latency play no part.
        multicast: Requests for equal driver rows that may share one access of the buffer; with 1, a burst is one
            request.
    """

    ports: int | None = None
    bytes_per_port_cycle: int | None = None
    dram_bytes_per_cycle: int | None = None
    dram_latency_cycles: int = 0
    elements_per_cycle: int | None = None
    prefetches_next_task: bool = False
    banked: BankedDram | None = None
    multicast: int = 1

    def shares_reads(self, traffic: Traffic) -> bool:
        """Tell whether groups may share reads.

        Raises:
            InputError: they may, but the traffic does not tell the driver rows of its bursts.
        """
        if self.multicast > 1 and (traffic.driver_bytes is None or traffic.driver_rows is None):
            raise InputError(
                f"buffer.multicast is {self.multicast}, but the dataflow does not tell the driver rows of its bursts "
                "(driver_bytes and driver_rows of its traffic); set buffer.multicast to 1"
            )
        return self.multicast > 1


INSTANT = Surroundings()
