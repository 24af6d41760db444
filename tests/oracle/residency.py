"""Decide which tensors stay in the buffer between a step or pass and the next one, from shapes alone.

Choices where the definition of the machine leaves room:

R1. Pairs of neighbours are asked in the order of execution, the tensors of a pair in the order in which they are
    written; what has been decided before stays decided. A tensor is resident during its writer and its reader alone.
R2. In this decision a step stores everything raw, has an operation wherever its geometry has one, and its PPU masks and
    sums what it does on the machine. A pass moves the raw bytes of what it reads and writes, and always fits.
R3. A tensor that something after its reader needs is written to DRAM all the same; then the reader's loads alone fall.
    It stays only if the bytes of the two fall.
R4. What is resident beside a pass must fit the buffer, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from oracle.stepped_lowering import Work
from oracle.stepped_tiling import choose_tiling


@dataclass(frozen=True, eq=False)
class Unit:
    """Hold a step or pass: the raw bytes of what it reads and writes, and of a step how it is lowered.

    reads: the tensors by the names under which a step reads them: input, grad_output.
    needs: tensors that it takes besides, as masks.
    lower: give what stays, written among it, and the capacity left; None of a pass.
    """

    name: str
    reads: dict[str, str]
    writes: tuple[str, ...]
    needs: frozenset[str] = frozenset()
    lower: Callable[[frozenset[str], int], Work] | None = None


class Resident(NamedTuple):
    """Name a tensor that stays from the unit that writes it to the next, and say whether it goes to DRAM too."""

    writer: int
    tensor: str
    is_written: bool


@dataclass
class Decision:
    """Decide for an iteration's units on a buffer; sizes are the raw bytes of the tensors."""

    units: Sequence[Unit]
    sizes: dict[str, int]
    capacity: int
    residents: list[Resident] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._count = cache(self._count_anew)
        for writer in range(len(self.units) - 1):
            self._decide_pair(writer)

    def _decide_pair(self, writer: int) -> None:
        for tensor in self.units[writer].writes:
            if tensor not in self.units[writer + 1].reads.values():
                continue
            later = self.units[writer + 2 :]
            is_needed = any(tensor in (*unit.reads.values(), *unit.needs) for unit in later)
            asked = [*self.residents, Resident(writer, tensor, is_needed)]
            before, behind = (
                [self.count_bytes(number, some) for number in (writer, writer + 1)] for some in (self.residents, asked)
            )
            sums = [sum(size for size in sizes if size is not None) for sizes in (before, behind)]
            if None not in before and None not in behind and sums[1] < sums[0]:
                self.residents = asked

    def count_bytes(self, number: int, residents: Sequence[Resident]) -> int | None:
        """Count the DRAM bytes of a unit beside what stays during it, None if it does not fit."""
        return self._count(number, frozenset(one for one in residents if one.writer in (number - 1, number)))

    def _count_anew(self, number: int, residents: frozenset[Resident]) -> int | None:
        unit = self.units[number]
        left = self.capacity - sum(self.sizes[one.tensor] for one in residents)
        found = {one.tensor for one in residents if one.writer == number - 1}
        unwritten = {one.tensor for one in residents if one.writer == number and not one.is_written}
        if left < 0:
            return None
        if unit.lower is None:
            moved = [tensor for tensor in unit.reads.values() if tensor not in found]
            return sum(self.sizes[one] for one in (*moved, *unit.writes) if one not in unwritten)
        kept = {role for role, tensor in unit.reads.items() if tensor in found} | ({"written"} if unwritten else set())
        if left == 0:
            return None
        try:
            return choose_tiling(unit.lower(frozenset(kept), left)).dram_bytes
        except ValueError:
            return None

    def describe(self) -> dict[str, str]:
        """Say of each unit what it finds and leaves in the buffer; what goes to DRAM as well stands in brackets."""
        words: dict[str, list[str]] = {unit.name: [] for unit in self.units}
        for one in self.residents:
            words[self.units[one.writer].name].append("(output)" if one.is_written else "output")
            reader = self.units[one.writer + 1]
            words[reader.name] += [role for role, tensor in reader.reads.items() if tensor == one.tensor]
        return {name: "+".join(parts) for name, parts in words.items() if parts}
