"""The tiles of a step as a whole, and the choice of some of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from dataflows.contract.entries import Entries, cut_runs, fill_tiles
from dataflows.contract.memory import RowFormat, Tiling
from workloads.arrays import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class TilePlan:
    """How a step is cut into tiles, without any of their tasks.

    Attributes:
        sizes: Run lengths along each axis, the `indices` task indices before the reduction indices.
        runs: What they cut.
        classes: int64 ``(runs,)`` for each axis; runs of one class have the same geometry.
        image_axis: The axis of images.
        formats: Of the tensors, the step's sparse operand first (input in Forward, else grad_output).
        headers: Row operations that a PE does for each one of the uncut step.
        idle: Tasks of a GTW without a row operation, over the limits of the task indices; None where none is known.
        index_names: Of the task indices, as in `TaskTable`; none where they are not told.
    """

    sizes: tuple[int, ...]
    runs: tuple[tuple[range, ...], ...]
    classes: tuple[IntArray, ...]
    indices: int
    image_axis: int
    formats: tuple[RowFormat, ...]
    headers: int = 1
    idle: BoolArray | None = None
    index_names: tuple[str, ...] = ()

    @property
    def tiling(self) -> Tiling:
        """The run lengths of task indices and of reduction indices."""
        return Tiling(self.sizes[: self.indices], self.sizes[self.indices :])

    @property
    def tasks(self) -> int:
        """Tasks of the whole step."""
        return int(np.prod([axis[-1].stop for axis in self.runs[: self.indices]]))

    def __len__(self) -> int:
        return int(np.prod([len(axis) for axis in self.runs]))

    def is_same(self, other: TilePlan) -> bool:
        """Tell whether another plan of the same step cuts it alike; the classes follow from runs and idle filters."""
        mine, others = ((plan.runs, plan.formats, plan.headers) for plan in (self, other))
        return mine == others and np.array_equal(list_idle(self), list_idle(other))

    def choose(self, tiles: IntArray, images: Sequence[int]) -> Entries:
        """List the entries of some tiles, by their numbers; images are counted among those of these numbers, ascending.

        Raises:
            ValueError: an image of a chosen tile is missing.
        """
        known = np.asarray(images, dtype=np.int64)
        shape = tuple(len(axis) for axis in self.runs)
        ranges, first, last = [], [], []
        for position in np.stack(np.unravel_index(tiles, shape), axis=1):
            chosen = [axis[index] for axis, index in zip(self.runs, position, strict=True)]
            run = chosen[self.image_axis]
            start = int(np.searchsorted(known, run.start))
            if not np.array_equal(known[start : start + len(run)], run):
                raise ValueError(f"a tile needs the images {run.start} to {run.stop - 1}, got {known.tolist()}")
            chosen[self.image_axis] = range(start, start + len(run))
            ranges.append(tuple(chosen))
            parts = position[self.indices :]
            first.append(not parts.any())
            last.append(bool((parts == np.array(shape[self.indices :]) - 1).all()))
        return fill_tiles(ranges, self.indices, first, last)


def list_idle(plan: TilePlan) -> IntArray:
    """Number the tasks of a plan that are known to be idle."""
    return np.zeros(0, dtype=np.int64) if plan.idle is None else np.flatnonzero(plan.idle)


def cut_axes(limits: Sequence[int], sizes: Sequence[int]) -> tuple[tuple[range, ...], ...]:
    """Cut the values of every index into runs."""
    return tuple(tuple(cut_runs(limit, size)) for limit, size in zip(limits, sizes, strict=True))


def number_classes(keys: Sequence[Hashable]) -> IntArray:
    """Number what has the same key alike, in the order of appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def mark_ends(keys: Sequence[Hashable]) -> list[Hashable]:
    """Tell the first and the last part of a reduction from the others: they read or write other results."""
    return [(key, part == 0, part == len(keys) - 1) for part, key in enumerate(keys)]
