"""Lower one (layer, step) to tasks, items and bursts, one row operation at a time.

Choices where the definition of the machine leaves room:

L1. A cut reduction is a range of c within the convolution's group (Forward), of m within it (GTA), of n and of h (GTW).
L2. An item exists if at least one PE has a row operation in it; out-of-range rows make none. A PE with an output but
    without a row operation in an item (GTW, short run) has 0 cycles in it and nothing is fetched for it.
L3. The tuple of PE cycles names the PEs with an output: min(B, outputs), for GTW the PEs with at least one kernel.
L4. Segments: J = ceil(b / half) segments of ceil(b / J) bytes, the last one the rest. half = operand_store_bytes // 2.
L5. Mask rows are ceil(W / 8) bytes each, without a pointer; they do not count when a burst is filled. A task without
    bursts fetches no mask. A task of a cut reduction fetches its mask for every part.
L6. Fully connected, Forward and GTA: a task is a single item, the driver row and the weight row of each PE that works.
    Where the mask is not set, the PE has 0 cycles and its weights are not fetched; if no PE works there is no item. The
    mask of a task is ceil(outputs / 8) bytes.
L7. Fully connected, GTW: one item an image, and none where dO[n,m] = 0 (so nothing is fetched either). It fetches
    dO[n,m] as a row of width 1 and for each PE the piece I[n, its block] as a row of that width, not the whole rows.
L8. GTA's weight rows are kernel rows as in Forward; fully connected GTA reads rows of width M, the transpose.
L9. The PPU reads partial rows at acc_bits in all parts but the first, and in the last part only the mask that PEs do
    not know (the dense machine's, or ppu_mask) and gradients to be summed. It takes ceil(X / elements_per_cycle) in
    every part.
L10. A forward output is written in the sparse format if a ReLU follows directly, else raw; grad_input is always
    written in the sparse format (which may be raw). Biases are not fetched.

Choices of a machine that leaves out row operations which cannot multiply:

E1. Of a fully connected layer the driver row is the piece that a PE reads element by element: in a cut reduction the
    part of it that the tile has, in GTW the PE's block of the input. Each piece is empty or not on its own.
E2. A PE without an operation in an item has 0 cycles in it; in a burst that it has no operation in it starts and ends
    as one whose operations take 0 cycles does (T9).
E3. The mask rows of a task are fetched with its first burst for all its PEs, those without an operation too.
E4. Tiles are loaded and their buffers sized as if every row operation were executed: what is left out is not fetched
    into the stores, but values do not matter to what the DMA loads.
E5. One bit a row is stored with every tensor that is stored in the sparse format, whatever format that turns out to be
    (input, grad_output, gradients to be summed, grad_input, an output that a ReLU follows), and with the mask rows that
    the PEs of a convolution know. A tile's load or write-back moves the bits of the rows that it moves, of a row that
    it moves in part too, rounded up to a byte once a tensor. The sequencer keeps them: they take no room in the buffer,
    tilings are chosen without them, and neither bursts nor the PPU's transfers hold any.

Choices where tensors stay in the buffer from one step to the next (`kept` and `raw` of the operands):

R1. A tile loads no row, and no bit of a row, of a tensor that is there; it writes nothing back of a result that stays
    and is not needed later. Everything else is as it was: bursts, PPU transfers, the output tile that is counted.
R2. A tensor that lies there raw is fetched raw.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle.stepped_records import Machine, TimedTask, divide_up
from oracle.stepped_storage import choose_format, size_row

Row = tuple[str | int, ...]
Tensor = NDArray[Any]


@dataclass(frozen=True)
class Item:
    """Hold one item: the distinct rows it reads with their bytes, the cycles of each PE and the rows it works on."""

    rows: dict[Row, int]
    pe_cycles: tuple[int, ...]
    pe_rows: tuple[frozenset[Row], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Operation:
    """Hold the row operation of a PE: the rows it reads with their bytes, and its cycles, None if it is left out."""

    rows: dict[Row, int]
    cycles: int | None


def gather_item(operations: Sequence[Operation | None]) -> Item | None:
    """Return the item of the operations of each PE, None where a PE has none in it; None if no PE executes any."""
    executed = [one if one is not None and one.cycles is not None else None for one in operations]
    rows: dict[Row, int] = {}
    for one in executed:
        rows |= {} if one is None else one.rows
    if not any(executed):
        return None
    cycles = tuple(one.cycles or 0 if one else 0 for one in executed)
    return Item(rows, cycles, tuple(frozenset(one.rows if one else ()) for one in executed))


@dataclass(frozen=True)
class Results:
    """Hold what a task hands to the PPU: X and the bytes of its partial and final rows and of what it reads besides."""

    elements: int
    partial_bytes: int
    final_bytes: int
    read_bytes: int


@dataclass(frozen=True)
class Tile:
    """Hold the ranges of a tile: of the task indices in the table's order, and of the reduction."""

    indices: tuple[range, ...]
    reduction: tuple[range, ...]
    is_first_part: bool
    is_last_part: bool

    @property
    def tasks(self) -> Iterator[tuple[int, ...]]:
        """Run through the task indices, the last fastest."""
        return (tuple(index) for index in np.ndindex(*map(len, self.indices)))

    def place(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Return the task index at a position within the tile."""
        return tuple(span[position] for span, position in zip(self.indices, index, strict=True))


@dataclass(frozen=True)
class Operands:
    """Hold a step's tensors; those that the step does not read may be None."""

    input: Tensor | None = None
    weight: Tensor | None = None
    grad_output: Tensor | None = None
    mask: Tensor | None = None
    written: Tensor | None = None
    summed: Tensor | None = None
    ppu_mask: Tensor | None = None
    is_weight_pruned: bool = False
    is_written_compressed: bool = False
    kept: frozenset[str] = frozenset()
    raw: frozenset[str] = frozenset()

    def take(self, name: str) -> Tensor:
        """Return a tensor that the step reads and refuse its absence."""
        tensor: Tensor | None = getattr(self, name)
        if tensor is None:
            raise ValueError(f"The step reads the tensor {name}, which was not given.")
        return tensor

    def find_formats(self, machine: Machine) -> dict[str, str]:
        """Return the row format of each tensor that is there."""
        sparse = {"input": True, "grad_output": True, "summed": True}
        sparse |= {"weight": self.is_weight_pruned, "written": self.is_written_compressed}
        sparse |= dict.fromkeys(self.raw, False)
        present = {name: tensor for name in sparse if (tensor := getattr(self, name)) is not None}
        return {name: choose_format(tensor, machine) if sparse[name] else "raw" for name, tensor in present.items()}

    def stays(self, name: str) -> bool:
        """Say whether a tensor stays in the buffer, by its name or the first part of a row's key."""
        return any(name.startswith(kept) for kept in self.kept)

    def has_occupancy(self, name: str) -> bool:
        """Say whether a bit for each row is moved with a tensor."""
        if self.stays(name):
            return False
        if name == "mask":
            return self.mask is not None
        return name.startswith(("input", "grad_output", "summed")) or (name == "written" and self.is_written_compressed)


def split_blocks(outputs: int, groups: int, block: int) -> list[range]:
    """Split the outputs into blocks of consecutive ones that do not cross the groups of a convolution."""
    share = outputs // groups
    return [
        range(start, min(start + block, (group + 1) * share))
        for group in range(groups)
        for start in range(group * share, (group + 1) * share, block)
    ]


def count_kernels_per_pe(machine: Machine, kernel_elements: int, kernels: int) -> int:
    """Return how many kernels a PE works in a GTW task; kernels is M C / G."""
    fitting = machine.accumulators // kernel_elements
    sharing = kernels // (machine.pes_per_group * machine.groups * machine.min_tasks_per_group)
    return max(1, min(fitting, sharing))


def gather_items(items: Sequence[Item], half: int | None) -> list[list[Item]]:
    """Gather items into runs that fit a half, or hold one item that is larger."""
    gathered: list[list[Item]] = []
    for item in items:
        if not gathered or (half is not None and size_distinct_rows([*gathered[-1], item]) > half):
            gathered.append([])
        gathered[-1].append(item)
    return gathered


def plan_bursts(
    items: Sequence[Item], machine: Machine, mask_bytes: int = 0
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Gather items into bursts of (bytes, cycles of each PE)."""
    half = machine.half_store_bytes
    bursts: list[tuple[int, tuple[int, ...]]] = []
    for run in gather_items(items, half):
        size_bytes = size_distinct_rows(run)
        if half is not None and size_bytes > half:
            bursts.extend(split_segments(run[0], half))
            continue
        cycles = zip(*(item.pe_cycles for item in run), strict=True)
        bursts.append((size_bytes, tuple(sum(pe) for pe in cycles)))
    if bursts:
        bursts[0] = (bursts[0][0] + mask_bytes, bursts[0][1])
    return tuple(bursts)


def name_drivers(items: Sequence[Item], machine: Machine, tensor: str) -> tuple[tuple[int, Hashable], ...]:
    """Return for each burst of the items the bytes of its rows of the driver tensor, and which bytes of which they are.

    The bytes of an item in segments are those of its driver rows and then all others.
    """
    half = machine.half_store_bytes
    drivers: list[tuple[int, Hashable]] = []
    for run in gather_items(items, half):
        rows = {row: size for item in run for row, size in item.rows.items() if row[0] == tensor}
        size_bytes = size_distinct_rows(run)
        segment_bytes = size_bytes if half is None else divide_up(size_bytes, divide_up(size_bytes, half))
        for start in range(0, size_bytes, segment_bytes):
            part = range(sum(rows.values()))[start : start + segment_bytes]
            drivers.append((len(part), (frozenset(rows), part)))
    return tuple(drivers)


def count_words(items: Sequence[Item], machine: Machine, mask_bytes: int = 0) -> int:
    """Count the words that stores take in: of each row of a burst once for each PE that works on it anywhere in it."""
    sizes = []
    for gathered in gather_items(items, machine.half_store_bytes):
        taken = {(row, pe) for item in gathered for pe, rows in enumerate(item.pe_rows) for row in rows}
        size = {row: size_bytes for item in gathered for row, size_bytes in item.rows.items()}
        sizes += [size[row] for row, _ in taken]
    if items:
        sizes.append(mask_bytes)
    return sum(divide_up(8 * size_bytes, machine.data_bits) for size_bytes in sizes)


def size_distinct_rows(items: Sequence[Item]) -> int:
    """Return the bytes of the rows that the items read, each row once."""
    rows: dict[Row, int] = {}
    for item in items:
        rows |= item.rows
    return sum(rows.values())


def split_segments(item: Item, half: int) -> list[tuple[int, tuple[int, ...]]]:
    """Split an item larger than a half into equal segments, the last of them short."""
    size_bytes = size_distinct_rows([item])
    segments = divide_up(size_bytes, half)
    segment_bytes = divide_up(size_bytes, segments)
    return [
        (
            min(segment_bytes, size_bytes - number * segment_bytes),
            tuple(pe * (number + 1) // segments - pe * number // segments for pe in item.pe_cycles),
        )
        for number in range(segments)
    ]


class Work:
    """Give a (layer, step) in the terms that tiling and timing need; Conv and Linear work derive from it."""

    def __init__(self, step: str, machine: Machine, operands: Operands) -> None:
        """Keep the step's operands and find their formats."""
        if step not in ("forward", "gta", "gtw"):
            raise ValueError(f"step is {step!r}; allowed are forward, gta and gtw.")
        self.step = step
        self.machine = machine
        self.operands = operands
        self.formats = operands.find_formats(machine)
        self.known_voids: dict[tuple[int, ...], bool] = {}

    name: str
    driver: str
    task_limits: tuple[int, ...]
    reduction_limits: tuple[int, ...]

    def list_operations(
        self, index: tuple[int, ...], reduction: tuple[range, ...]
    ) -> Iterator[tuple[Operation | None, ...]]:
        """Run through the row operations of each PE at one set of loop indices after the other."""
        raise NotImplementedError

    def list_items(self, index: tuple[int, ...], reduction: tuple[range, ...]) -> list[Item]:
        """Return a task's items in order."""
        items = (gather_item(operations) for operations in self.list_operations(index, reduction))
        return [item for item in items if item is not None]

    def find_driver_part(self, index: tuple[int, ...]) -> Hashable:
        """Say what the keys of rows leave open of what a task reads of its driver rows."""
        raise NotImplementedError

    def size_mask(self, index: tuple[int, ...]) -> int:
        """Return the bytes of the mask rows of a task."""
        raise NotImplementedError

    def size_results(self, index: tuple[int, ...]) -> Results:
        """Return what a task hands to its PPU."""
        raise NotImplementedError

    def size_load(self, tile: Tile) -> int:
        """Return the stored bytes of the operands that a tile needs."""
        raise NotImplementedError

    def size_write_back(self, tile: Tile) -> int:
        """Return the stored bytes of a finished output tile."""
        raise NotImplementedError

    @property
    def has_mask(self) -> bool:
        """Say whether a mask holds for this step."""
        return self.operands.mask is not None or self.operands.ppu_mask is not None

    @property
    def is_always_wide(self) -> bool:
        """Say whether results are words of acc_bits even where no reduction is cut: gradients to weights."""
        return self.step == "gtw"

    @property
    def masks_in_ppu(self) -> bool:
        """Say whether the PPU reads the mask, which its PEs do not know."""
        return not self.machine.skip_zeros or self.operands.mask is None

    def size_stored(self, tensor: str, row: Tensor) -> int:
        """Return the bytes of a row, or a piece of one, in its tensor's format."""
        return size_row(row, self.formats[tensor], self.machine.data_bits)

    def list_moved(self, tile: Tile) -> tuple[list[Row], list[Row]]:
        """List the rows of all tensors that a tile loads and those that it writes back, a row that is cut once."""
        raise NotImplementedError

    def size_bits(self, tile: Tile) -> tuple[int, int]:
        """Return the bytes of the bits, one a row, that a tile loads and writes back beside the rows."""
        if not self.machine.leaves_rows_out:
            return 0, 0
        loaded, written = (
            [row[0] for row in rows if self.operands.has_occupancy(str(row[0]))] for rows in self.list_moved(tile)
        )
        load_bytes = sum(divide_up(loaded.count(name), 8) for name in set(loaded))
        return load_bytes, divide_up(len(written), 8) if tile.is_last_part else 0

    def size_output_tile(self, tile: Tile, is_cut: bool) -> int:
        """Return the raw bytes of a tile's outputs."""
        partial_bytes = sum(self.size_results(tile.place(at)).partial_bytes for at in tile.tasks)
        if is_cut or self.is_always_wide:
            return partial_bytes
        return sum(self.size_raw_results(tile.place(at)) for at in tile.tasks)

    def size_raw_results(self, index: tuple[int, ...]) -> int:
        """Return the bytes of a task's results, raw at data_bits."""
        raise NotImplementedError

    def is_void(self, index: tuple[int, ...]) -> bool:
        """Say whether a task's results must be zero: no row operation in any part of its reduction, nothing to add."""
        if self.step == "forward" or self.operands.summed is not None:
            return False
        if index not in self.known_voids:
            self.known_voids[index] = not self.list_items(index, tuple(map(range, self.reduction_limits)))
        return self.known_voids[index]

    def time_task(self, index: tuple[int, ...], tile: Tile) -> TimedTask:
        """Return a task of a tile as the timing takes it."""
        if self.is_void(index):
            return TimedTask((), ppu_read_bytes=0, elements=0, write_bytes=0)
        results = self.size_results(index)
        mask_bytes = 0 if self.masks_in_ppu else self.size_mask(index)
        read_bytes = 0 if tile.is_first_part else results.partial_bytes
        if tile.is_last_part:
            read_bytes += results.read_bytes
        items, drivers = self.list_items(index, tile.reduction), ()
        if self.machine.multicast > 1:
            part, named = self.find_driver_part(index), name_drivers(items, self.machine, self.driver)
            drivers = tuple((size, (part, rows)) for size, rows in named)
        return TimedTask(
            plan_bursts(items, self.machine, mask_bytes),
            ppu_read_bytes=read_bytes,
            elements=results.elements,
            write_bytes=results.final_bytes if tile.is_last_part else results.partial_bytes,
            drivers=drivers,
            store_words=self.count_words(items, mask_bytes),
        )

    def count_words(self, items: Sequence[Item], mask_bytes: int) -> int:
        """Count the words that the stores of a task take in."""
        return count_words(items, self.machine, mask_bytes)
