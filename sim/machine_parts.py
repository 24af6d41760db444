"""What a machine is built of, as far as energy and area go."""

from __future__ import annotations

from dataclasses import dataclass, fields

# What a machine has only where a field of its array is on.
SWITCHES = {"index_logic": "skip_zeros", "pruning": "skip_zeros", "sequencer": "skip_empty_rows"}

# Up to so many words a PE's partial sums are registers, more are a memory.
REGISTER_WORDS = 16


@dataclass(frozen=True, slots=True)
class MachineParts:
    """What a machine is built of, as far as energy and area go.

    The buffer has `ports` banks of buffer_bytes / ports bytes. An operand store is two arrays of half its bytes and of
    one word's width, for one half is filled while the other is read. Accumulators of more words than registers are a
    memory of as many banks as multipliers. Buffer, stores and accumulators have the same cell type.

    Attributes:
        dram_kind: Names the energy of a bit.
        dram_timing: Names the kind of DRAM with banks, whose commands have energy; empty for a constant channel.
    """

    groups: int
    pes_per_group: int
    multipliers_per_pe: int
    accumulators: int
    operand_store_bytes: int
    buffer_bytes: int
    ports: int
    bytes_per_port_cycle: int
    ppu_elements_per_cycle: int
    data_bits: int
    acc_bits: int
    cell: str
    dram_kind: str
    number_format: str
    skip_zeros: bool
    skip_empty_rows: bool = False
    dram_timing: str = ""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, str | bool) and value < 1:
                raise ValueError(f"{item.name} must be at least 1, got {value}")

    def sizes(self) -> dict[str, int]:
        """Return the sizes that a technology table's compositions may name."""
        return {
            "pes_per_group": self.pes_per_group,
            "acc_bits": self.acc_bits,
            "data_bits": self.data_bits,
            "accumulators": self.accumulators,
            "multipliers_per_pe": self.multipliers_per_pe,
            "port_bits": 8 * self.bytes_per_port_cycle,
        }

    @property
    def accumulator_bank_words(self) -> int:
        """The words of a bank of accumulators; 0 where they are registers."""
        if self.accumulators <= REGISTER_WORDS:
            return 0
        return -(-self.accumulators // self.multipliers_per_pe)

    def has(self, component: str) -> bool:
        """Tell whether the machine has units of a component, as far as its switches say."""
        if component == "sequencer":
            return self.skip_zeros and self.skip_empty_rows
        return self.skip_zeros or component not in SWITCHES

    def units(self) -> dict[str, int]:
        """Return how many units of each on-chip component the machine has, none of them zero."""
        pes = self.groups * self.pes_per_group
        units = {
            "multiplier": pes * self.multipliers_per_pe,
            "accumulator": pes,
            "operand_store": 2 * self.groups,
            "index_logic": pes * self.multipliers_per_pe,
            "sequencer": self.groups,
            "ppu": self.groups * self.ppu_elements_per_cycle,
            "pruning": self.groups * self.ppu_elements_per_cycle,
            "buffer": self.ports,
            "noc": self.groups,
        }
        return {name: count for name, count in units.items() if self.has(name)}
