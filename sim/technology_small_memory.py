"""Small memories: banks of one read and one write port, most of them smaller than the grid of SRAM figures.

An access of a bank below the grid is the straight line through the grid's two smallest arrays; its area and leakage are
those of the smallest array, of which a share stays whatever the number of words. Area and leakage of every bank grow by
the factor of a second port.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from sim.technology_scaling import Positive, Range, Text
from sim.technology_sram import KIBIBYTE, SramFigures
from workloads.layers import StrictModel


class PeripheryShare(StrictModel):
    """The share of the smallest array's area and leakage that does not shrink with the number of words."""

    value: Annotated[float, Field(ge=0, le=1)]
    source: Text
    derived: Text | None = None


class PortFactor(StrictModel):
    """What a port of its own for reads multiplies an array's area and leakage by."""

    value: Annotated[float, Field(ge=1)]
    source: Text
    derived: Text | None = None


class MemoryFigure(StrictModel):
    """What another source says of a memory of a size; no machine uses it, it stands beside what the rule gives.

    Attributes:
        quantity: access: the mean of a read and a write of a word; area: the whole memory.
    """

    quantity: Literal["access", "area"]
    words: Annotated[int, Field(ge=1)]
    bits: Annotated[int, Field(ge=1)]
    value: Positive
    unit: Literal["pJ", "um2"]
    node: Text
    source: Text
    scale: Text
    derived: Text | None = None


class SmallMemories(StrictModel):
    """The rule for small memories, and figures of other sources to compare it with.

    Attributes:
        range: Of a read and a write.
    """

    periphery: PeripheryShare
    second_port: PortFactor
    range: Range
    others: dict[str, MemoryFigure]


def size_bank(words: int, bits: int) -> float:
    """Return the bytes of so many words."""
    return words * bits / 8


def shrink_array(
    smallest: SramFigures, next_larger: SramFigures, capacity_bytes: float, periphery: float
) -> SramFigures:
    """Return the figures of an array below the grid, whose two smallest arrays are given."""
    share = capacity_bytes / smallest.capacity_bytes
    steps = next_larger.capacity_bytes / smallest.capacity_bytes - 1

    def shorten(small_pj: float, large_pj: float) -> float:
        # Where a grid grows faster than its capacity, the line through 0 is the least that is believed.
        slope = min(max(large_pj - small_pj, 0.0) / steps, small_pj) if steps else 0.0
        return small_pj - slope * (1 - share)

    held = periphery + (1 - periphery) * share
    return replace(
        smallest,
        read_pj=shorten(smallest.read_pj, next_larger.read_pj),
        write_pj=shorten(smallest.write_pj, next_larger.write_pj),
        leakage_mw=smallest.leakage_mw * held,
        area_mm2=smallest.area_mm2 * held,
        capacity_bytes=capacity_bytes,
        notes=(
            *smallest.notes,
            f"{capacity_bytes:.10g} bytes are below the grid: an access on the line through "
            f"{smallest.capacity_bytes / KIBIBYTE:g} and {next_larger.capacity_bytes / KIBIBYTE:g} KiB, area and "
            f"leakage {held:.4g} of those of {smallest.capacity_bytes / KIBIBYTE:g} KiB",
        ),
    )


def add_port(figures: SramFigures, factor: float) -> SramFigures:
    """Return the figures of an array with a second port."""
    return replace(
        figures,
        leakage_mw=figures.leakage_mw * factor,
        area_mm2=figures.area_mm2 * factor,
        notes=(*figures.notes, f"area and leakage x{factor:.4g} for a port of reads beside that of writes"),
    )
