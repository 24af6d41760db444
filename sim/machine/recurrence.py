"""The cycles of a step from its tiles: the loads and write-backs of the DRAM channel around them.

Nothing is handed over from one tile to the next but the buffer's halves, so a tile takes as long wherever it stands in
a step, and a step follows from the durations and bytes of its tiles (section 6 of the machine's definition).
"""

from __future__ import annotations

import numpy as np

from sim.machine.compiled_state import UNLIMITED as UNLIMITED
from workloads.arrays import IntArray
from workloads.kernel import freeze, kernel


def start_tiles(
    durations: IntArray, load_bytes: IntArray, write_back_bytes: IntArray, bytes_per_cycle: int, latency_cycles: int
) -> tuple[IntArray, int, int]:
    """Give the start of every tile, the cycles of the step, and those for which its DRAM channel transfers.

    Arrays int64 ``(tiles,)``.

    Args:
        bytes_per_cycle: UNLIMITED moves any transfer in no time. The channel is first come, first served.
    """
    starts, loaded = np.zeros(len(durations), dtype=np.int64), np.zeros(len(durations) + 2, dtype=np.int64)
    cycles, busy = queue_transfers(
        freeze(durations), freeze(load_bytes), freeze(write_back_bytes), bytes_per_cycle, latency_cycles, starts, loaded
    )
    return starts, cycles, busy


@kernel
def queue_transfers(
    durations: IntArray, load_bytes: IntArray, write_back_bytes: IntArray, bytes_per_cycle: int, latency_cycles: int,
    starts: IntArray, loaded: IntArray,
) -> tuple[int, int]:  # fmt: skip
    """Fill in the starts of `start_tiles`, and give its other figures; loaded ``(tiles + 2,)``, zero, is room."""
    tiles = len(durations)
    free_at = busy = end = 0
    for tile in range(-2, tiles):
        # Loads 0 and 1 are queued at the start, load k + 2 when tile k has ended, behind its write-back.
        if tile >= 0:
            starts[tile] = max(end, loaded[tile])
            end = starts[tile] + durations[tile]
            if write_back_bytes[tile]:
                cycles = 0 if bytes_per_cycle == UNLIMITED else -(-write_back_bytes[tile] // bytes_per_cycle)
                free_at = max(end + latency_cycles, free_at) + cycles
                busy += cycles
        if tile + 2 < tiles:
            loaded[tile + 2] = end
            if load_bytes[tile + 2]:
                cycles = 0 if bytes_per_cycle == UNLIMITED else -(-load_bytes[tile + 2] // bytes_per_cycle)
                free_at = max(end + latency_cycles, free_at) + cycles
                busy += cycles
                loaded[tile + 2] = free_at
    return max(end, free_at), busy


def compose_tiles(
    durations: IntArray, load_bytes: IntArray, write_back_bytes: IntArray, bytes_per_cycle: int, latency_cycles: int
) -> tuple[int, int, int]:
    """Give the cycles of a step, the start of its last tile, and the cycles for which its DRAM channel transfers."""
    starts, cycles, busy = start_tiles(durations, load_bytes, write_back_bytes, bytes_per_cycle, latency_cycles)
    return int(cycles), int(starts[-1]), int(busy)
