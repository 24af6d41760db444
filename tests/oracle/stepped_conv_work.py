"""Lower the steps of a convolution or a transposed one, one row operation at a time.

Choices where the definition of the machine leaves room, beside those of `stepped_lowering`:

G1. A strip is an index of tasks and tiles only where rows are cut, a run only where kernels are.
G2. A tile that holds several strips loads of a raw driver row the elements of their windows, each once, and none that
    stands between two windows; of a compressed row all. That holds even where a tile has all strips of a row.
G3. A stored gradient to be summed is read as a driver row is: of a raw row the strip's own columns, of a compressed row
    all; a tile loads it once.
G4. The b bytes of a row written in strips hold its pointer. Raw rows are written as the raw bytes of the strip.
G5. Mask rows of a strip are ceil(its columns / 8) bytes each, in bursts, PPU and tile loads alike.
G6. An item of packed groups holds the driver rows of those groups alone that have an output in the block.
G7. Which rows are cut follows from the accumulators alone, also on the dense machine.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import NamedTuple

import numpy as np
from oracle.stepped_conv import Conv, time_row
from oracle.stepped_lowering import (
    Operands,
    Operation,
    Results,
    Row,
    Tensor,
    Tile,
    Work,
    count_kernels_per_pe,
    split_blocks,
)
from oracle.stepped_records import Machine, divide_up


class Place(NamedTuple):
    """Say what a task's index stands for.

    outer: (n, row of the result), in GTW the filter's place within its group alone. outputs: channels of the block.
    cut: the columns of a strip, in GTW the kernel rows of a run.
    """

    outer: tuple[int, ...]
    outputs: range
    cut: range


def split_evenly(width: int, most: int) -> list[range]:
    """Split a width into as few runs of at most so many as there must be, all as long but the last."""
    length = divide_up(width, divide_up(width, most))
    return [range(start, min(start + length, width)) for start in range(0, width, length)]


class ConvWork(Work):
    """Lower one step of a convolution; `walk` is the step of K that is walked."""

    def __init__(self, layer: Conv, step: str, machine: Machine, operands: Operands) -> None:
        """Deal the tasks; raise ValueError where a kernel row does not fit the accumulators."""
        super().__init__(step, machine, operands)
        self.layer = layer
        self.name = layer.name
        self.walk = layer.find_walk(step)
        self.ifmap, self.ofmap = ("grad_output", "input") if layer.is_transposed else ("input", "grad_output")
        self.driver = self.ifmap if self.walk == "forward" else self.ofmap
        self.known_cycles: dict[tuple[int | range, ...], int | None] = {}
        self.share_in = layer.in_channels // layer.groups
        self.share_out = layer.out_channels // layer.groups
        self.kernels = 1
        if self.walk == "gtw":
            self._deal_kernels()
        else:
            self._deal_rows()

    def is_packed(self, share: int) -> bool:
        """Say whether blocks hold several groups, each with this share of the outputs."""
        return self.machine.pack_groups and self.layer.groups > 1 and 2 * share <= self.machine.pes_per_group

    def _split_blocks(self, share: int) -> list[range]:
        block, outputs = self.machine.pes_per_group, share * self.layer.groups
        if self.is_packed(share):
            return split_blocks(outputs, 1, block // share * share)
        return split_blocks(outputs, self.layer.groups, block)

    def _deal_rows(self) -> None:
        layer, is_forward = self.layer, self.walk == "forward"
        self.width = layer.out_width if is_forward else layer.in_width
        self.cuts = split_evenly(self.width, self.machine.accumulators)
        self.blocks = self._split_blocks(self.share_out if is_forward else self.share_in)
        strips = (len(self.cuts),) if len(self.cuts) > 1 else ()
        height = layer.out_height if is_forward else layer.in_height
        self.task_limits = (layer.batch, height, *strips, len(self.blocks))
        self.reduction_limits = (self.share_in if is_forward else self.share_out,)

    def _deal_kernels(self) -> None:
        layer, machine = self.layer, self.machine
        kernel_elements = layer.kernel_height * layer.kernel_width
        if layer.kernel_width > machine.accumulators:
            raise ValueError(
                f"Layer {layer.name} needs {layer.kernel_width} accumulators in {self.step}; a PE has "
                f"{machine.accumulators}."
            )
        self.cuts = [range(layer.kernel_height)]
        if kernel_elements > machine.accumulators:
            self.cuts = split_evenly(layer.kernel_height, machine.accumulators // layer.kernel_width)
        runs = (len(self.cuts),) if len(self.cuts) > 1 else ()
        if self.is_packed(self.share_in):
            self.blocks = self._split_blocks(self.share_in)
            self.task_limits = (len(self.blocks), self.share_out, *runs)
        else:
            self.kernels = count_kernels_per_pe(machine, kernel_elements, layer.out_channels * self.share_in)
            self.blocks = split_blocks(self.share_in, 1, machine.pes_per_group * self.kernels)
            self.task_limits = (layer.out_channels, len(self.blocks), *runs)
        self.reduction_limits = (layer.batch, layer.in_height)

    def find_place(self, index: tuple[int, ...]) -> Place:
        """Say what a task's index stands for."""
        if self.walk != "gtw":
            cut = self.cuts[index[2] if len(self.cuts) > 1 else 0]
            return Place(index[:2], self.blocks[index[-1]], cut)
        cut = self.cuts[index[2] if len(self.cuts) > 1 else 0]
        if self.is_packed(self.share_in):
            return Place((index[1],), self.blocks[index[0]], cut)
        group, local = divmod(index[0], self.share_out)
        block = self.blocks[index[1]]
        first = group * self.share_in
        return Place((local,), range(first + block.start, first + block.stop), cut)

    def read(self, tensor: str, *at: int) -> tuple[Row, int]:
        """Return the key and the bytes of a stored row."""
        return (tensor, *at), self.size_stored(tensor, self.operands.take(tensor)[at])

    def read_part(self, tensor: str, part: Collection[int], *at: int) -> tuple[Row, int]:
        """Return the key of a row and the bytes that hold a part of it: of a compressed row, or an uncut one, all."""
        key, size_bytes = self.read(tensor, *at)
        if len(self.cuts) == 1 or self.formats[tensor] != "raw":
            return key, size_bytes
        return key, divide_up(len(part) * self.machine.data_bits, 8)

    def find_window(self, cut: range) -> range:
        """Return the elements of a driver row that a run of columns reads."""
        layer, is_forward = self.layer, self.walk == "forward"
        if len(self.cuts) == 1:
            return range(layer.in_width if is_forward else layer.out_width)
        return layer.find_in_window(cut) if is_forward else layer.find_out_window(cut)

    def find_driver_part(self, index: tuple[int, ...]) -> Hashable:
        """Say what the keys of rows leave open of what a task reads of its driver rows: the window, if that is less."""
        is_part = self.walk != "gtw" and len(self.cuts) > 1 and self.formats[self.driver] == "raw"
        return self.find_window(self.find_place(index).cut) if is_part else None

    def list_operations(
        self, index: tuple[int, ...], reduction: tuple[range, ...]
    ) -> Iterator[tuple[Operation | None, ...]]:
        """Run through the row operations of each PE at one set of loop indices after the other."""
        place = self.find_place(index)
        if self.walk == "gtw":
            return self._list_gtw(place, *reduction)
        return (self._list_forward if self.walk == "forward" else self._list_gta)(place, reduction[0])

    def is_none(self, driver: Tensor, other: Tensor | None) -> bool:
        """Say whether the elements of a driver row that are read, or those of a second row, rule multiplications out.

        other: the mask of the operation's own columns or the second operand of OSRC, None where there is neither.
        """
        if not self.machine.leaves_rows_out:
            return False
        return not np.any(driver) or (other is not None and not np.any(other))

    def _list_forward(self, place: Place, channels: range) -> Iterator[tuple[Operation | None, ...]]:
        (n, p), window = place.outer, self.find_window(place.cut)
        for local in channels:
            for r in range(self.layer.kernel_height):
                h = self.layer.find_height(p, r)
                if h is not None:
                    drivers = {m: m // self.share_out * self.share_in + local for m in place.outputs}
                    yield tuple(
                        Operation(
                            dict([self.read_part(self.ifmap, window, n, c, h), self.read("weight", m, local, r)]),
                            self._time_src((n, c, h), (m, local, r), p, place.cut),
                        )
                        for m, c in drivers.items()
                    )

    def _time_src(self, at: tuple[int, ...], kernel: tuple[int, ...], p: int, cut: range) -> int | None:
        key = (*at, *kernel, p, cut)
        if key not in self.known_cycles:
            layer, kernel_row = self.layer, self.operands.take("weight")[kernel]
            mask = self.operands.mask

            def list_taps(w: int) -> list[bool]:
                places = [(s, *divmod(w - layer.meet(1, 0, s), layer.strides[1])) for s in range(layer.kernel_width)]
                return [
                    self._has_weight(kernel_row[s]) and (mask is None or bool(mask[at[0], kernel[0], p, q]))
                    for s, q, rest in places
                    if rest == 0 and q in cut
                ]

            driver, window = self.operands.take(self.ifmap)[at], self.find_window(cut)
            own_mask = None if mask is None else mask[at[0], kernel[0], p, cut.start : cut.stop]
            is_none = self.is_none(driver[window.start : window.stop], own_mask)
            self.known_cycles[key] = None if is_none else time_row(driver, window, list_taps, self.machine)
        return self.known_cycles[key]

    def _has_weight(self, weight: np.generic) -> bool:
        return not self.machine.skip_weights or bool(weight != 0)

    def _list_gta(self, place: Place, filters: range) -> Iterator[tuple[Operation | None, ...]]:
        (n, h), window = place.outer, self.find_window(place.cut)
        for local in filters:
            for r in range(self.layer.kernel_height):
                p = self.layer.find_out_height(h, r)
                if p is not None:
                    drivers = {c: c // self.share_in * self.share_out + local for c in place.outputs}
                    yield tuple(
                        Operation(
                            dict(
                                [
                                    self.read_part(self.ofmap, window, n, m, p),
                                    self.read("weight", m, c % self.share_in, r),
                                ]
                            ),
                            self._time_msrc((n, m, p), c, h, r, place.cut),
                        )
                        for c, m in drivers.items()
                    )

    def _time_msrc(self, at: tuple[int, ...], c: int, h: int, r: int, cut: range) -> int | None:
        key = (*at, c, h, r, cut)
        if key not in self.known_cycles:
            layer, mask = self.layer, self.operands.mask
            kernel_row = self.operands.take("weight")[at[1], c % self.share_in, r]

            def list_taps(q: int) -> list[bool]:
                places = [(s, layer.meet(1, q, s)) for s in range(layer.kernel_width)]
                return [
                    self._has_weight(kernel_row[s]) and (mask is None or bool(mask[at[0], c, h, w]))
                    for s, w in places
                    if w in cut
                ]

            driver, window = self.operands.take(self.ofmap)[at], self.find_window(cut)
            own_mask = None if mask is None else mask[at[0], c, h, cut.start : cut.stop]
            is_none = self.is_none(driver[window.start : window.stop], own_mask)
            self.known_cycles[key] = None if is_none else time_row(driver, window, list_taps, self.machine)
        return self.known_cycles[key]

    def split_runs(self, outputs: range) -> list[range]:
        """Split the channels of a block of GTW into the runs of its PEs."""
        return [outputs[start : start + self.kernels] for start in range(0, len(outputs), self.kernels)]

    def _list_gtw(self, place: Place, images: range, heights: range) -> Iterator[tuple[Operation | None, ...]]:
        runs = self.split_runs(place.outputs)
        order = [(n, h, at) for n in images for h in heights for at in range(len(runs[0]))]
        for n, h, at in order:
            channels = [run[at] if at < len(run) else None for run in runs]
            drivers = {c: c // self.share_in * self.share_out + place.outer[0] for c in channels if c is not None}
            for r in place.cut:
                p = self.layer.find_out_height(h, r)
                if p is not None:
                    yield tuple(
                        None
                        if c is None
                        else Operation(
                            dict([self.read(self.ofmap, n, drivers[c], p), self.read(self.ifmap, n, c, h)]),
                            self._time_osrc((n, drivers[c], p), c, h),
                        )
                        for c in channels
                    )

    def _time_osrc(self, at: tuple[int, ...], c: int, h: int) -> int | None:
        key = (*at, c, h)
        if key not in self.known_cycles:
            layer, second = self.layer, self.operands.take(self.ifmap)[at[0], c, h]

            def list_taps(q: int) -> list[bool]:
                places = [layer.meet(1, q, s) for s in range(layer.kernel_width)]
                return [bool(second[w] != 0) for w in places if 0 <= w < layer.in_width]

            driver, width = self.operands.take(self.ofmap)[at], range(layer.out_width)
            is_none = self.is_none(driver, second)
            self.known_cycles[key] = None if is_none else time_row(driver, width, list_taps, self.machine)
        return self.known_cycles[key]

    def size_mask(self, index: tuple[int, ...]) -> int:
        """Return the bytes of the mask rows of a task."""
        place = self.find_place(index)
        return len(place.outputs) * divide_up(len(place.cut), 8) if self.has_mask else 0

    def size_results(self, index: tuple[int, ...]) -> Results:
        """Return what a task hands to its PPU."""
        layer, machine, place = self.layer, self.machine, self.find_place(index)
        if self.walk == "gtw":
            rows = len(place.outputs) * len(place.cut)
            size_bytes = rows * divide_up(layer.kernel_width * machine.acc_bits, 8)
            return Results(rows * layer.kernel_width, size_bytes, size_bytes, read_bytes=0)
        n, row = place.outer
        read_bytes = self.size_mask(index) if self.masks_in_ppu else 0
        if self.operands.summed is not None:
            read_bytes += sum(self.read_part("summed", place.cut, n, at, row)[1] for at in place.outputs)
        return Results(
            elements=len(place.outputs) * len(place.cut),
            partial_bytes=len(place.outputs) * divide_up(len(place.cut) * machine.acc_bits, 8),
            final_bytes=sum(self._size_written(place.cut, n, at, row) for at in place.outputs),
            read_bytes=read_bytes,
        )

    def _size_written(self, cut: range, *at: int) -> int:
        size_bytes = self.read("written", *at)[1]
        if self.formats["written"] == "raw":
            return self.read_part("written", cut, *at)[1]
        return divide_up(size_bytes * cut.stop, self.width) - divide_up(size_bytes * cut.start, self.width)

    def size_raw_results(self, index: tuple[int, ...]) -> int:
        """Return the bytes of a task's results, raw at data_bits."""
        place = self.find_place(index)
        return len(place.outputs) * divide_up(len(place.cut) * self.machine.data_bits, 8)

    def size_load(self, tile: Tile) -> int:
        """Return the stored bytes of the distinct rows that a tile's operations, masks and sums read."""
        rows: dict[Row, int] = {}
        mask_bytes = 0
        for index in map(tile.place, tile.tasks):
            is_late = not self.machine.skip_zeros or self.operands.ppu_mask is not None
            is_masked = is_late and self.operands.summed is not None
            for operations in self.list_operations(index, tile.reduction):
                is_masked = True
                for operation in operations:
                    rows |= {} if operation is None else operation.rows
            mask_bytes += self.size_mask(index) if is_masked else 0
            if self.operands.summed is not None and tile.is_last_part:
                place = self.find_place(index)
                rows |= dict(self.read("summed", place.outer[0], at, place.outer[1]) for at in place.outputs)
        rows = {row: size for row, size in rows.items() if not self.operands.stays(str(row[0]))}
        if self.walk != "gtw" and len(self.cuts) > 1:
            strips = [self.cuts[at] for at in tile.indices[2]]
            parts = {
                self.ifmap if self.walk == "forward" else self.ofmap: {
                    x for one in strips for x in self.find_window(one)
                },
                "summed": {x for one in strips for x in one},
            }
            for key in rows:
                if key[0] in parts:
                    rows[key] = self.read_part(str(key[0]), parts[str(key[0])], *map(int, key[1:]))[1]
        return sum(rows.values()) + mask_bytes

    def size_write_back(self, tile: Tile) -> int:
        """Return the stored bytes of a finished output tile."""
        if self.operands.stays("written"):
            return 0
        return sum(self.size_results(tile.place(at)).final_bytes for at in tile.tasks)

    def list_moved(self, tile: Tile) -> tuple[list[Row], list[Row]]:
        """List the rows of all tensors that a tile loads and those that it writes back, a row that is cut once."""
        loaded: set[Row] = set()
        results: set[tuple[int, ...]] = set()
        for index in map(tile.place, tile.tasks):
            place, operations = self.find_place(index), list(self.list_operations(index, tile.reduction))
            loaded |= {row for item in operations for one in item if one is not None for row in one.rows}
            results |= {(*place.outer, at) for at in place.outputs}
            loaded |= {("mask", *place.outer, at) for at in place.outputs if self.has_mask and operations}
        if self.walk == "gtw":
            return list(loaded), []
        if self.operands.summed is not None and tile.is_last_part:
            loaded |= {("summed", *at) for at in results}
        return list(loaded), [("written", *at) for at in results]
