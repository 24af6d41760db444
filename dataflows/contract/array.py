"""What a dataflow may know of the machine: its PE groups and what a PE does in a cycle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PEArray:
    """PE groups as a dataflow sees them; defaults are those of the machine's definition, assumed throughout.

    accumulators counts words of partial sums in one PE. pack_groups lets the PEs of a group share out several small
    groups of a convolution. With skip_zeros off the machine is dense: it does every in-range multiplication, and
    empty_issue_cycles, skip_weights and skip_empty_rows play no part. With skip_empty_rows a row operation that cannot
    multiply, because one of its rows is empty, is none.
    """

    groups: int = 56
    pes_per_group: int = 3
    multipliers_per_pe: int = 1
    accumulators: int = 256
    min_tasks_per_group: int = 32
    row_overhead_cycles: int = 1
    empty_issue_cycles: int = 1
    skip_zeros: bool = True
    skip_weights: bool = False
    pack_groups: bool = True
    skip_empty_rows: bool = False

    @property
    def passes_empty_rows(self) -> bool:
        """Whether row operations that cannot multiply are none."""
        return self.skip_zeros and self.skip_empty_rows

    @property
    def multipliers(self) -> int:
        """Multipliers of the whole array."""
        return self.groups * self.pes_per_group * self.multipliers_per_pe
