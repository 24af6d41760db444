"""What each change of the machine is worth, alone and together: cycles, energy, area and DRAM bytes of some networks.

The machine before is the preset `sparsetrain-v1`. Networks have profile operands (ResNet-18's are ResNet-34's figures,
AlexNet's are VGG-16's) or are workload files; gradients are pruned at 0.9 unless a file says otherwise.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from sim.architecture import load_architecture
from sim.run import simulate
from workloads.operand_choice import choose_operands
from workloads.settings import GradientPruning
from workloads.workload import Workload, load_workload

BEFORE = "sparsetrain-v1"
CHANGES: Mapping[str, tuple[str, ...]] = {
    "before": (),
    "32 tasks a group": ("array.min_tasks_per_group=32",),
    "empty rows": ("array.skip_empty_rows=true",),
    "fusion": ("ppu.fuse_passes=true",),
    "residency": ("buffer.keep_on_chip=true",),
    "multicast 4": ("buffer.multicast=4",),
    "PPU of 4": ("ppu.elements_per_cycle=4",),
    "buffer of 1 MiB": ("buffer.capacity_bytes=1048576",),
    "store of 4 KiB": ("buffer.operand_store_bytes=4096",),
    "64 accumulators": ("array.accumulators=64",),
}
PRUNING_RATE = 0.9
# Batches from here on are sampled.
SAMPLED_BATCH = 64
COMPONENTS = ("multiplier", "accumulator", "operand_store", "index_logic", "sequencer", "ppu", "buffer", "noc", "dram",
              "leakage")  # fmt: skip
STEPS = ("forward", "gta", "gtw")
HEADER = (
    "workload", "batch", "change", "scope", "cycles", "energy_uj", "area_mm2", "dram_mb", "busy_share",
    *(f"busy_share_{step}" for step in STEPS), "speed_up", "energy_ratio", *(f"{name}_uj" for name in COMPONENTS),
)  # fmt: skip


def prepare(name: str, batch: int) -> Workload:
    """Load a network with pruned gradients: a preset with profile operands, or a file with its own."""
    loaded = load_workload(name, batch=batch)
    if not Path(name).exists():
        loaded = choose_operands(loaded, operands="profile")
    if loaded.form.pruning is None:
        form = loaded.form.model_copy(update={"pruning": GradientPruning(rate=PRUNING_RATE)})
        loaded = dataclasses.replace(loaded, form=form)
    return loaded


def measure(name: str, batch: int, change: str, overrides: Sequence[str], **given: Any) -> Iterator[tuple[Any, ...]]:
    """Give a row for the convolutions and one for the network."""
    machine = load_architecture(BEFORE, (*overrides, "name=machine"))
    sample = "auto" if batch >= SAMPLED_BATCH else None
    result = simulate(
        prepare(name, batch), machine, baseline="skipping-off", verify=False, sample=sample, **given
    )  # fmt: skip
    totals = result.record["totals"]["machines"]
    area = result.record["machines"]["machine"]["area_mm2"]
    for scope in ("convolutions", "network"):
        mine, dense = totals["machine"][scope], totals["machine-dense"][scope]
        busy = [share_busy(result.steps, machine.array.groups, scope, (step,)) for step in STEPS]
        yield (
            Path(name).stem, batch, change, scope, round(mine["cycles"]), f"{mine['energy_pj'] / 1e6:.1f}",
            f"{area:.3f}", f"{(mine['dram_read_bytes'] + mine['dram_write_bytes']) / 1e6:.2f}",
            f"{share_busy(result.steps, machine.array.groups, scope, STEPS):.3f}", *(f"{one:.3f}" for one in busy),
            f"{dense['cycles'] / mine['cycles']:.3f}", f"{dense['energy_pj'] / mine['energy_pj']:.3f}",
            *(f"{mine[f'{component}_pj'] / 1e6:.2f}" for component in COMPONENTS),
        )  # fmt: skip


def share_busy(steps: Sequence[Any], groups: int, scope: str, chosen: Sequence[str]) -> float:
    """Give the share of their time in which the groups of the first machine are busy."""
    rows = [
        row for row in steps
        if row.machine == "machine" and row.step in chosen and (scope == "network" or row.kind == "conv2d")
    ]  # fmt: skip
    cycles = sum(row.cycles for row in rows)
    return sum(row.busy_cycles for row in rows) / (groups * cycles) if cycles else 0.0


def write_changes(
    names: Sequence[str], batches: Sequence[int], chosen: Sequence[str] = (), stream: TextIO = sys.stdout, **given: Any
) -> None:
    """Write the table as CSV, row by row as it is measured: each change alone, and all of the preset together.

    Args:
        chosen: Changes by name; by default all of them.
    """
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(HEADER)
    together = tuple(list_preset_changes())
    for name in names:
        for batch in batches:
            for change, overrides in {**CHANGES, "preset": together}.items():
                if chosen and change not in chosen:
                    continue
                rows.writerows(measure(name, batch, change, overrides, **given))
                stream.flush()


def list_preset_changes() -> Iterator[str]:
    """List what tells the preset of today from the one before, as overrides."""
    before, after = (load_architecture(name).model_dump(mode="json") for name in (BEFORE, "sparsetrain"))
    for section, fields in after.items():
        if isinstance(fields, dict):
            for field, value in fields.items():
                if before[section].get(field) != value:
                    yield f"{section}.{field}={str(value).lower()}"
