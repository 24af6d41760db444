"""The results of a run: one record per layer, step and machine.

Every column of ``steps.csv`` and ``actions.csv`` is declared here once, with its unit and its meaning; what may stand
in it follows from its type and its unit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sim.energy import COMPONENT_OF_ACTION, ActionCounts

if TYPE_CHECKING:
    import pandas as pd

FLOAT_FORMAT = "%.9g"
STEP_WORDS = ("forward", "gta", "gtw", "backward", "loss", "recompute", "accumulate", "update")
# What stays of a step or pass; what is written to DRAM too stands in brackets.
KEPT = r"(input|weight|grad_output|summed|output|\(output\))"
# A dataflow of another package may name its only tiling in words of its own.
RUN_LENGTHS = r"[0-9]+(x[0-9]+)*\|[0-9]+(x[0-9]+)*|[a-z]+( [a-z]+)+"
VERDICT_WORDS = ("exact", "tolerance", "failed", "none")


NEEDED = dataclasses.MISSING


def column(
    unit: str, meaning: str, choices: tuple[str, ...] = (), *, absent: Any = NEEDED, before: str | None = None,
    form: str = "",
) -> Any:  # fmt: skip
    """Declare a column: its unit (empty for words and flags), one sentence, and the words of one that is a choice.

    Args:
        absent: What stands where a step has no such thing, as an elementwise pass has no tasks.
        before: The measured column that a derived one stands before; the last column is before none.
        form: A regular expression that its words match as a whole; any do without one.
    """
    metadata = {"unit": unit, "meaning": meaning, "choices": choices, "before": before, "form": form}
    return dataclasses.field(default=absent, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredColumns:
    """The columns of ``steps.csv`` that a step measures, whether it was executed, sampled, or is a pass."""

    layer: str = column("", "Name of the layer; of a fused pass the names of its parts, with + between.")
    kind: str = column(
        "",
        "Kind of the layer (conv2d, linear), or of an elementwise pass (max_pool, ...; fused: several as one; update "
        "and accumulate: of the layer's parameters).",
    )
    step: str = column(
        "",
        "forward, gta (gradient to activations), gtw (to weights); backward and loss of elementwise passes; "
        "recompute: a forward step or pass repeated for the backward half; accumulate: sums of gradients of parameters "
        "over microbatches; update of parameters, which totals of the network leave out.",
        STEP_WORDS,
    )
    cycles: int = column("cycles", "From the start of the step to the end of its last write-back.")
    busy_cycles: int = column(
        "group-cycles", "Cycles in which a PE of a group runs a row operation, summed over groups.", absent=0
    )
    wait_operands_cycles: int = column(
        "group-cycles", "Cycles in which a group with a task waits for operands from the ports.", absent=0
    )
    wait_dram_cycles: int = column("group-cycles", "Cycles in which groups wait for the next tile from DRAM.", absent=0)
    wait_ppu_cycles: int = column(
        "group-cycles", "Cycles in which a group's results wait for a place in its PPU.", absent=0
    )
    idle_cycles: int = column(
        "group-cycles", "All other cycles of the groups: no task left, or results on their way out.", absent=0
    )
    overhead_cycles: int = column(
        "PE-cycles", "Cycles of row headers and of issues without a multiplication, summed over PEs.", absent=0
    )
    ports_busy_cycles: int = column(
        "port-cycles", "Cycles in which a buffer port moves data for groups, summed over ports.", absent=0
    )
    dram_busy_cycles: int = column(
        "cycles", "Cycles in which the DRAM channel transfers; its latency is not counted.", absent=0
    )
    ppu_busy_cycles: int = column(
        "PPU-cycles", "Cycles in which a PPU processes elements, summed over groups.", absent=0
    )
    nominal_macs: int = column("MACs", "Multiplications of the step with those on padding counted.", absent=0)
    dense_macs: int = column("MACs", "Multiplications with both operands inside their tensors, zero or not.", absent=0)
    effectual_macs: int = column(
        "MACs", "Multiplications left when zeros (and masked results) are skipped, on any machine.", absent=0
    )
    row_ops: int = column("row operations", "Row operations that the machine executed.", absent=0)
    tasks: int = column("tasks", "Tasks that the machine executed.", absent=0)
    task_indices: str = column(
        "", "What there is a task for each of, the last changing fastest, as image/row/block; none for passes.",
        absent="none",
    )  # fmt: skip
    tiles: int = column("tiles", "Tiles that the step was cut into.", absent=0)
    tiling: str = column(
        "", "Run lengths of task_indices in a tile and, behind a bar, of the reduction, as --tiling takes them; none "
        "for passes and on ideal machines.",
        absent="none", form=rf"none|{RUN_LENGTHS}",
    )  # fmt: skip
    events: int = column("events", "Events that the discrete-event kernel scheduled.", absent=0)
    buffer_read_bytes: int = column(
        "bytes", "Bytes that groups and PPUs read through the buffer's ports; what groups share counts once.", absent=0
    )
    buffer_write_bytes: int = column("bytes", "Bytes that PPUs wrote through the buffer's ports.", absent=0)
    dram_read_bytes: int = column("bytes", "Bytes of executed DRAM reads.", absent=0)
    dram_write_bytes: int = column("bytes", "Bytes of executed DRAM writes.", absent=0)
    fusion_saved_bytes: int = column(
        "bytes",
        "DRAM bytes that a fused pass does not move: what its parts would write and read of each other, each alone.",
        absent=0,
    )
    kept: str = column(
        "", "Tensors that stay in the buffer from the step or pass before, or for the next; in brackets what is "
        "written to DRAM too; none where nothing does.",
        absent="none", form=rf"none|{KEPT}(\+{KEPT})*",
    )  # fmt: skip
    residency_saved_bytes: int = column(
        "bytes", "DRAM bytes that are not moved because tensors stay in the buffer; sampled as other bytes.", absent=0
    )
    input_density: float | None = column(
        "fraction", "Share of nonzeros in the layer's input; densities are empty for passes.", absent=None
    )
    weight_density: float | None = column("fraction", "Share of nonzeros in the layer's weight.", absent=None)
    grad_output_density: float | None = column(
        "fraction", "Share of nonzeros in the gradient to the layer's output.", absent=None
    )
    mask_density: float | None = column(
        "fraction", "Share of the input where the gradient is wanted; 1 where there is no mask.", absent=None
    )
    vanished_elements: int | None = column(
        "elements",
        "Nonzeros of the step's operands, and elements of its mask, that are zero as they are stored; empty where "
        "values are stored in float32.",
        absent=None,
    )
    saturated_elements: int | None = column(
        "elements", "Elements of its operands that are stored as the largest value of their format.", absent=None
    )
    float32_max_error: float | None = column(
        "value",
        "Largest difference of an element that the step writes, pruning left out, to the same step in float32 on "
        "operands that were never rounded.",
        absent=None,
    )
    float32_relative_error: float | None = column(
        "ratio", "Root of the summed squares of these differences, over that of float32's result.", absent=None
    )
    sampled_fraction: float = column(
        "fraction",
        "Share of the step's tiles that was simulated (ideal machines: of its images; passes: of the tiles of all "
        "steps, whose bytes they move); below 1 the figures are estimates.",
        absent=1.0,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepResult(MeasuredColumns):
    """One row of ``steps.csv``: one step of one layer on one machine; the run fills in `operands`.

    The columns declared here follow from the measured ones, the machine and its prices: `sim.step.measures.fill`.
    """

    machine: str = column("", "Name of the machine that executed the step.", before="cycles")
    bound_cycles: int = column(
        "cycles",
        "Least cycles for this machine's multiplications: over PEs x multipliers, rounded up.",
        before="busy_cycles",
    )
    pe_imbalance_cycles: int = column(
        "PE-cycles", "Cycles in which a PE does not run while another PE of its group does.", before="overhead_cycles"
    )
    pe_utilization: float = column(
        "fraction", "Multiplications / (cycles x PEs x multipliers per PE).", before="nominal_macs"
    )
    energy_pj: float | None = column(
        "pJ", "All energy, leakage included; empty on a machine without a technology.", before="input_density"
    )
    dynamic_pj: float | None = column("pJ", "Energy without leakage.", before="input_density")
    multiplier_pj: float | None = column("pJ", "Multiplications.", before="input_density")
    accumulator_pj: float | None = column(
        "pJ", "Accumulations: additions, and reads and writes of partial sums.", before="input_density"
    )
    operand_store_pj: float | None = column("pJ", "Reads and writes of the operand stores.", before="input_density")
    index_logic_pj: float | None = column("pJ", "Index and mask logic, for each tap examined.", before="input_density")
    sequencer_pj: float | None = column(
        "pJ", "Occupancy bits of rows that the sequencers look at.", before="input_density"
    )
    ppu_pj: float | None = column("pJ", "Elements that the PPUs process.", before="input_density")
    pruning_pj: float | None = column(
        "pJ", "Comparisons and random numbers of gradient pruning.", before="input_density"
    )
    buffer_pj: float | None = column("pJ", "Accesses of the global buffer, DMA included.", before="input_density")
    noc_pj: float | None = column("pJ", "Bytes over the network on chip.", before="input_density")
    dram_pj: float | None = column("pJ", "Bits from and to DRAM.", before="input_density")
    leakage_pj: float | None = column("pJ", "Leakage of every unit over the step's cycles.", before="input_density")
    verified: bool = column(
        "", "Whether the machine's values were compared with the reference and found equal.", before="sampled_fraction"
    )
    verdict: str = column(
        "",
        "exact, tolerance (equal within the stated rounding bound), failed, or none (not compared).",
        VERDICT_WORDS,
        before="sampled_fraction",
    )
    max_abs_error: float | None = column(
        "value", "Largest difference to the reference; empty where not compared.", before="sampled_fraction"
    )
    tolerance: float | None = column(
        "value", "Largest difference allowed at any element; empty where not compared.", before="sampled_fraction"
    )
    cycles_ci95: float = column(
        "cycles",
        "Half the width of the 95 % confidence interval of cycles; 0: all was drawn, or what was drawn did not differ; "
        "passes of a sampled run have no interval.",
        before="sampled_fraction",
    )
    energy_ci95_pj: float | None = column(
        "pJ", "Half the width of the 95 % confidence interval of energy_pj; 0 as for cycles.", before="sampled_fraction"
    )
    operands: str = column("", "Where the operands are from, and what is unrepresentative of them; of passes too.")

    def __repr__(self) -> str:
        energy = "" if self.energy_pj is None else f", {self.energy_pj:,.6g} pJ"
        return (
            f"<StepResult {self.layer} {self.step} on {self.machine}: {self.cycles:,} cycles{energy}, "
            f"verdict {self.verdict}>"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class StepActions:
    """One row of ``actions.csv``: how often one step of one layer did each action on one machine that has prices."""

    layer: str = column("", "Name of the layer.")
    step: str = column("", "The step, as in steps.csv.", STEP_WORDS)
    machine: str = column("", "Name of the machine that executed the step.")
    multiplies: int = column("multiplications", "Multiplications of the PEs; on a dense machine those with zeros too.")
    accumulates: int = column("additions", "Additions to a partial sum.")
    accumulator_updates: int = column(
        "updates", "Partial sums read and written; products of one issue that go into one of them share an update."
    )
    operand_store_reads: int = column("words", "Words of data_bits read from operand stores.")
    operand_store_writes: int = column("words", "Words of data_bits that fetches write into operand stores.")
    taps_examined: int = column("taps", "Taps whose indices or masks were looked at; none on a dense machine.")
    rows_examined: int = column(
        "row operations", "Row operations whose occupancy bits were looked at; none where empty rows are not skipped."
    )
    ppu_elements: int = column("elements", "Elements that PPUs process, those of elementwise passes included.")
    pruned_elements: int = column("elements", "Elements that gradient pruning compares; none on a dense machine.")
    buffer_reads: int = column("accesses", "Reads of the global buffer, each of a port's full width, DMA's included.")
    buffer_writes: int = column("accesses", "Writes of the global buffer, each of a port's full width, DMA's included.")
    noc_bytes: int = column("bytes", "Bytes over the network on chip.")
    dram_read_bits: int = column("bits", "Bits read from DRAM.")
    dram_write_bits: int = column("bits", "Bits written to DRAM.")


def list_columns(record: type) -> list[dataclasses.Field[Any]]:
    """List the columns of a record's file in order: the derived ones where they say, among the measured ones."""
    items = dataclasses.fields(record)
    waiting = [item for item in items if item.metadata["before"] is not None]
    columns = []
    for item in items:
        if item not in waiting:
            columns += [other for other in waiting if other.metadata["before"] == item.name]
            columns.append(item)
    return columns


