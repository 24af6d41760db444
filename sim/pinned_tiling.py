"""A tiling that is pinned for a step, in a file's form, and its refusal by a dataflow that chooses for itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from dataflows.contract.memory import MemoryShare, Tiling
from sim.architecture import Architecture, MachineName
from workloads.errors import InputError
from workloads.layers import LayerName, StrictModel
from workloads.shapes import Step

SIZES = "[0-9]+(x[0-9]+)*"
RunLengths = Annotated[str, StringConstraints(pattern=rf"^{SIZES}\|{SIZES}$", max_length=100)]


class PinnedTiling(StrictModel):
    """The run lengths of one step, those of the task indices first; on one machine, or on all that have tiles."""

    layer: LayerName
    step: Step
    tiling: RunLengths
    machine: MachineName | None = None

    def parse(self) -> Tiling:
        """Give the run lengths."""
        tasks, reductions = (tuple(int(size) for size in part.split("x")) for part in self.tiling.split("|"))
        return Tiling(tasks, reductions)


class TilingForm(StrictModel):
    """A file of tilings."""

    tilings: Annotated[list[PinnedTiling], Field(min_length=1, max_length=100_000)]


def require_pinned(memory: MemoryShare | None, tiling: str, machine: Architecture) -> None:
    """Refuse a dataflow that cuts a step otherwise than it was asked to.

    Raises:
        InputError: names it.
    """
    if memory is not None and memory.tiling is not None and str(memory.tiling) != tiling:
        raise InputError(
            f"the dataflow '{machine.dataflow}' of '{machine.name}' takes no tiling, it chose {tiling} where "
            f"{memory.tiling} was given; leave the tilings of this machine away"
        )
