"""The cycles of a step from its tiles where DRAM has banks, whose state goes on from one tile to the next."""

from __future__ import annotations

import numpy as np

from sim.machine.banked_channels import BankedChannels, BankedDram, DramCommands
from sim.machine.dram_layout import TileRuns
from workloads.arrays import IntArray


def start_banked_tiles(
    durations: IntArray, runs: TileRuns, dram: BankedDram
) -> tuple[IntArray, int, int, DramCommands]:
    """Give the start of every tile, the step's cycles, those of DRAM transfers, and what its channels did.

    As `sim.machine.recurrence.start_tiles`: loads 0 and 1 are queued at the start, load k + 2 when tile k has ended,
    behind its write-back. When tile k has ended, no other request comes before load k + 1 has ended and tile k + 1
    with it, so the channels may be worked until then.
    """
    channels, tiles = BankedChannels(dram), len(durations)
    starts = np.zeros(tiles, dtype=np.int64)
    loads: list[int | None] = []
    write_backs: list[int] = []
    end = 0
    for tile in range(-2, tiles):
        if tile >= 0:
            load = loads[tile]
            starts[tile] = end if load is None else max(end, channels.find_end(load))
            end = int(starts[tile] + durations[tile])
            if written := runs.write_back(tile):
                write_backs.append(channels.request(end, written, True))
        if tile + 2 < tiles:
            read = runs.load(tile + 2)
            loads.append(channels.request(end, read, False) if read else None)
    cycles = max(end, *(channels.find_end(number) for number in write_backs)) if write_backs else end
    return starts, cycles, channels.count_busy_cycles(), channels.count_commands(cycles)
