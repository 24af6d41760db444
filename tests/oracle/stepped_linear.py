"""Lower the steps of a fully connected layer, or of a product of two activations.

A product is a fully connected layer for each place in the batch, its second factor in the layout of a weight (M, C).
Choices where the definition of the machine leaves room, beside those of `stepped_lowering`:

M1. A place in the batch is the first index of tasks and tiles; a tile may hold several places.
M2. The gradient to the second factor is stored as the tasks write it: a row of width C for each (place, m), like a
    fully connected layer's outputs raw in the buffer, compressed on its way to DRAM.
M3. Its mask and gradients to be summed are read by the PPU with the last part: ceil(outputs / 8) bytes and the raw
    outputs. A task without products and without gradients to be summed reads no mask.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from oracle.stepped_lowering import (
    Operands,
    Operation,
    Results,
    Row,
    Tile,
    Work,
    count_kernels_per_pe,
    split_blocks,
)
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


@dataclass(frozen=True)
class Product(Linear):
    """Describe a product of two activations; `batch` counts the images of each of its places."""

    places: int

    @property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of input, weight and output, the place in the batch first."""
        return {name: (self.places, *shape) for name, shape in super().tensor_shapes.items()}


class LinearWork(Work):
    """Lower one step of a fully connected layer or a product."""

    def __init__(self, layer: Linear, step: str, machine: Machine, operands: Operands) -> None:
        """Deal the tasks."""
        super().__init__(step, machine, operands)
        self.layer = layer
        self.name = layer.name
        self.driver = "input" if step == "forward" else "grad_output"
        self.lead = (layer.places,) if isinstance(layer, Product) else ()
        kernels = layer.out_features * layer.in_features * math.prod(self.lead)
        self.kernels = count_kernels_per_pe(machine, 1, kernels)
        if step == "forward":
            self.blocks = split_blocks(layer.out_features, 1, machine.pes_per_group)
            self.reduction_limits: tuple[int, ...] = (layer.in_features,)
        elif step == "gta":
            self.blocks = split_blocks(layer.in_features, 1, machine.pes_per_group)
            self.reduction_limits = (layer.out_features,)
        else:
            self.blocks = split_blocks(layer.in_features, 1, machine.pes_per_group * self.kernels)
            self.reduction_limits = (layer.batch,)
        self.task_limits = (*self.lead, layer.out_features if step == "gtw" else layer.batch, len(self.blocks))

    @property
    def is_always_wide(self) -> bool:
        """Say whether results are words of acc_bits even where no reduction is cut: gradients to weights."""
        return super().is_always_wide and not self.lead

    def read(self, lead: tuple[int, ...], tensor: str, at: int, piece: range) -> tuple[Row, int]:
        """Return the key and the bytes of a piece of a row of width C or M, at a place of a product's batch."""
        values = self.operands.take(tensor)[lead]
        row = values[:, at] if tensor == "weight" and self.step == "gta" else values[at]
        return (tensor, at, piece.start, piece.stop), self.size_stored(tensor, row[piece.start : piece.stop])

    def time_piece(self, lead: tuple[int, ...], tensor: str, at: int, piece: range) -> int | None:
        """Return the cycles of a PE for a piece of a driver row, None where it is left out."""
        row = self.operands.take(tensor)[lead][at, piece.start : piece.stop]
        if self.machine.leaves_rows_out and not np.any(row):
            return None
        products = int(np.count_nonzero(row)) if self.machine.skip_zeros else len(row)
        return self.machine.row_overhead_cycles + divide_up(products, self.machine.multipliers_per_pe)

    def list_operations(
        self, index: tuple[int, ...], reduction: tuple[range, ...]
    ) -> Iterator[tuple[Operation | None, ...]]:
        """Run through the products of each PE, one image after the other."""
        if self.step == "gtw":
            yield from (operations for n in reduction[0] for operations in self._list_gtw(n, index))
            return
        lead, n, outputs, piece = index[:-2], index[-2], self.blocks[index[-1]], reduction[0]
        driver = "input" if self.step == "forward" else "grad_output"
        cycles = self.time_piece(lead, driver, n, piece)
        yield tuple(
            Operation(dict([self.read(lead, driver, n, piece), self.read(lead, "weight", output, piece)]), cycles)
            if self._has_operation(lead, n, output)
            else None
            for output in outputs
        )

    def _has_operation(self, lead: tuple[int, ...], n: int, output: int) -> bool:
        mask = self.operands.mask
        if self.step == "forward" or mask is None or not self.machine.skip_zeros:
            return True
        return bool(mask[lead][n, output])

    def split_runs(self, block: int) -> list[range]:
        """Split a block of GTW into the runs of its PEs."""
        inputs = self.blocks[block]
        return [inputs[start : start + self.kernels] for start in range(0, len(inputs), self.kernels)]

    def _list_gtw(self, n: int, index: tuple[int, ...]) -> Iterator[tuple[Operation | None, ...]]:
        lead, m = index[:-2], index[-2]
        if self.machine.skip_zeros and self.operands.take("grad_output")[lead][n, m] == 0:
            return
        gradient = self.read(lead, "grad_output", n, range(m, m + 1))
        yield tuple(
            Operation(dict([gradient, self.read(lead, "input", n, run)]), self.time_piece(lead, "input", n, run))
            for run in self.split_runs(index[-1])
        )

    def find_driver_part(self, index: tuple[int, ...]) -> Hashable:
        """Say what the keys of rows leave open of what a task reads of its driver rows: a product's place."""
        return index[:-2]

    def size_mask(self, index: tuple[int, ...]) -> int:
        """Return the bytes of the mask of a task."""
        return divide_up(len(self.blocks[index[-1]]), 8) if self.has_mask else 0

    def size_results(self, index: tuple[int, ...]) -> Results:
        """Return what a task hands to its PPU; outputs are raw in the buffer."""
        outputs = len(self.blocks[index[-1]])
        partial_bytes = divide_up(outputs * self.machine.acc_bits, 8)
        if self.is_always_wide:
            return Results(outputs, partial_bytes, partial_bytes, read_bytes=0)
        raw_bytes = self.size_raw_results(index)
        read_bytes = self.size_mask(index) if self.masks_in_ppu else 0
        read_bytes += 0 if self.operands.summed is None else raw_bytes
        return Results(outputs, partial_bytes, raw_bytes, read_bytes)

    def size_raw_results(self, index: tuple[int, ...]) -> int:
        """Return the bytes of a task's results, raw at data_bits."""
        return divide_up(len(self.blocks[index[-1]]) * self.machine.data_bits, 8)

    def _span(self, tile: Tile) -> range:
        return range(self.blocks[tile.indices[-1][0]].start, self.blocks[tile.indices[-1][-1]].stop)

    def _list_leads(self, tile: Tile) -> list[tuple[int, ...]]:
        return [(z,) for z in tile.indices[0]] if self.lead else [()]

    def _list_loaded(self, tile: Tile) -> list[tuple[Row, int]]:
        """List the pieces of rows that a tile loads, with their bytes, whatever their values, each once."""
        outputs, piece, places = self._span(tile), tile.reduction[0], tile.indices[-2]
        driver = "input" if self.step == "forward" else "grad_output"
        pieces = []
        for lead in self._list_leads(tile):
            if self.step == "gtw":
                pieces += [self.read(lead, "grad_output", n, places) for n in piece]
                pieces += [self.read(lead, "input", n, outputs) for n in piece]
            else:
                pieces += [self.read(lead, driver, n, piece) for n in places]
                pieces += [self.read(lead, "weight", output, piece) for output in outputs]
            if self.operands.summed is not None and tile.is_last_part:
                pieces += [self.read(lead, "summed", at, outputs) for at in places]
        return pieces

    def size_load(self, tile: Tile) -> int:
        """Return the stored bytes of a tile's operands."""
        mask_rows = len(self._list_leads(tile)) * len(tile.indices[-2]) if self.has_mask else 0
        mask_bytes = mask_rows * divide_up(len(self._span(tile)), 8)
        pieces = [size for row, size in self._list_loaded(tile) if not self.operands.stays(str(row[0]))]
        return sum(pieces) + mask_bytes

    def _list_written(self, tile: Tile) -> list[tuple[Row, int]]:
        """List the pieces of rows that a tile writes back as activations or their gradients, with their bytes."""
        span, leads = self._span(tile), self._list_leads(tile)
        return [self.read(lead, "written", at, span) for lead in leads for at in tile.indices[-2]]

    def size_write_back(self, tile: Tile) -> int:
        """Return the stored bytes of a finished output tile, activations compressed on their way to DRAM."""
        if self.operands.stays("written"):
            return 0
        if self.is_always_wide:
            return sum(self.size_results(tile.place(at)).final_bytes for at in tile.tasks)
        return sum(size for _, size in self._list_written(tile))

    def list_moved(self, tile: Tile) -> tuple[list[Row], list[Row]]:
        """List the pieces of rows that a tile loads and writes back; of a mask, element by element, none."""
        written = [] if self.is_always_wide else [row for row, _ in self._list_written(tile)]
        return [row for row, _ in self._list_loaded(tile)], written
