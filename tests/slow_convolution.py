"""Convolutions of any geometry lowered one multiplication at a time: strips, runs of kernel rows, packed groups.

The rules are those of DEFINITION.md, read literally; with the dataflow only the tensor that is written is shared.
Tilings, bursts and void tasks are those of the cycle-stepped model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from oracle.stepped_lowering import Item, Operands, Results, Row, Tile, Work
from oracle.stepped_records import Machine, divide_up
from slow_dealing import Dealing, Task

from dataflows.contract.problem import StepProblem
from dataflows.storage.written import find_written
from workloads.shapes import ConvShape, Step


@dataclass(frozen=True)
class Operation:
    """One row operation: what it reads, and the live taps of each driver element that it issues.

    is_executed: false of one that cannot multiply, on a machine that leaves such out.
    """

    driver: Row
    second: Row
    elements: tuple[int, ...]
    taps: tuple[int, ...]
    is_executed: bool


class SlowWork(Work):
    """Lower one step of a convolution."""

    def __init__(self, problem: StepProblem, machine: Machine) -> None:
        """Take a step and the machine that it runs on, without limits of memory where none is modelled."""
        self.shape: ConvShape = problem.conv_shape
        operands, self.array = problem.operands, problem.array
        self.which = problem.step
        gta = self.which is Step.GTA
        written = None if self.which is Step.GTW else find_written(operands, self.which)
        self.summed = operands.summed if gta else ()
        super().__init__(
            self.which.value,
            machine,
            Operands(
                operands.input, operands.weight, operands.grad_output, operands.mask if gta else None, written,
                is_written_compressed=gta or operands.relu_follows,
            ),
        )  # fmt: skip
        self.summed_formats = [Operands(summed=one).find_formats(machine)["summed"] for one in self.summed]
        self.name = operands.layer
        self.tasks = Dealing(self.shape, self.array, self.which).list_tasks()
        self.task_limits = tuple(last + 1 for last in max(self.tasks))
        self.reduction_limits = self.list_reductions()

    @property
    def width(self) -> int:
        """Give the width of a result row."""
        return self.shape.out_width if self.which is Step.FORWARD else self.shape.in_width

    def list_reductions(self) -> tuple[int, ...]:
        """Give the limits of what is reduced over."""
        s = self.shape
        if self.which is Step.GTW:
            return s.batch, s.in_height
        return (s.group_in_channels if self.which is Step.FORWARD else s.group_out_channels,)

    def is_cut(self) -> bool:
        """Tell whether result rows are cut into strips."""
        return self.which is not Step.GTW and self.width > self.array.accumulators

    def find_window(self, columns: range) -> list[int]:
        """List the driver elements that a row operation on some columns reads."""
        s = self.shape
        U, left, reach = s.stride_width, s.pad_left, (s.kernel_width - 1) * s.dilation_width
        width = s.in_width if self.which is Step.FORWARD else s.out_width
        if not self.is_cut():
            return list(range(width))
        a, b = columns[0], columns[-1]
        if self.which is Step.FORWARD:
            return [w for w in range(width) if a * U - left <= w <= b * U - left + reach]
        return [q for q in range(width) if q * U - left <= b and q * U - left + reach >= a]

    def find_row(self, h: int, r: int) -> int | None:
        """Give the p with h = p U + r D - top."""
        s = self.shape
        for p in range(s.out_height):
            if p * s.stride_height + r * s.dilation_height - s.pad_top == h:
                return p
        return None

    def find_column(self, q: int, tap: int) -> int | None:
        """Give the input column that an output column meets through a tap, None out of range."""
        s = self.shape
        w = q * s.stride_width + tap * s.dilation_width - s.pad_left
        return w if 0 <= w < s.in_width else None

    def charge(
        self, elements: list[int], taps: dict[int, list[bool]], row: Row, second: Row, *, is_reached: bool = True
    ) -> Operation:
        """Make an operation; taps: whether each in-range tap of an element is live.

        is_reached: whether the mask of its columns, or the second operand of OSRC, holds anything.
        """
        values = self.operands.take(str(row[0]))[tuple(row[1:])]
        skips = self.machine.skip_zeros
        issued = [at for at in elements if (values[at] != 0 if skips else True)]
        counts = [sum(taps.get(at, [])) if skips else len(taps.get(at, [])) for at in issued]
        has_product = is_reached and any(values[at] != 0 for at in elements)
        return Operation(row, second, tuple(issued), tuple(counts), has_product or not self.machine.leaves_rows_out)

    def count_cycles(self, operation: Operation) -> int:
        """Give the cycles of a row operation."""
        floor = self.machine.empty_issue_cycles if self.machine.skip_zeros else 0
        issued = [max(floor, divide_up(live, self.machine.multipliers_per_pe)) for live in operation.taps]
        return self.machine.row_overhead_cycles + sum(issued)

    def list_row_operations(
        self, place: tuple[int, ...], reduction: tuple[range, ...]
    ) -> Iterator[tuple[tuple[int, ...], int, Operation]]:
        """List the row operations of a task: loop indices of their item, PE, operation."""
        task = self.tasks[place]
        for pe, owned in enumerate(task.pes):
            if self.which is Step.FORWARD:
                yield from self.list_forward(place, task, pe, owned[0], reduction[0])
            elif self.which is Step.GTA:
                yield from self.list_gta(place, task, pe, owned[0], reduction[0])
            else:
                for local, (m, c) in enumerate(owned):
                    yield from self.list_gtw(task, pe, (local, m, c), reduction)

    def is_weight_live(self, *place: int) -> bool:
        """Tell whether a weight is no reason to skip a tap."""
        return not self.machine.skip_weights or bool(self.operands.take("weight")[place] != 0)

    def list_forward(
        self, place: tuple[int, ...], task: Task, pe: int, output: tuple[int, int], channels: range
    ) -> Iterator[tuple[tuple[int, ...], int, Operation]]:
        """List the SRC operations of a PE."""
        s, (g, one) = self.shape, output
        m = g * s.group_out_channels + one
        for c in channels:
            for r in range(s.kernel_height):
                h = place[1] * s.stride_height + r * s.dilation_height - s.pad_top
                if not 0 <= h < s.in_height:
                    continue
                taps: dict[int, list[bool]] = {}
                for q in task.columns:
                    for tap in range(s.kernel_width):
                        w = self.find_column(q, tap)
                        if w is not None:
                            taps.setdefault(w, []).append(self.is_weight_live(m, c, r, tap))
                row = ("input", place[0], g * s.group_in_channels + c, h)
                yield (c, r), pe, self.charge(self.find_window(task.columns), taps, row, ("weight", m, c, r))

    def list_gta(
        self, place: tuple[int, ...], task: Task, pe: int, output: tuple[int, int], filters: range
    ) -> Iterator[tuple[tuple[int, ...], int, Operation]]:
        """List the MSRC operations of a PE."""
        s, (g, c), (n, h) = self.shape, output, place[:2]
        for local in filters:
            m = g * s.group_out_channels + local
            for r in range(s.kernel_height):
                p = self.find_row(h, r)
                if p is None:
                    continue
                taps: dict[int, list[bool]] = {}
                mask = self.operands.mask
                kept = [w for w in task.columns if mask is None or mask[n, g * s.group_in_channels + c, h, w]]
                for q in range(s.out_width):
                    for tap in range(s.kernel_width):
                        w = self.find_column(q, tap)
                        if w is not None and w in task.columns:
                            taps.setdefault(q, []).append(w in kept and self.is_weight_live(m, c, r, tap))
                row, window = ("grad_output", n, m, p), self.find_window(task.columns)
                yield (local, r), pe, self.charge(window, taps, row, ("weight", m, c, r), is_reached=bool(kept))

    def list_gtw(
        self, task: Task, pe: int, kernel: tuple[int, int, int], reduction: tuple[range, ...]
    ) -> Iterator[tuple[tuple[int, ...], int, Operation]]:
        """List the OSRC operations of one kernel of a PE."""
        s, (local, m, c) = self.shape, kernel
        channel = m // s.group_out_channels * s.group_in_channels + c
        for n in reduction[0]:
            for h in reduction[1]:
                for r in task.kernel_rows:
                    p = self.find_row(h, r)
                    if p is None:
                        continue
                    taps: dict[int, list[bool]] = {}
                    for q in range(s.out_width):
                        for tap in range(s.kernel_width):
                            w = self.find_column(q, tap)
                            if w is not None:
                                present = bool(self.operands.take("input")[n, channel, h, w] != 0)
                                taps.setdefault(q, []).append(present)
                    row, second = ("grad_output", n, m, p), ("input", n, channel, h)
                    is_reached = bool(self.operands.take("input")[n, channel, h].any())
                    operation = self.charge(list(range(s.out_width)), taps, row, second, is_reached=is_reached)
                    yield (n, h, local, r), pe, operation

    def size_row(self, row: Row, columns: range) -> int:
        """Give what a task fetches of a row: of a raw driver row that is cut the window, else all of it."""
        tensor = str(row[0])
        values = self.operands.take(tensor)[tuple(row[1:])]
        is_driver = tensor == ("input" if self.which is Step.FORWARD else "grad_output")
        if self.is_cut() and is_driver and self.formats[tensor] == "raw":
            return divide_up(len(self.find_window(columns)) * self.machine.data_bits, 8)
        return self.size_stored(tensor, values)

    def list_items(self, index: tuple[int, ...], reduction: tuple[range, ...]) -> list[Item]:
        """Return a task's items in order: the rows and cycles of all PEs at one set of loop indices."""
        task = self.tasks[index]
        items: dict[tuple[int, ...], tuple[dict[Row, int], list[int], list[set[Row]]]] = {}
        for key, pe, operation in self.list_row_operations(index, reduction):
            if not operation.is_executed:
                continue
            rows, cycles, worked = items.setdefault(key, ({}, [0] * len(task.pes), [set() for _ in task.pes]))
            for row in (operation.driver, operation.second):
                rows[row] = self.size_row(row, task.columns)
                worked[pe].add(row)
            cycles[pe] += self.count_cycles(operation)
        return [
            Item(rows, tuple(cycles), tuple(map(frozenset, worked)))
            for _, (rows, cycles, worked) in sorted(items.items(), key=lambda item: item[0])
        ]

    def size_mask(self, index: tuple[int, ...]) -> int:
        """Return the bytes of the mask rows of a task."""
        task = self.tasks[index]
        return len(task.pes) * divide_up(len(task.columns), 8) if self.has_mask else 0

    def size_summed(self, index: tuple[int, ...]) -> int:
        """Return the bytes of the gradients that a task's PPU adds: of raw rows its columns, else whole rows."""
        task, total = self.tasks[index], 0
        for tensor, form in zip(self.summed, self.summed_formats, strict=True):
            for ((g, c),) in task.pes:
                row = tensor[index[0], g * self.shape.group_in_channels + c, index[1]]
                total += self.size_part(row, form, set(task.columns))
        return total

    def size_part(self, row: object, form: str, places: set[int]) -> int:
        """Return the bytes of some elements of a row that may be cut."""
        if self.is_cut() and form == "raw":
            return divide_up(len(places) * self.machine.data_bits, 8)
        self.formats["any"] = form
        return self.size_stored("any", row)  # type: ignore[arg-type]

    def size_results(self, index: tuple[int, ...]) -> Results:
        """Return what a task hands to its PPU."""
        task, s = self.tasks[index], self.shape
        outputs = sum(len(pe) for pe in task.pes)
        if self.which is Step.GTW:
            size_bytes = outputs * len(task.kernel_rows) * divide_up(s.kernel_width * self.machine.acc_bits, 8)
            return Results(outputs * len(task.kernel_rows) * s.kernel_width, size_bytes, size_bytes, read_bytes=0)
        final, share = 0, s.group_out_channels if self.which is Step.FORWARD else s.group_in_channels
        for ((g, one),) in task.pes:
            row = self.operands.take("written")[index[0], g * share + one, index[1]]
            whole = self.size_stored("written", row)
            if not self.is_cut():
                final += whole
            elif self.formats["written"] == "raw":
                final += divide_up(len(task.columns) * self.machine.data_bits, 8)
            else:
                a, b = task.columns[0], task.columns[-1] + 1
                final += divide_up(whole * b, self.width) - divide_up(whole * a, self.width)
        return Results(
            elements=outputs * len(task.columns),
            partial_bytes=outputs * divide_up(len(task.columns) * self.machine.acc_bits, 8),
            final_bytes=final,
            read_bytes=(self.size_mask(index) if self.masks_in_ppu else 0) + self.size_summed(index),
        )

    def size_raw_results(self, index: tuple[int, ...]) -> int:
        """Return the bytes of a task's results, raw at data_bits."""
        task = self.tasks[index]
        return len(task.pes) * divide_up(len(task.columns) * self.machine.data_bits, 8)

    def is_void(self, index: tuple[int, ...]) -> bool:
        """Say whether a task's results must be zero."""
        return not self.summed and super().is_void(index)

    def size_load(self, tile: Tile) -> int:
        """Return the bytes of what a tile's tasks read: rows once, of raw ones that are cut each element once."""
        whole: dict[Row, int] = {}
        elements: dict[tuple[Row, str], set[int]] = {}
        besides = 0
        for index in map(tile.place, tile.tasks):
            task, is_late = self.tasks[index], not self.machine.skip_zeros or self.operands.mask is None
            is_masked = is_late and bool(self.summed_formats)
            for _, _, operation in self.list_row_operations(index, tile.reduction):
                is_masked = True
                whole[operation.second] = self.size_row(operation.second, task.columns)
                form = self.formats[str(operation.driver[0])]
                elements.setdefault((operation.driver, form), set()).update(self.find_window(task.columns))
            besides += self.size_mask(index) if is_masked else 0
            if tile.is_last_part:
                for number, form in enumerate(self.summed_formats):
                    for ((g, c),) in task.pes:
                        row = (f"summed {number}", index[0], g * self.shape.group_in_channels + c, index[1])
                        elements.setdefault((row, form), set()).update(task.columns)
        for (row, form), places in elements.items():
            name = str(row[0])
            tensor = self.summed[int(name[-1])] if name.startswith("summed") else self.operands.take(name)
            besides += self.size_part(tensor[tuple(row[1:])], form, places)
        return sum(whole.values()) + besides

    def size_write_back(self, tile: Tile) -> int:
        """Return the stored bytes of a finished output tile."""
        return sum(self.size_results(tile.place(at)).final_bytes for at in tile.tasks)

    def list_moved(self, tile: Tile) -> tuple[list[Row], list[Row]]:
        """List the rows of all tensors that a tile loads and those that it writes back, a row that is cut once."""
        loaded, written = set[Row](), set[Row]()
        for index in map(tile.place, tile.tasks):
            operations = [operation for _, _, operation in self.list_row_operations(index, tile.reduction)]
            loaded |= {row for operation in operations for row in (operation.driver, operation.second)}
            if self.which is Step.GTW:
                continue
            results = {(*index[:2], *output) for (output,) in self.tasks[index].pes}
            written |= {("written", *place) for place in results}
            loaded |= {("mask", *place) for place in results if operations}
            if tile.is_last_part:
                loaded |= {(f"summed {number}", *place) for number in range(len(self.summed)) for place in results}
        return list(loaded), list(written)


def describe_machine(problem: StepProblem) -> Machine:
    """Give the machine of a step to the cycle-stepped model."""
    known = {field.name for field in dataclasses.fields(Machine)} - {"pack_groups"}
    array = {name: value for name, value in dataclasses.asdict(problem.array).items() if name in known}
    if problem.memory is None:
        return Machine(**array, capacity_bytes=None, operand_store_bytes=None)
    share = problem.memory
    form = "auto" if share.sparse_format is None else share.sparse_format.value
    return Machine(
        **array, capacity_bytes=share.capacity_bytes, operand_store_bytes=share.operand_store_bytes,
        data_bits=share.data_bits, acc_bits=share.acc_bits, sparse_format=form,
    )  # fmt: skip
