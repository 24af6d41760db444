"""The section of an architecture that says what DRAM it has."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from sim.dram_presets import DramPart, list_drams, load_dram
from sim.machine.banked_channels import BankedDram
from sim.number_ranges import Count, Cycles
from workloads.layers import LayerName, StrictModel


class DramModel(StrEnum):
    """How DRAM is timed: as a channel of constant bandwidth and latency, or by the state of its banks."""

    CONSTANT = "constant"
    BANKED = "banked"


# What a constant channel has, and channels with banks have of their own.
CONSTANT_FIELDS = ("bytes_per_cycle", "latency_cycles", "kind")


# Each has a state of its own.
MOST_BANKED_CHANNELS = 256


class DramSection(StrictModel):
    """The DRAM channels, over all of which every transfer is spread; null is unlimited.

    Attributes:
        bytes_per_cycle: Of one channel.
        timing: Names the kind of DRAM of a model with banks, with its timing and currents.
    """

    channels: Count = 1
    model: DramModel = DramModel.CONSTANT
    timing: LayerName | None = None
    bytes_per_cycle: Count | None = 32
    latency_cycles: Cycles = 100
    kind: LayerName = "lpddr4"

    @model_validator(mode="after")
    def _require_fields_of_the_model(self) -> DramSection:
        if self.model is DramModel.CONSTANT:
            if self.timing is not None:
                raise ValueError(f"timing is of the model banked, and the model is {self.model.value}; leave it away")
            return self
        beside = [name for name in CONSTANT_FIELDS if name in self.model_fields_set]
        if beside:
            raise ValueError(
                f"{' and '.join(beside)} given beside the model banked, whose timing and energy are those of its "
                "timing; leave them away, as in dram: {model: banked, timing: lpddr4-2400}"
            )
        names = list_drams()
        if self.timing not in names:
            given = "nothing" if self.timing is None else f"'{self.timing}'"
            raise ValueError(f"timing of the model banked must be one of {', '.join(names)}, got {given}")
        if self.channels > MOST_BANKED_CHANNELS:
            raise ValueError(f"channels of the model banked must be 1 to {MOST_BANKED_CHANNELS}, got {self.channels}")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_other_models(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = write(self)
        for name in ("timing",) if self.model is DramModel.CONSTANT else CONSTANT_FIELDS:
            data.pop(name, None)
        return data

    @property
    def part(self) -> DramPart | None:
        """The kind of DRAM of a model with banks, None of a constant channel."""
        return None if self.timing is None else load_dram(self.timing)

    @property
    def total_bytes_per_cycle(self) -> int | None:
        """What all channels together transfer in a cycle; None is unlimited."""
        return None if self.bytes_per_cycle is None else self.channels * self.bytes_per_cycle

    def describe_banks(self, clock_mhz: int) -> BankedDram | None:
        """Give what engines see of channels with banks, None of a constant channel.

        Args:
            clock_mhz: Of the machine.
        """
        part = self.part
        return None if part is None else BankedDram(self.channels, part.describe(), part.clock_mhz, clock_mhz)

    def describe_clocks(self, clock_mhz: int) -> dict[str, Any] | None:
        """Give DRAM with banks as plain data, and how its clock stands to the machine's; None of a constant channel.

        Args:
            clock_mhz: Of the machine.
        """
        part = self.part
        if part is None:
            return None
        ratio = Fraction(part.clock_mhz, clock_mhz)
        return {
            "timing": part.name,
            "source": part.source,
            "assumed": part.assumed,
            "channels": self.channels,
            "dram_mhz": part.clock_mhz,
            "machine_mhz": clock_mhz,
            "dram_clocks": ratio.numerator,
            "machine_cycles": ratio.denominator,
            "bytes_per_cycle": float(self.channels * part.bytes_per_clock * ratio),
        }
