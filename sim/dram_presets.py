"""DRAM parts: structure, timing and currents of a channel, as `dram.timing` names them."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field

from sim.machine.bank_state import BankTiming
from sim.technology_scaling import Ranged, Text
from workloads.errors import InputError
from workloads.layers import LayerName, StrictModel
from workloads.validation import did_you_mean, validate_document
from workloads.yaml_file import parse_yaml

Clocks = Annotated[int, Field(ge=0, le=2**20)]
Amount = Annotated[int, Field(ge=1, le=2**20)]
Current = Annotated[float, Field(ge=0)]
GROUP_LOWEST = "row rank bank group column"


class DramStructure(StrictModel):
    """Ranks of devices side by side, and how an address is dealt out; columns are as wide as the bus.

    Attributes:
        address_order: From the highest part of an address to the lowest.
    """

    ranks: Amount
    bank_groups: Amount
    banks_per_group: Amount
    columns: Amount
    burst_length: Amount
    device_bits: Amount
    bus_bits: Amount
    address_order: Literal["row rank bank group column", "row rank group bank column"]


class DramClocks(StrictModel):
    """Times in clocks by their names in data sheets; `_s` between bank groups, `_l` within one.

    Attributes:
        t_rtrs: Idle clocks of the data bus where the rank or the direction changes.
    """

    cl: Clocks
    cwl: Clocks
    t_rcd: Clocks
    t_rp: Clocks
    t_ras: Clocks
    t_rtp: Clocks
    t_wr: Clocks
    t_ccd_s: Clocks
    t_ccd_l: Clocks
    t_rrd_s: Clocks
    t_rrd_l: Clocks
    t_faw: Clocks
    t_wtr_s: Clocks
    t_wtr_l: Clocks
    t_rtrs: Clocks
    t_refi: Amount
    t_rfc: Clocks


class DramPower(StrictModel):
    """Supply in volts, and the currents of a device in milliampere by their names in data sheets."""

    volts: Annotated[float, Field(gt=0)]
    idd0: Current
    idd2n: Current
    idd3n: Current
    idd4r: Current
    idd4w: Current
    idd5: Current


class DramController(StrictModel):
    """The controller: how many reads, and how many writes, it chooses among."""

    queue_bursts: Amount


class DramPart(Ranged):
    """A kind of DRAM, one channel of it; its range is that of the energies, and it is assumed if nothing holds it.

    Attributes:
        note: What is unusual or this project's choice.
    """

    name: LayerName
    description: Text
    source: Text
    note: Text | None = None
    clock_mhz: Amount
    structure: DramStructure
    timing: DramClocks
    power: DramPower
    controller: DramController

    @property
    def devices(self) -> int:
        """Devices of a rank."""
        return self.structure.bus_bits // self.structure.device_bits

    @property
    def burst_clocks(self) -> int:
        """Clocks for which a burst takes the data bus, on which both edges of the clock carry data."""
        return self.structure.burst_length // 2

    @property
    def bytes_per_clock(self) -> int:
        """What the data bus of a channel carries at most."""
        return 2 * self.structure.bus_bits // 8

    def describe(self) -> BankTiming:
        """Give the record that the machine sees."""
        structure, clocks = self.structure, self.timing.model_dump()
        return BankTiming(
            ranks=structure.ranks,
            groups=structure.bank_groups,
            banks=structure.banks_per_group,
            row_bursts=structure.columns // structure.burst_length,
            burst_bytes=structure.burst_length * structure.bus_bits // 8,
            queue=self.controller.queue_bursts,
            burst=self.burst_clocks,
            **{name.removeprefix("t_"): value for name, value in clocks.items()},
            is_group_lowest=int(structure.address_order == GROUP_LOWEST),
        )


def list_drams() -> tuple[str, ...]:
    """List the names of the kinds of DRAM."""
    folder = files("sim") / "presets" / "drams"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


@lru_cache(maxsize=64)
def load_dram(name: str) -> DramPart:
    """Load a kind of DRAM.

    Raises:
        InputError: there is none of that name.
    """
    names = list_drams()
    if name not in names:
        raise InputError(f"unknown DRAM '{name}'{did_you_mean(name, list(names))} (there are {', '.join(names)})")
    entry = files("sim") / "presets" / "drams" / f"{name}.yaml"
    return validate_document(parse_yaml(entry.read_text(encoding="utf-8"), f"DRAM {name}"), DramPart)
