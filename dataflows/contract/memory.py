"""What a dataflow may know of the machine's memory, and the traffic it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import IntArray


class RowFormat(StrEnum):
    """How a row is stored: every element, indexed nonzeros, or a bit for each element before the nonzeros."""

    RAW = "raw"
    OFFSET = "offset"
    BITMASK = "bitmask"


@dataclass(frozen=True, slots=True)
class Tiling:
    """Run lengths of the task indices and of the reduction indices of a step; in words ``4x8x2|16``."""

    tasks: tuple[int, ...]
    reductions: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """All run lengths, those of the task indices first."""
        return (*self.tasks, *self.reductions)

    def __str__(self) -> str:
        return "|".join("x".join(str(size) for size in part) for part in (self.tasks, self.reductions))


@dataclass(frozen=True, slots=True)
class MemoryShare:
    """The buffer that a layer step may tile for, the operand store of a group, and how numbers are stored.

    Attributes:
        capacity_bytes: None is unlimited.
        operand_store_bytes: None is unlimited.
        sparse_format: None picks the smallest for each tensor.
        tiling: None has the dataflow choose one.
        shares_reads: Whether groups may share reads, so that traffic has to tell the driver rows of its bursts.
    """

    capacity_bytes: int | None = 395264
    operand_store_bytes: int | None = 2048
    data_bits: int = 16
    acc_bits: int = 32
    sparse_format: RowFormat | None = None
    tiling: Tiling | None = None
    shares_reads: bool = False

    @property
    def half_store_bytes(self) -> int | None:
        """Bytes of one of the two halves of an operand store."""
        return None if self.operand_store_bytes is None else self.operand_store_bytes // 2


@dataclass(frozen=True, eq=False)
class TileStreams:
    """Where the transfers of tiles lie in the tensors that a step moves; all arrays int64.

    A transfer reads or writes one run of bytes of each of its tensors. Tensors stand in the order in which they lie in
    DRAM; the last one is written, the others are loaded.

    Attributes:
        tensor_bytes: ``(tensors,)``; none of a tensor's runs ends behind them.
        first_bytes: ``(tiles, tensors)``; where in the tensor a run begins.
        size_bytes: ``(tiles, tensors)``.
    """

    tensor_bytes: IntArray
    first_bytes: IntArray
    size_bytes: IntArray


@dataclass(frozen=True, eq=False)
class Traffic:
    """What a step's tasks move, in the order of their dispatch; all arrays int64.

    A reduction that is cut makes several entries of one task, one for each part. An entry that the PPU reads nothing
    for, that has no element and writes nothing, and has no burst, hands nothing to the PPU.

    Attributes:
        tile_first: ``(tiles + 1,)``; entries of each tile.
        tile_load_bytes: ``(tiles,)``; its DRAM reads.
        tile_write_back_bytes: ``(tiles,)``; its DRAM writes.
        burst_first: ``(entries + 1,)``; bursts of each entry.
        burst_bytes: ``(bursts,)``.
        burst_cycles: ``(bursts, PEs)``.
        driver_bytes: ``(bursts,)``; the bytes of a burst that are its driver rows, None where that is not told.
        driver_rows: ``(bursts,)``; equal for those bursts of a tile that fetch the same bytes of the same driver rows,
            and of any value where a burst has none; told with driver_bytes.
        pes: ``(entries,)``; PEs that own an output.
        ppu_read_bytes: ``(entries,)``.
        ppu_elements: ``(entries,)``.
        ppu_write_bytes: ``(entries,)``.
        store_writes: ``(entries,)``; words written into operand stores, once for each receiving PE.
        footprint_bytes: Largest use of the buffer.
        tiling: The run lengths chosen, in words.
        written_bits_bytes: Of the write-backs, the bits that say which rows are occupied.
        streams: None leaves open where transfers lie: loads are then read one behind the other, write-backs likewise.
    """

    tile_first: IntArray
    tile_load_bytes: IntArray
    tile_write_back_bytes: IntArray
    burst_first: IntArray
    burst_bytes: IntArray
    burst_cycles: IntArray
    pes: IntArray
    ppu_read_bytes: IntArray
    ppu_elements: IntArray
    ppu_write_bytes: IntArray
    store_writes: IntArray
    footprint_bytes: int
    tiling: str
    streams: TileStreams | None = None
    written_bits_bytes: int = 0
    driver_bytes: IntArray | None = None
    driver_rows: IntArray | None = None

    @property
    def reduction_runs(self) -> tuple[int, ...]:
        """The run lengths of the reduction's indices, behind a bar in the tiling's words; empty where it has none."""
        _, bar, words = self.tiling.partition("|")
        sizes = words.split("x")
        return tuple(map(int, sizes)) if bar and all(size.isdecimal() for size in sizes) else ()

    @property
    def passes_ppu(self) -> NDArray[np.bool_]:
        """Flags of the entries whose results pass the PPU, ``(entries,)``: of all but those that have nothing to do."""
        passes: NDArray[np.bool_] = np.diff(self.burst_first) > 0
        for amount in (self.ppu_read_bytes, self.ppu_elements, self.ppu_write_bytes):
            passes = passes | (amount > 0)
        return passes