def describe_columns(record: type = StepResult) -> list[tuple[str, str, str]]:
    """Give name, unit and meaning of every column of a record's file, in order."""
    return [(item.name, item.metadata["unit"], item.metadata["meaning"]) for item in list_columns(record)]


def make_columns_tables() -> str:
    """Write the columns of both files as Markdown tables."""
    return f"{tabulate_columns(StepResult)}\n\nThe columns of `actions.csv`:\n\n{tabulate_columns(StepActions)}"


def tabulate_columns(record: type) -> str:
    """Write the columns of a record's file as a Markdown table."""
    rows = [f"| `{name}` | {unit or '-'} | {meaning} |" for name, unit, meaning in describe_columns(record)]
    return "\n".join(["| column | unit | meaning |", "|---|---|---|", *rows])


def make_frame(steps: Sequence[StepResult]) -> pd.DataFrame:
    """Tabulate step results, one row each, with the columns of ``steps.csv``."""
    import pandas as pd

    names = [name for name, _, _ in describe_columns()]
    return pd.DataFrame([[getattr(step, name) for name in names] for step in steps], columns=names)


def make_actions_frame(steps: Sequence[tuple[StepResult, ActionCounts]]) -> pd.DataFrame:
    """Tabulate how often each step did each action, one row each, with the columns of ``actions.csv``.

    Behind them stands a column for each action that a dataflow of the run declares and prices itself, and for each of
    DRAM with banks where a machine of the run has some.
    """
    import pandas as pd

    own = tuple(dict.fromkeys(name for _, counts in steps for name in counts.own))
    rows = [
        (step.layer, step.step, step.machine, *(counts.count(name) for name in (*COMPONENT_OF_ACTION, *own)))
        for step, counts in steps
    ]
    names = [name for name, _, _ in describe_columns(StepActions)]
    return pd.DataFrame(rows, columns=[*names, *own])


ENERGY_COLUMNS = tuple(
    item.name for item in dataclasses.fields(StepResult) if item.name.endswith("_pj") and "_ci95" not in item.name
)
SCOPES = ("convolutions", "network")
