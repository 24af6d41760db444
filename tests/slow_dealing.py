"""The tasks of a convolution of any geometry, dealt output by output: strips, runs of kernel rows, packed groups."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.stepped_records import divide_up

from dataflows.contract.array import PEArray
from workloads.shapes import ConvShape, Step


@dataclass(frozen=True)
class Task:
    """What one task computes; a PE's outputs are (channel or filter, ...) in the order of its work."""

    pes: tuple[tuple[tuple[int, int], ...], ...]
    columns: range
    kernel_rows: range


def cut(size: int, most: int) -> list[range]:
    """Cut a size into the fewest parts of at most `most`, all as long as the first but the last."""
    parts = divide_up(size, most)
    length = divide_up(size, parts)
    return [range(start, min(size, start + length)) for start in range(0, size, length)]


@dataclass(frozen=True)
class Dealing:
    """Deals the outputs of one step of a convolution to the PEs of its tasks."""

    shape: ConvShape
    array: PEArray
    which: Step

    @property
    def width(self) -> int:
        """Give the width of a result row."""
        return self.shape.out_width if self.which is Step.FORWARD else self.shape.in_width

    def list_blocks(self, outputs: int, run: int) -> list[list[list[tuple[int, int]]]]:
        """Deal outputs of all groups, (group, place), to the PEs of blocks."""
        B, G = self.array.pes_per_group, self.shape.groups
        if self.array.pack_groups and G > 1 and 2 * outputs <= B:
            packed = B // outputs
            starts = range(0, G, packed)
            return [
                [[(g, one)] for g in range(start, min(G, start + packed)) for one in range(outputs)] for start in starts
            ]
        blocks = []
        for g in range(G):
            for start in range(0, outputs, B * run):
                owned = [(g, one) for one in range(start, min(outputs, start + B * run))]
                blocks.append([owned[at : at + run] for at in range(0, len(owned), run)])
        return blocks

    def list_tasks(self) -> dict[tuple[int, ...], Task]:
        """Give the task of each place, in order; strips and runs have an index where there are several."""
        s, A = self.shape, self.array.accumulators
        every_row = range(s.kernel_height)
        if self.which is Step.GTW:
            return self.list_kernels()
        rows, outputs = (s.out_height, s.group_out_channels)
        if self.which is Step.GTA:
            rows, outputs = s.in_height, s.group_in_channels
        strips = cut(self.width, A)
        tasks = {}
        for n in range(s.batch):
            for row in range(rows):
                for strip, columns in enumerate(strips):
                    for number, block in enumerate(self.list_blocks(outputs, 1)):
                        place = (n, row, strip, number) if len(strips) > 1 else (n, row, number)
                        tasks[place] = Task(tuple(tuple(pe) for pe in block), columns, every_row)
        return tasks

    def list_kernels(self) -> dict[tuple[int, ...], Task]:
        """Give the tasks of GTW; PEs own (filter, channel within its group)."""
        s, B = self.shape, self.array.pes_per_group
        fitting = self.array.accumulators // (s.kernel_height * s.kernel_width)
        shared = s.out_channels * s.group_in_channels // (B * self.array.groups * self.array.min_tasks_per_group)
        packed = self.array.pack_groups and s.groups > 1 and 2 * s.group_in_channels <= B
        run = 1 if packed else max(1, min(fitting, shared))
        runs = cut(s.kernel_height, self.array.accumulators // s.kernel_width)
        blocks = self.list_blocks(s.group_in_channels, run)
        tasks = {}
        per_group = len(blocks) // s.groups
        outer = range(len(blocks) if packed else s.out_channels)
        for a in outer:
            for b in range(s.group_out_channels if packed else per_group):
                for t, rows in enumerate(runs):
                    block = blocks[a] if packed else blocks[a // s.group_out_channels * per_group + b]
                    m = [[g * s.group_out_channels + b if packed else a for g, _ in pe] for pe in block]
                    pes = tuple(tuple(zip(m[i], [c for _, c in pe], strict=True)) for i, pe in enumerate(block))
                    place = (a, b, t) if len(runs) > 1 else (a, b)
                    tasks[place] = Task(pes, range(0), rows)
        return tasks
