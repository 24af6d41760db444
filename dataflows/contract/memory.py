"""What a dataflow may know of the machine's memory, and the traffic it hands back."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
class Kept:
    """The tensors of a step that stay in the buffer: tiles do not move them from or to DRAM.

    Attributes:
        operands: Of input, weight and grad_output, those that are there already.
        raw: Those of them that lie there raw, in whatever format they are stored in DRAM.
        summed: Places of gradients that are there already, among those that are added to the result.
        has_result: Whether the result is not written to DRAM.
        resident_bytes: What all that stays takes of the buffer, raw, what is written to DRAM too among it.
    """

    operands: frozenset[str] = frozenset()
    raw: frozenset[str] = frozenset()
    summed: frozenset[int] = frozenset()
    has_result: bool = False
    resident_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether every tensor is moved."""
        return not (self.operands or self.summed or self.has_result)

    def exchange_roles(self) -> Kept:
        """Give what stays of a transposed convolution's step in the names of the convolution's that it is."""
        return replace(self, operands=exchange_names(self.operands), raw=exchange_names(self.raw))


def exchange_names(names: frozenset[str]) -> frozenset[str]:
    """Exchange the names of the input and of the gradient to the output."""
    return frozenset({"input": "grad_output", "grad_output": "input"}.get(name, name) for name in names)


NOTHING_KEPT = Kept()


@dataclass(frozen=True, slots=True)
class MemoryShare:
    """The buffer that a layer step may tile for, the operand store of a group, and how numbers are stored.

    Attributes:
        capacity_bytes: None is unlimited.
        operand_store_bytes: None is unlimited.
        sparse_format: None picks the smallest for each tensor.
        tiling: None has the dataflow choose one.
        shares_reads: Whether groups may share reads, so that traffic has to tell the driver rows of its bursts.
        kept: What stays in the buffer, whose capacity is without it.
    """

    capacity_bytes: int | None = 395264
    operand_store_bytes: int | None = 2048
    data_bits: int = 16
    acc_bits: int = 32
    sparse_format: RowFormat | None = None
    tiling: Tiling | None = None
    shares_reads: bool = False
    kept: Kept = NOTHING_KEPT

    def describe_capacity(self) -> str:
        """Say how large the buffer is, and how much of it is taken already."""
        taken = self.kept.resident_bytes
        whole = f"buffer.capacity_bytes = {(self.capacity_bytes or 0) + taken}"
        return f"{whole}, of which {taken} hold what stays there (buffer.keep_on_chip)" if taken else whole

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
        streams: None leaves open where transfers lie: loads are then read one behind the other, write-backs likewise.
        kept_load_bytes: ``(tiles,)``; what would be loaded besides, did nothing stay in the buffer; None is nothing.
        kept_result_bytes: ``(tiles,)``; what would be written back besides; None is nothing.
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
    driver_bytes: IntArray | None = None
    driver_rows: IntArray | None = None

    @property
    def reduction_runs(self) -> tuple[int, ...]:
        """The run lengths of the reduction's indices, behind a bar in the tiling's words; empty where it has none."""
        _, bar, words = self.tiling.partition("|")
        sizes = words.split("x")
        return tuple(map(int, sizes)) if bar and all(size.isdecimal() for size in sizes) else ()

    kept_load_bytes: IntArray | None = None
    kept_result_bytes: IntArray | None = None

    @property
    def result_bytes(self) -> int:
        """Bytes of the results as DRAM would hold them, whether they are written there or not."""
        kept = self.kept_result_bytes
        return int(self.tile_write_back_bytes.sum()) + (0 if kept is None else int(kept.sum()))

    @property
    def kept_bytes(self) -> int:
        """Bytes that DRAM does not move because tensors stay in the buffer."""
        return sum(int(part.sum()) for part in (self.kept_load_bytes, self.kept_result_bytes) if part is not None)

    @property
    def passes_ppu(self) -> NDArray[np.bool_]:
        """Flags of the entries whose results pass the PPU, ``(entries,)``: of all but those that have nothing to do."""
        passes: NDArray[np.bool_] = np.diff(self.burst_first) > 0
        for amount in (self.ppu_read_bytes, self.ppu_elements, self.ppu_write_bytes):
            passes = passes | (amount > 0)
        return passes
