"""Where the transfers of a step or pass lie in DRAM: one tensor behind the other, each from a row of its own on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from dataflows.contract.memory import TileStreams, Traffic
from sim.machine.bank_state import BankTiming
from sim.machine.banked_channels import BankedDram, Run
from workloads.arrays import IntArray


@dataclass(frozen=True, slots=True)
class Moved:
    """What a pass moves of each tensor, in the order of its transfers: what tells the tensor from others, and bytes."""

    reads: tuple[tuple[Hashable, int], ...]
    writes: tuple[tuple[Hashable, int], ...]

    @property
    def read_bytes(self) -> int:
        """All that is read."""
        return sum(size for _, size in self.reads)

    @property
    def write_bytes(self) -> int:
        """All that is written."""
        return sum(size for _, size in self.writes)


@dataclass(frozen=True, eq=False)
class TileRuns:
    """The runs of bytes that each tile loads, and those that it writes back.

    Attributes:
        first: int64 ``(tiles, tensors)``, addresses; the last tensor is written.
        size: int64 ``(tiles, tensors)``.
    """

    first: IntArray
    size: IntArray

    def load(self, tile: int) -> list[Run]:
        """Give the runs of a load."""
        return self._list_runs(tile, range(self.first.shape[1] - 1))

    def write_back(self, tile: int) -> list[Run]:
        """Give the runs of a write-back."""
        return self._list_runs(tile, range(self.first.shape[1] - 1, self.first.shape[1]))

    def _list_runs(self, tile: int, tensors: range) -> list[Run]:
        runs = [(int(self.first[tile, one]), int(self.size[tile, one])) for one in tensors]
        return [run for run in runs if run[1]]


def place_tensors(sizes: Sequence[int], timing: BankTiming, channels: int) -> list[int]:
    """Give the address of each tensor: the first behind the one before that begins a row in every channel."""
    step, free, bases = timing.row_bursts * timing.burst_bytes * channels, 0, []
    for size in sizes:
        bases.append(free)
        free += -(-size // step) * step
    return bases


def place_tiles(traffic: Traffic, dram: BankedDram) -> TileRuns:
    """Find where the transfers of a step's tiles lie."""
    streams = traffic.streams or chain_transfers(traffic.tile_load_bytes, traffic.tile_write_back_bytes)
    bases = place_tensors([int(size) for size in streams.tensor_bytes], dram.timing, dram.channels)
    return TileRuns(streams.first_bytes + np.array(bases, dtype=np.int64), streams.size_bytes)


def chain_transfers(load_bytes: IntArray, write_back_bytes: IntArray) -> TileStreams:
    """Read loads one behind the other from one tensor, and write results likewise to another."""
    sizes = np.stack([load_bytes, write_back_bytes], axis=1)
    ends = sizes.cumsum(axis=0)
    return TileStreams(ends[-1], ends - sizes, sizes)


def place_pass(moved: Moved, dram: BankedDram) -> tuple[list[Run], list[Run]]:
    """Find where a pass's tensors lie: those that it reads in their order, then those that it writes."""
    sizes: dict[Hashable, int] = {}
    for tensor, size in (*moved.reads, *moved.writes):
        sizes[tensor] = max(size, sizes.get(tensor, 0))
    bases = dict(zip(sizes, place_tensors(list(sizes.values()), dram.timing, dram.channels), strict=True))
    reads, writes = ([(bases[tensor], size) for tensor, size in part if size] for part in (moved.reads, moved.writes))
    return reads, writes
