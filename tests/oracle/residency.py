"""Decide which tensors stay in the buffer between a step or pass and the next one, from shapes alone.

Choices where the definition of the machine leaves room:

R1. Pairs of neighbours are asked in the order of execution, the tensors of a pair in the order in which they are read;
    what has been decided before stays decided. A tensor is resident during its writer and its reader alone.
R2. In this decision a step stores everything raw, has an operation wherever its geometry has one, and its PPU masks and
    sums what it does on the machine. A pass moves the raw bytes of what it reads and writes, and always fits.
R3. A tensor that something after its reader needs is written to DRAM all the same; then the reader's loads alone fall.
    It stays only if the bytes of the two fall, so it does not where nothing is omitted.
R4. A tensor that is larger than what is left of the capacity leaves no tiling; between two passes it must fit, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oracle.stepped_lowering import Stay, Work
from oracle.stepped_tiling import choose_tiling


@dataclass(frozen=True)
class Unit:
    """Hold a step or pass: the names and raw bytes of what it reads and writes, and of a step how to lower it raw.

    roles: by what name a step reads each tensor, input, grad_output or summed.
    """

    reads: dict[str, int]
    writes: dict[str, int]
    make_work: Callable[[], Work] | None = None
    roles: dict[str, str] | None = None


@dataclass(frozen=True)
class Resident:
    """Name a tensor that stays from the unit that writes it to the next, and say whether it goes to DRAM too."""

    writer: int
    tensor: str
    is_written: bool


def find_stay(units: Sequence[Unit], number: int, residents: Sequence[Resident]) -> Stay:
    """Say what stays during a unit."""
    unit, roles = units[number], units[number].roles or {}
    read = [one.tensor for one in residents if one.writer == number - 1]
    left = [one for one in residents if one.writer == number]
    sizes = [unit.reads[name] for name in read] + [unit.writes[one.tensor] for one in left]
    names = frozenset(roles.get(name, name) for name in read)
    return Stay(names, any(not one.is_written for one in left), sum(sizes))


def count_bytes(units: Sequence[Unit], number: int, residents: Sequence[Resident], capacity: int) -> int | None:
    """Count the DRAM bytes of a unit beside what stays during it, None if it does not fit."""
    unit, stay = units[number], find_stay(units, number, residents)
    if stay.size_bytes > capacity:
        return None
    if unit.make_work is None:
        kept = {one.tensor for one in residents if one.writer == number and not one.is_written}
        loads = sum(size for name, size in unit.reads.items() if name not in stay.names)
        return loads + sum(size for name, size in unit.writes.items() if name not in kept)
    work = unit.make_work()
    work.stay = stay
    try:
        return choose_tiling(work).dram_bytes
    except ValueError:
        return None


def choose_residents(units: Sequence[Unit], capacity: int) -> list[Resident]:
    """Return the tensors that stay, in the order of execution."""
    residents: list[Resident] = []
    for writer in range(len(units) - 1):
        pair = (writer, writer + 1)
        for tensor in units[writer + 1].reads:
            if tensor not in units[writer].writes:
                continue
            is_written = any(tensor in later.reads for later in units[writer + 2 :])
            asked = [*residents, Resident(writer, tensor, is_written)]
            if loses_bytes(units, pair, (residents, asked), capacity):
                residents = asked
    return residents


def loses_bytes(
    units: Sequence[Unit], pair: tuple[int, int], residents: tuple[list[Resident], list[Resident]], capacity: int
) -> bool:
    """Say whether two units fit beside the second residents and move fewer bytes than beside the first."""
    before, behind = ([count_bytes(units, at, some, capacity) for at in pair] for some in residents)
    sums = [sum(size for size in sizes if size is not None) for sizes in (before, behind)]
    return None not in before and None not in behind and sums[1] < sums[0]
