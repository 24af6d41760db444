"""Define the records that the cycle-stepped model takes and gives back."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Machine:
    """Describe the machine; None means unlimited (or instant) for the fields that allow it."""

    groups: int = 56
    pes_per_group: int = 3
    multipliers_per_pe: int = 1
    accumulators: int = 256
    min_tasks_per_group: int = 8
    row_overhead_cycles: int = 1
    empty_issue_cycles: int = 1
    skip_zeros: bool = True
    skip_weights: bool = False
    pack_groups: bool = False
    skip_empty_rows: bool = False
    capacity_bytes: int | None = 395264
    ports: int | None = 32
    bytes_per_port_cycle: int | None = 16
    operand_store_bytes: int | None = 2048
    prefetch_next_task: bool = True
    multicast: int = 1
    dram_bytes_per_cycle: int | None = 32
    dram_latency_cycles: int = 100
    elements_per_cycle: int | None = 1
    data_bits: int = 16
    acc_bits: int = 32
    sparse_format: str = "auto"

    def __post_init__(self) -> None:
        """Refuse a size below its least value."""
        may_be_zero = {"row_overhead_cycles", "empty_issue_cycles", "dram_latency_cycles"}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and not isinstance(value, bool):
                least = 0 if field.name in may_be_zero else 1
                if value < least:
                    raise ValueError(f"Machine field {field.name} is {value}; it must be at least {least}.")
        if self.sparse_format not in ("auto", "raw", "offset", "bitmask"):
            raise ValueError(f"sparse_format is {self.sparse_format!r}; allowed are auto, raw, offset and bitmask.")

    @property
    def leaves_rows_out(self) -> bool:
        """Say whether row operations that cannot multiply are left out; the dense machine executes all."""
        return self.skip_zeros and self.skip_empty_rows

    @property
    def half_store_bytes(self) -> int | None:
        """Return the bytes of half an operand store; None is unlimited."""
        return None if self.operand_store_bytes is None else self.operand_store_bytes // 2


@dataclass(frozen=True)
class TimedTask:
    """Hold what the timing needs of a task; each burst is (bytes, cycles of each PE that has an output).

    Where groups may share reads, `drivers` names for each burst (bytes of its driver rows, which bytes these are).
    """

    bursts: tuple[tuple[int, tuple[int, ...]], ...]
    ppu_read_bytes: int
    elements: int
    write_bytes: int
    drivers: tuple[tuple[int, Hashable], ...] = ()
    store_words: int = 0

    def __post_init__(self) -> None:
        """Refuse negative sizes and bursts that name different numbers of PEs."""
        sizes = [self.ppu_read_bytes, self.elements, self.write_bytes]
        sizes += [size for size, _ in self.bursts] + [cycles for _, pes in self.bursts for cycles in pes]
        if min(sizes) < 0:
            raise ValueError(f"A task holds the negative size {min(sizes)}; every size must be at least 0.")
        pe_counts = {len(pes) for _, pes in self.bursts}
        if len(pe_counts) > 1:
            raise ValueError(f"The bursts of a task name {sorted(pe_counts)} PEs; every burst must name the same.")
        if self.drivers and len(self.drivers) != len(self.bursts):
            raise ValueError(f"A task names driver rows of {len(self.drivers)} bursts; it has {len(self.bursts)}.")

    @property
    def passes_ppu(self) -> bool:
        """Say whether it hands anything to the PPU; a task that does not is over when it has ended."""
        return bool(self.bursts or self.ppu_read_bytes or self.elements or self.write_bytes)


@dataclass(frozen=True)
class TimedTile:
    """Hold a tile's tasks, in the order of dispatch, and the bytes of its two DRAM transfers."""

    tasks: tuple[TimedTask, ...]
    load_bytes: int
    write_back_bytes: int


@dataclass(frozen=True)
class StepTimes:
    """Report a step; for each group the five lists sum to `cycles`."""

    cycles: int
    busy: tuple[int, ...]
    wait_ppu: tuple[int, ...]
    wait_dram: tuple[int, ...]
    wait_operands: tuple[int, ...]
    idle: tuple[int, ...]
    ports_busy: int
    dram_busy: int
    ppu_busy: int
    dram_read_bytes: int
    dram_write_bytes: int
    buffer_read_bytes: int
    buffer_write_bytes: int
    tiles: int
    shared_bytes: int = 0
    store_words: int = 0
    tiling: str = ""


def divide_up(dividend: int, divisor: int | None) -> int:
    """Return the quotient rounded up; 0 for a divisor of None, an unlimited rate."""
    return 0 if divisor is None else -(-dividend // divisor)
