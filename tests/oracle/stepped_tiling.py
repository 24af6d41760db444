"""Choose the tiling of a (layer, step) by trying every one.

Choices where the definition of the machine leaves room:

C1. A tile is a run of consecutive values of every task index (the last index counts blocks, so no task is divided) and
    a run of every reduction index; the last run of an index may be short. Every run length is tried.
C2. Tiles are worked in the order of the task indices, last fastest, and the parts of the reduction run within each
    (GTW: n outer, h inner).
C3. Every tile loads all its operands, also those that the tile before has loaded; rows that no row operation of the
    tile reads are not loaded. Masks are loaded with every tile of GTA, those of tasks that have a row operation or
    whose results a PPU must mask all the same; gradients to be summed with the last part.
    Values do not matter: fully connected weights are loaded even where all masks are unset.
C4. The output tile counts once if the reduction is cut, else twice. That holds for a single tile too, and operand
    tiles count twice even if there is only one. In a cut, the change to the next output tile is not counted apart.
C5. The output tile is sized raw (GTW: always at acc_bits), each convolution row rounded up to a byte; the largest
    output tile and the largest operand tile need not be the same tile.
C6. Partial rows stay in the buffer: tiles but the last of a reduction write nothing back.
C7. The choice: of the tilings that fit, those of at most 33/32 of the least DRAM bytes; of these the fewest tiles, then
    the least DRAM bytes, then the longest runs, compared index by index, task indices before reduction indices.
C8. Without a capacity one tile holds the layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from oracle.stepped_lowering import Tile, Work


@dataclass(frozen=True)
class Tiling:
    """Hold a tiling: the run lengths, its tiles and what it costs."""

    task_sizes: tuple[int, ...]
    reduction_sizes: tuple[int, ...]
    tiles: tuple[Tile, ...]
    load_bytes: tuple[int, ...]
    write_back_bytes: tuple[int, ...]
    needed_bytes: int

    @property
    def dram_bytes(self) -> int:
        """Return the bytes of all loads and write-backs."""
        return sum(self.load_bytes) + sum(self.write_back_bytes)

    @property
    def order(self) -> tuple[int, int, tuple[int, ...]]:
        """Return what tilings are compared by; the least is the best."""
        return len(self.tiles), self.dram_bytes, tuple(-size for size in self.task_sizes + self.reduction_sizes)

    def __str__(self) -> str:
        """Return the run lengths, task indices first."""
        return f"{'x'.join(map(str, self.task_sizes))}|{'x'.join(map(str, self.reduction_sizes))}"


def split_runs(limit: int, size: int) -> list[range]:
    """Split the values of an index into runs."""
    return [range(start, min(start + size, limit)) for start in range(0, limit, size)]


def list_tiles(work: Work, task_sizes: tuple[int, ...], reduction_sizes: tuple[int, ...]) -> Iterator[Tile]:
    """Run through the tiles of a tiling in the order of work."""
    runs = [split_runs(limit, size) for limit, size in zip(work.task_limits, task_sizes, strict=True)]
    cuts = [split_runs(limit, size) for limit, size in zip(work.reduction_limits, reduction_sizes, strict=True)]
    parts = list(itertools.product(*cuts))
    for indices in itertools.product(*runs):
        for number, reduction in enumerate(parts):
            yield Tile(indices, reduction, is_first_part=number == 0, is_last_part=number == len(parts) - 1)


def plan_tiling(work: Work, task_sizes: tuple[int, ...], reduction_sizes: tuple[int, ...]) -> Tiling:
    """Size one tiling."""
    tiles = tuple(list_tiles(work, task_sizes, reduction_sizes))
    is_cut = any(not tile.is_last_part for tile in tiles)
    loads = tuple(work.size_load(tile) for tile in tiles)
    output_bytes = max(work.size_output_tile(tile, is_cut) for tile in tiles)
    return Tiling(
        task_sizes,
        reduction_sizes,
        tiles,
        load_bytes=loads,
        write_back_bytes=tuple(work.size_write_back(tile) if tile.is_last_part else 0 for tile in tiles),
        needed_bytes=(1 if is_cut else 2) * output_bytes + 2 * max(loads),
    )


def choose_tiling(work: Work) -> Tiling:
    """Return the best tiling that fits; raise ValueError if none does."""
    capacity = work.machine.capacity_bytes
    if capacity is None:
        return plan_tiling(work, work.task_limits, work.reduction_limits)
    lengths = [range(1, limit + 1) for limit in work.task_limits + work.reduction_limits]
    cut = len(work.task_limits)
    tilings = [plan_tiling(work, sizes[:cut], sizes[cut:]) for sizes in itertools.product(*lengths)]
    fitting = [tiling for tiling in tilings if tiling.needed_bytes <= capacity]
    if not fitting:
        needed = min(tiling.needed_bytes for tiling in tilings)
        raise ValueError(
            f"Layer {work.name} cannot be tiled in {work.step}: it needs {needed} bytes, the buffer has {capacity}."
        )
    least = min(tiling.dram_bytes for tiling in fitting)
    affordable = [tiling for tiling in fitting if 32 * tiling.dram_bytes <= 33 * least]
    return min(affordable, key=lambda tiling: tiling.order)
