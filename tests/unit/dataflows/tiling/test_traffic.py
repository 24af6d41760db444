"""What a step's entries fetch and hand on becomes its traffic: read and written parts, footprint, words."""

from __future__ import annotations

import numpy as np

from dataflows.contract.entries import list_entries
from dataflows.contract.memory import Traffic
from dataflows.tiling.traffic import Bursts, EntryResults, TileBytes, assemble_traffic

TASKS, DEPTH = 2, 4
PARTIAL, WHOLE, WRITTEN, ADDED = 40, 20, 11, 3


def assemble(part: int, passes: tuple[bool, bool] = (True, True), write_back: int | None = None) -> Traffic:
    """Assemble two tasks in one tile whose reduction over four is cut into parts, each entry with one burst."""
    sizes = np.array([TASKS, part])
    entries = list_entries((TASKS,), (DEPTH,), (TASKS, part))
    count, tiles = len(entries.places), len(entries.tiles)
    bursts = Bursts(np.arange(count + 1), np.full(count, 8), np.ones((count, 1), np.int64), np.full(count, 4))

    def repeat(amount: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.full(count, amount, dtype=np.int64)

    results = EntryResults(
        pes=repeat(1),
        elements=repeat(5),
        partial_bytes=repeat(PARTIAL),
        whole_bytes=repeat(WHOLE),
        written_bytes=repeat(WRITTEN),
        added_bytes=repeat(ADDED),
        passes=np.array(passes)[entries.places[:, 0]],
    )
    back = None if write_back is None else np.full(tiles, write_back)
    return assemble_traffic(entries, sizes, bursts, results, TileBytes(np.arange(tiles) + 100, back))


def test_a_whole_reduction_reads_what_is_added_and_writes_final_results() -> None:
    traffic = assemble(DEPTH)
    assert traffic.ppu_read_bytes.tolist() == [ADDED] * TASKS
    assert traffic.ppu_write_bytes.tolist() == [WRITTEN] * TASKS
    assert traffic.tile_write_back_bytes.tolist() == [TASKS * WRITTEN]
    assert traffic.footprint_bytes == 2 * TASKS * WHOLE + 2 * 100
    assert traffic.tiling == "2|4"


def test_a_cut_reduction_hands_partial_results_on_and_shares_one_output_tile() -> None:
    traffic = assemble(DEPTH // 2)
    assert traffic.ppu_read_bytes.tolist() == [0] * TASKS + [PARTIAL + ADDED] * TASKS
    assert traffic.ppu_write_bytes.tolist() == [PARTIAL] * TASKS + [WRITTEN] * TASKS
    assert traffic.tile_write_back_bytes.tolist() == [0, TASKS * WRITTEN]
    assert traffic.footprint_bytes == TASKS * PARTIAL + 2 * 101
    assert traffic.tiling == "2|2"


def test_an_entry_that_must_be_zero_hands_nothing_on_and_is_written_back_by_its_tile() -> None:
    traffic = assemble(DEPTH, passes=(True, False))
    assert traffic.ppu_read_bytes.tolist() == [ADDED, 0]
    assert traffic.ppu_elements.tolist() == [5, 0]
    assert traffic.ppu_write_bytes.tolist() == [WRITTEN, 0]
    assert traffic.tile_write_back_bytes.tolist() == [TASKS * WRITTEN]


def test_a_tile_that_is_compressed_on_its_way_to_dram_writes_back_what_it_says() -> None:
    assert assemble(DEPTH // 2, write_back=7).tile_write_back_bytes.tolist() == [0, 7]
