"""Lower the steps of a fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from oracle.stepped_lowering import Item, Operands, Results, Row, Tile, Work, count_kernels_per_pe, split_blocks
from oracle.stepped_records import Machine, divide_up


@dataclass(frozen=True)
class Linear:
    """Describe a fully connected layer and the batch it works on."""

    name: str
    batch: int
    in_features: int
    out_features: int

    @property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of input, weight and output."""
        return {
            "input": (self.batch, self.in_features),
            "weight": (self.out_features, self.in_features),
            "output": (self.batch, self.out_features),
        }


class LinearWork(Work):
    """Lower one step of a fully connected layer."""

    def __init__(self, layer: Linear, step: str, machine: Machine, operands: Operands) -> None:
        """Deal the tasks."""
        super().__init__(step, machine, operands)
        self.layer = layer
        self.name = layer.name
        self.kernels = count_kernels_per_pe(machine, 1, layer.out_features * layer.in_features)
        if step == "forward":
            self.blocks = split_blocks(layer.out_features, 1, machine.pes_per_group)
            self.reduction_limits: tuple[int, ...] = (layer.in_features,)
        elif step == "gta":
            self.blocks = split_blocks(layer.in_features, 1, machine.pes_per_group)
            self.reduction_limits = (layer.out_features,)
        else:
            self.blocks = split_blocks(layer.in_features, 1, machine.pes_per_group * self.kernels)
            self.reduction_limits = (layer.batch,)
        self.task_limits = (layer.out_features if step == "gtw" else layer.batch, len(self.blocks))

    def read(self, tensor: str, at: int, piece: range) -> tuple[Row, int]:
        """Return the key and the bytes of a piece of a row of width C or M."""
        values = self.operands.take(tensor)
        row = values[:, at] if tensor == "weight" and self.step == "gta" else values[at]
        return (tensor, at, piece.start, piece.stop), self.size_stored(tensor, row[piece.start : piece.stop])

    def time_piece(self, tensor: str, at: int, piece: range) -> int:
        """Return the cycles of a PE for a piece of a driver row."""
        row = self.operands.take(tensor)[at, piece.start : piece.stop]
        products = int(np.count_nonzero(row)) if self.machine.skip_zeros else len(row)
        return self.machine.row_overhead_cycles + divide_up(products, self.machine.multipliers_per_pe)

    def list_items(self, index: tuple[int, ...], reduction: tuple[range, ...]) -> list[Item]:
        """Return a task's items in order."""
        if self.step == "gtw":
            return [item for n in reduction[0] for item in self._list_gtw(n, *index)]
        n, outputs, piece = index[0], self.blocks[index[1]], reduction[0]
        driver = "input" if self.step == "forward" else "grad_output"
        is_working = [self._has_operation(n, output) for output in outputs]
        if not any(is_working):
            return []
        working = [output for output, works in zip(outputs, is_working, strict=True) if works]
        rows = dict([self.read(driver, n, piece), *(self.read("weight", output, piece) for output in working)])
        cycles = self.time_piece(driver, n, piece)
        return [Item(rows, tuple(cycles if works else 0 for works in is_working))]

    def _has_operation(self, n: int, output: int) -> bool:
        mask = self.operands.mask
        if self.step == "forward" or mask is None or not self.machine.skip_zeros:
            return True
        return bool(mask[n, output])

    def split_runs(self, block: int) -> list[range]:
        """Split a block of GTW into the runs of its PEs."""
        inputs = self.blocks[block]
        return [inputs[start : start + self.kernels] for start in range(0, len(inputs), self.kernels)]

    def _list_gtw(self, n: int, m: int, block: int) -> list[Item]:
        if self.machine.skip_zeros and self.operands.take("grad_output")[n, m] == 0:
            return []
        runs = self.split_runs(block)
        rows = dict([self.read("grad_output", n, range(m, m + 1)), *(self.read("input", n, run) for run in runs)])
        return [Item(rows, tuple(self.time_piece("input", n, run) for run in runs))]

    def size_mask(self, index: tuple[int, ...]) -> int:
        """Return the bytes of the mask of a task."""
        return divide_up(len(self.blocks[index[1]]), 8) if self.has_mask else 0

    def size_results(self, index: tuple[int, ...]) -> Results:
        """Return what a task hands to its PPU; outputs are raw in the buffer."""
        outputs = len(self.blocks[index[1]])
        partial_bytes = divide_up(outputs * self.machine.acc_bits, 8)
        if self.step == "gtw":
            return Results(outputs, partial_bytes, partial_bytes, read_bytes=0)
        raw_bytes = self.size_raw_results(index)
        read_bytes = self.size_mask(index) if self.masks_in_ppu else 0
        read_bytes += 0 if self.operands.summed is None else raw_bytes
        return Results(outputs, partial_bytes, raw_bytes, read_bytes)

    def size_raw_results(self, index: tuple[int, ...]) -> int:
        """Return the bytes of a task's results, raw at data_bits."""
        return divide_up(len(self.blocks[index[1]]) * self.machine.data_bits, 8)

    def _span(self, tile: Tile) -> range:
        return range(self.blocks[tile.indices[1][0]].start, self.blocks[tile.indices[1][-1]].stop)

    def size_load(self, tile: Tile) -> int:
        """Return the stored bytes of a tile's operands, whatever their values: pieces of rows, each once."""
        outputs, piece = self._span(tile), tile.reduction[0]
        if self.step == "gtw":
            filters = tile.indices[0]
            pieces = [self.read("grad_output", n, filters) for n in piece]
            return sum(size for _, size in pieces + [self.read("input", n, outputs) for n in piece])
        driver = "input" if self.step == "forward" else "grad_output"
        pieces = [self.read(driver, n, piece) for n in tile.indices[0]]
        pieces += [self.read("weight", output, piece) for output in outputs]
        if self.operands.summed is not None and tile.is_last_part:
            pieces += [self.read("summed", n, outputs) for n in tile.indices[0]]
        mask_bytes = len(tile.indices[0]) * divide_up(len(outputs), 8) if self.has_mask else 0
        return sum(size for _, size in pieces) + mask_bytes

    def size_write_back(self, tile: Tile) -> int:
        """Return the stored bytes of a finished output tile, compressed on its way to DRAM."""
        if self.step == "gtw":
            return sum(self.size_results(tile.place(at)).final_bytes for at in tile.tasks)
        return sum(self.read("written", n, self._span(tile))[1] for n in tile.indices[0])
