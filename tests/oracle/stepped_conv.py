"""Lower the steps of a convolution, one row operation at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from oracle.stepped_lowering import (
    Item,
    Operands,
    Results,
    Row,
    Tensor,
    Tile,
    Work,
    count_kernels_per_pe,
    split_blocks,
)
from oracle.stepped_records import Machine, divide_up


@dataclass(frozen=True)
class Conv:
    """Describe a convolution and the images it works on."""

    name: str
    batch: int
    in_channels: int
    in_height: int
    in_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int, int, int] = 0
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        """Refuse groups that do not divide the channels and a kernel larger than the padded image."""
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"Layer {self.name} has {self.groups} groups, which must divide both channel counts.")
        if self.out_height < 1 or self.out_width < 1:
            raise ValueError(
                f"Layer {self.name} has an output of {self.out_height} x {self.out_width}; allowed is 1 x 1."
            )

    @property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of input, weight and output."""
        return {
            "input": (self.batch, self.in_channels, self.in_height, self.in_width),
            "weight": (self.out_channels, self.in_channels // self.groups, self.kernel_height, self.kernel_width),
            "output": (self.batch, self.out_channels, self.out_height, self.out_width),
        }

    @property
    def strides(self) -> tuple[int, int]:
        """Return the stride down and across."""
        return (self.stride, self.stride) if isinstance(self.stride, int) else self.stride

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Return the padding above, left, below and right."""
        return (self.padding,) * 4 if isinstance(self.padding, int) else self.padding

    @property
    def out_height(self) -> int:
        """Return P."""
        padded = self.in_height + self.sides[0] + self.sides[2]
        return (padded - self.dilation[0] * (self.kernel_height - 1) - 1) // self.strides[0] + 1

    @property
    def out_width(self) -> int:
        """Return Q."""
        padded = self.in_width + self.sides[1] + self.sides[3]
        return (padded - self.dilation[1] * (self.kernel_width - 1) - 1) // self.strides[1] + 1

    def find_height(self, p: int, r: int) -> int | None:
        """Return the row h = p U + r D - pad of the ifmap, None out of range."""
        h = p * self.strides[0] + r * self.dilation[0] - self.sides[0]
        return h if 0 <= h < self.in_height else None

    def find_width(self, q: int, s: int) -> int | None:
        """Return the column w = q U + s D - pad of the ifmap, None out of range."""
        w = q * self.strides[1] + s * self.dilation[1] - self.sides[1]
        return w if 0 <= w < self.in_width else None

    def find_out_height(self, h: int, r: int) -> int | None:
        """Return the row p of the ofmap with h = p U + r D - pad, None if there is none in range."""
        p, rest = divmod(h + self.sides[0] - r * self.dilation[0], self.strides[0])
        return p if rest == 0 and 0 <= p < self.out_height else None


def time_row(driver: Tensor, list_taps: Callable[[int], list[bool]], machine: Machine) -> int:
    """Return the cycles of a row operation; list_taps says of each in-range tap of an element whether it is live."""
    cycles = machine.row_overhead_cycles
    for place, value in enumerate(driver):
        taps = list_taps(place)
        if not machine.skip_zeros:
            cycles += divide_up(len(taps), machine.multipliers_per_pe)
        elif value != 0:
            cycles += max(machine.empty_issue_cycles, divide_up(sum(taps), machine.multipliers_per_pe))
    return cycles


class ConvWork(Work):
    """Lower one step of a convolution."""

    def __init__(self, layer: Conv, step: str, machine: Machine, operands: Operands) -> None:
        """Deal the tasks; raise ValueError where a result row does not fit the accumulators."""
        super().__init__(step, machine, operands)
        self.layer = layer
        self.name = layer.name
        self.known_cycles: dict[tuple[int, ...], int] = {}
        share_in = layer.in_channels // layer.groups
        share_out = layer.out_channels // layer.groups
        self.kernels = count_kernels_per_pe(
            machine, layer.kernel_height * layer.kernel_width, layer.out_channels * share_in
        )
        words, block = layer.out_width, machine.pes_per_group
        if step == "forward":
            self.blocks = split_blocks(layer.out_channels, layer.groups, block)
            self.task_limits = (layer.batch, layer.out_height, len(self.blocks))
            self.reduction_limits: tuple[int, ...] = (share_in,)
        elif step == "gta":
            words = layer.in_width
            self.blocks = split_blocks(layer.in_channels, layer.groups, block)
            self.task_limits = (layer.batch, layer.in_height, len(self.blocks))
            self.reduction_limits = (share_out,)
        else:
            words = layer.kernel_height * layer.kernel_width
            self.blocks = split_blocks(share_in, 1, block * self.kernels)
            self.task_limits = (layer.out_channels, len(self.blocks))
            self.reduction_limits = (layer.batch, layer.in_height)
        if words > machine.accumulators:
            raise ValueError(
                f"Layer {layer.name} needs {words} accumulators in {step}; a PE has {machine.accumulators}."
            )

    def read(self, tensor: str, *at: int) -> tuple[Row, int]:
        """Return the key and the bytes of a stored row."""
        return (tensor, *at), self.size_stored(tensor, self.operands.take(tensor)[at])

    def list_items(self, index: tuple[int, ...], reduction: tuple[range, ...]) -> list[Item]:
        """Return a task's items in order."""
        if self.step == "gtw":
            return self._list_gtw(index[0], index[1], reduction[0], reduction[1])
        n, row, block = index
        list_rows = self._list_forward if self.step == "forward" else self._list_gta
        return list_rows(n, row, block, reduction[0])

    def _time(self, *at: int) -> int:
        if at not in self.known_cycles:
            timers: dict[str, Callable[..., int]] = {
                "forward": self._time_src,
                "gta": self._time_msrc,
                "gtw": self._time_osrc,
            }
            self.known_cycles[at] = timers[self.step](*at)
        return self.known_cycles[at]

    def _list_forward(self, n: int, p: int, block: int, channels: range) -> list[Item]:
        layer, filters = self.layer, self.blocks[block]
        group = filters[0] // (layer.out_channels // layer.groups)
        items = []
        for local in channels:
            c = group * (layer.in_channels // layer.groups) + local
            for r in range(layer.kernel_height):
                h = layer.find_height(p, r)
                if h is not None:
                    rows = dict([self.read("input", n, c, h), *(self.read("weight", m, local, r) for m in filters)])
                    items.append(Item(rows, tuple(self._time(n, c, h, m, local, r) for m in filters)))
        return items

    def _time_src(self, n: int, c: int, h: int, m: int, local: int, r: int) -> int:
        layer, kernel_row = self.layer, self.operands.take("weight")[m, local, r]

        def list_taps(w: int) -> list[bool]:
            distances = [(s, w + layer.sides[1] - s * layer.dilation[1]) for s in range(layer.kernel_width)]
            places = [(s, *divmod(distance, layer.strides[1])) for s, distance in distances]
            return [self._has_weight(kernel_row[s]) for s, q, rest in places if rest == 0 and 0 <= q < layer.out_width]

        return time_row(self.operands.take("input")[n, c, h], list_taps, self.machine)

    def _has_weight(self, weight: np.generic) -> bool:
        return not self.machine.skip_weights or bool(weight != 0)

    def _list_gta(self, n: int, h: int, block: int, filters: range) -> list[Item]:
        layer, channels = self.layer, self.blocks[block]
        share_in = layer.in_channels // layer.groups
        group = channels[0] // share_in
        items = []
        for m in (group * (layer.out_channels // layer.groups) + local for local in filters):
            for r in range(layer.kernel_height):
                p = layer.find_out_height(h, r)
                if p is not None:
                    weights = (self.read("weight", m, c % share_in, r) for c in channels)
                    rows = dict([self.read("grad_output", n, m, p), *weights])
                    items.append(Item(rows, tuple(self._time(n, m, p, c, h, r) for c in channels)))
        return items

    def _time_msrc(self, n: int, m: int, p: int, c: int, h: int, r: int) -> int:
        layer = self.layer
        kernel_row = self.operands.take("weight")[m, c % (layer.in_channels // layer.groups), r]
        mask_row = None if self.operands.mask is None else self.operands.mask[n, c, h]

        def list_taps(q: int) -> list[bool]:
            places = [(s, layer.find_width(q, s)) for s in range(layer.kernel_width)]
            return [
                self._has_weight(kernel_row[s]) and (mask_row is None or bool(mask_row[w]))
                for s, w in places
                if w is not None
            ]

        return time_row(self.operands.take("grad_output")[n, m, p], list_taps, self.machine)

    def split_runs(self, block: int) -> list[range]:
        """Split a block of GTW into the runs of its PEs."""
        channels = self.blocks[block]
        return [channels[start : start + self.kernels] for start in range(0, len(channels), self.kernels)]

    def _list_gtw(self, m: int, block: int, images: range, heights: range) -> list[Item]:
        layer, runs = self.layer, self.split_runs(block)
        first = m // (layer.out_channels // layer.groups) * (layer.in_channels // layer.groups)
        order = [(n, h, at) for n in images for h in heights for at in range(len(runs[0]))]
        items = []
        for n, h, at in order:
            channels = [first + run[at] if at < len(run) else None for run in runs]
            for r in range(layer.kernel_height):
                p = layer.find_out_height(h, r)
                if p is not None:
                    inputs = (self.read("input", n, c, h) for c in channels if c is not None)
                    rows = dict([self.read("grad_output", n, m, p), *inputs])
                    cycles = tuple(0 if c is None else self._time(n, m, p, c, h) for c in channels)
                    items.append(Item(rows, cycles))
        return items

    def _time_osrc(self, n: int, m: int, p: int, c: int, h: int) -> int:
        layer, input_row = self.layer, self.operands.take("input")[n, c, h]

        def list_taps(q: int) -> list[bool]:
            places = [layer.find_width(q, s) for s in range(layer.kernel_width)]
            return [bool(input_row[w] != 0) for w in places if w is not None]

        return time_row(self.operands.take("grad_output")[n, m, p], list_taps, self.machine)

    def size_mask(self, index: tuple[int, ...]) -> int:
        """Return the bytes of the mask rows of a task."""
        return len(self.blocks[index[2]]) * divide_up(self.layer.in_width, 8) if self.has_mask else 0

    def size_results(self, index: tuple[int, ...]) -> Results:
        """Return what a task hands to its PPU."""
        layer, outputs = self.layer, self.blocks[index[-1]]
        if self.step == "gtw":
            elements = len(outputs) * layer.kernel_height * layer.kernel_width
            row_bytes = divide_up(layer.kernel_width * self.machine.acc_bits, 8)
            size_bytes = len(outputs) * layer.kernel_height * row_bytes
            return Results(elements, size_bytes, size_bytes, read_bytes=0)
        width = layer.out_width if self.step == "forward" else layer.in_width
        n, row = index[:2]
        written = self.operands.take("written")
        read_bytes = self.size_mask(index) if self.masks_in_ppu else 0
        if self.operands.summed is not None:
            read_bytes += sum(self.read("summed", n, at, row)[1] for at in outputs)
        return Results(
            elements=len(outputs) * width,
            partial_bytes=len(outputs) * divide_up(width * self.machine.acc_bits, 8),
            final_bytes=sum(self.size_stored("written", written[n, at, row]) for at in outputs),
            read_bytes=read_bytes,
        )

    def size_raw_results(self, index: tuple[int, ...]) -> int:
        """Return the bytes of a task's results, raw at data_bits."""
        width = self.layer.out_width if self.step == "forward" else self.layer.in_width
        return len(self.blocks[index[-1]]) * divide_up(width * self.machine.data_bits, 8)

    def size_load(self, tile: Tile) -> int:
        """Return the stored bytes of the distinct rows that a tile's items, masks and sums read."""
        rows: dict[Row, int] = {}
        besides = 0
        for index in map(tile.place, tile.tasks):
            for item in self.list_items(index, tile.reduction):
                rows |= item.rows
            besides += self.size_mask(index)
            if self.operands.summed is not None and tile.is_last_part:
                besides += sum(self.read("summed", index[0], at, index[1])[1] for at in self.blocks[index[-1]])
        return sum(rows.values()) + besides

    def size_write_back(self, tile: Tile) -> int:
        """Return the stored bytes of a finished output tile."""
        return sum(self.size_results(tile.place(at)).final_bytes for at in tile.tasks)
