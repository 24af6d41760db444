"""The traffic of a step, put together from what each of its entries fetches and hands on (sections 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataflows.contract.entries import Entries, sum_spans
from dataflows.contract.memory import Tiling, Traffic
from dataflows.tiling.drivers import tell_drivers
from dataflows.tiling.streams import TileLoads, place_streams
from workloads.arrays import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Bursts:
    """The operand bursts of all entries, in order.

    Attributes:
        first: int64 ``(entries + 1,)``, the bursts of each entry.
        size_bytes: int64 ``(bursts,)``.
        pe_cycles: int64 ``(bursts, PEs)``.
        store_writes: int64 ``(entries,)``, words written into operand stores.
        drivers: int64 ``(bursts, 2)``, of `dataflows.tiling.drivers`; None where they are not told.
    """

    first: IntArray
    size_bytes: IntArray
    pe_cycles: IntArray
    store_writes: IntArray
    drivers: IntArray | None = None


@dataclass(frozen=True, eq=False)
class EntryResults:
    """The results of each entry, ``(entries,)``, as they would be in any part of its reduction.

    Attributes:
        pes: PEs that own an output.
        elements: Results.
        partial_bytes: Raw at acc_bits.
        whole_bytes: Raw in the buffer, where the reduction is not cut.
        written_bytes: What the last part's PPU writes.
        added_bytes: What it reads besides partial results: masks, gradients to be summed.
        passes: Whether any part hands results to the PPU.
    """

    pes: IntArray
    elements: IntArray
    partial_bytes: IntArray
    whole_bytes: IntArray
    written_bytes: IntArray
    added_bytes: IntArray
    passes: BoolArray


@dataclass(frozen=True, eq=False)
class TileBytes:
    """What each tile moves to and from DRAM, int64 ``(tiles,)``; a tile writes back in the last part of its reduction.

    Attributes:
        write_back: None where it is what the entries' PPU writes.
        bits: What is loaded and written back besides, which takes no room in the buffer; None is nothing.
        places: What is loaded by tensors, and where they lie; None leaves that open.
        in_full: What it would be, did nothing stay in the buffer; None where nothing does.
    """

    load: IntArray
    write_back: IntArray | None = None
    bits: tuple[IntArray, IntArray] | None = None
    places: TileLoads | None = None
    in_full: TileBytes | None = None

    @property
    def written_bits_bytes(self) -> int:
        """What the bits of all results take."""
        return 0 if self.bits is None else int(self.bits[1].sum())

    def sum_up(self, written: IntArray, is_last: BoolArray) -> tuple[IntArray, IntArray]:
        """Give what each tile moves in all: loads and write-backs, ``(tiles,)`` both.

        Args:
            written: What the entries' PPU writes.
            is_last: Flags of the tiles that hold the last part of their reduction.
        """
        write_back = np.where(is_last, written if self.write_back is None else self.write_back, 0)
        if self.bits is None:
            return self.load, write_back
        return self.load + self.bits[0], write_back + self.bits[1]


def assemble_traffic(
    entries: Entries, sizes: IntArray, bursts: Bursts, results: EntryResults, tiles: TileBytes
) -> Traffic:
    """Put a step's traffic together.

    The first part of a reduction reads no partial results, the last one writes final ones. An entry that does not pass
    the PPU hands it nothing; its bytes stand in the tile's write-back alone.

    Args:
        sizes: Run lengths, those of the task indices before those of the reduction.
    """
    is_first, is_last, passes = entries.is_first, entries.is_last, results.passes
    read = np.where(is_first, 0, results.partial_bytes) + np.where(is_last, results.added_bytes, 0)
    written = np.where(is_last, results.written_bytes, results.partial_bytes)
    ends, all_written = is_last[entries.tile_first[:-1]], sum_spans(results.written_bytes, entries.tile_first)
    load, write_back = tiles.sum_up(all_written, ends)
    kept_load, kept_result = None, None
    if tiles.in_full is not None:
        full_load, full_result = tiles.in_full.sum_up(all_written, ends)
        kept_load, kept_result = full_load - load, full_result - write_back
    indices = entries.places.shape[1]
    driver_bytes, driver_rows = tell_drivers(bursts.drivers)
    return Traffic(
        tile_first=entries.tile_first,
        tile_load_bytes=load,
        tile_write_back_bytes=write_back,
        burst_first=bursts.first,
        burst_bytes=bursts.size_bytes,
        burst_cycles=bursts.pe_cycles,
        pes=results.pes,
        ppu_read_bytes=np.where(passes, read, 0),
        ppu_elements=np.where(passes, results.elements, 0),
        ppu_write_bytes=np.where(passes, written, 0),
        store_writes=bursts.store_writes,
        footprint_bytes=measure_footprint(entries, results, tiles),
        tiling=str(Tiling(tuple(sizes[:indices].tolist()), tuple(sizes[indices:].tolist()))),
        streams=None if tiles.places is None else place_streams(tiles.places, load, write_back),
        driver_bytes=driver_bytes,
        driver_rows=driver_rows,
        kept_load_bytes=kept_load,
        kept_result_bytes=kept_result,
    )


def measure_footprint(entries: Entries, results: EntryResults, tiles: TileBytes) -> int:
    """Give the largest use of the buffer: two operand tiles, two output tiles or one that a cut reduction shares."""
    is_cut = not (entries.is_first & entries.is_last).all()
    output_bytes = sum_spans(results.partial_bytes if is_cut else results.whole_bytes, entries.tile_first)
    return int(output_bytes.max()) * (1 if is_cut else 2) + 2 * int(tiles.load.max())
