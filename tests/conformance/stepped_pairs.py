"""The machine and the cycle-stepped model on the same work, and their times in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from oracle.stepped_conv import Conv
from oracle.stepped_linear import Linear
from oracle.stepped_records import Machine, StepTimes, TimedTask, TimedTile

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat, Traffic
from dataflows.contract.tasks import StepCounts, TaskTable
from sim.machine.accelerator import StepTiming, Surroundings
from sim.machine.ledger import State
from sim.machine_energy import count_port_bytes
from workloads.shapes import ConvShape, LayerShape, LinearShape

STATES = {
    "busy": State.BUSY,
    "wait_ppu": State.WAIT_PPU,
    "wait_dram": State.WAIT_DRAM,
    "wait_operands": State.WAIT_OPERANDS,
    "idle": State.IDLE,
}
ARRAY_FIELDS = (
    "groups", "pes_per_group", "multipliers_per_pe", "accumulators", "min_tasks_per_group", "row_overhead_cycles",
    "empty_issue_cycles", "skip_zeros", "skip_weights", "pack_groups", "skip_empty_rows",
)  # fmt: skip


def describe_layer(shape: LayerShape) -> Conv | Linear:
    """Give a layer as the stepped model takes it."""
    if isinstance(shape, LinearShape):
        return Linear("layer", shape.batch, shape.in_features, shape.out_features)
    assert isinstance(shape, ConvShape)
    return Conv(
        "layer", shape.batch, shape.in_channels, shape.in_height, shape.in_width, shape.out_channels,
        shape.kernel_height, shape.kernel_width, shape.stride, shape.padding, shape.groups, shape.dilation,
    )  # fmt: skip


def describe_array(machine: Machine) -> PEArray:
    """Give the PE array of a stepped machine as dataflows see it."""
    return PEArray(**{name: getattr(machine, name) for name in ARRAY_FIELDS})


def describe_share(machine: Machine) -> MemoryShare:
    """Give the memory of a stepped machine as dataflows see it."""
    form = None if machine.sparse_format == "auto" else RowFormat(machine.sparse_format)
    return MemoryShare(
        machine.capacity_bytes, machine.operand_store_bytes, machine.data_bits, machine.acc_bits, form,
        shares_reads=machine.multicast > 1,
    )  # fmt: skip


def describe_speeds(machine: Machine) -> Surroundings:
    """Give the speeds of a stepped machine's surroundings as the simulator takes them."""
    return Surroundings(
        ports=machine.ports,
        bytes_per_port_cycle=machine.bytes_per_port_cycle,
        dram_bytes_per_cycle=machine.dram_bytes_per_cycle,
        dram_latency_cycles=machine.dram_latency_cycles,
        elements_per_cycle=machine.elements_per_cycle,
        prefetches_next_task=machine.prefetch_next_task,
        multicast=machine.multicast,
    )


def list_times(timing: StepTiming, traffic: Traffic) -> dict[str, int | tuple[int, ...]]:
    """Give what the machine reports of a step, by the names of the stepped model."""
    read_bytes, write_bytes = count_port_bytes(traffic, timing)
    return {
        "cycles": timing.cycles,
        **{name: tuple(timing.spent[:, state].tolist()) for name, state in STATES.items()},
        "ports_busy": timing.ports_busy_cycles,
        "dram_busy": timing.dram_busy_cycles,
        "ppu_busy": timing.ppu_busy_cycles,
        "dram_read_bytes": timing.dram_read_bytes,
        "dram_write_bytes": timing.dram_write_bytes,
        "buffer_read_bytes": read_bytes,
        "buffer_write_bytes": write_bytes,
        "tiles": len(traffic.tile_load_bytes),
        "shared_bytes": timing.shared_bytes,
        "store_words": int(traffic.store_writes.sum()),
    }


def list_stepped_times(times: StepTimes) -> dict[str, int | tuple[int, ...]]:
    """Give what the stepped model reports of a step; its tiling's name is left out."""
    names = (
        "cycles", *STATES, "ports_busy", "dram_busy", "ppu_busy", "dram_read_bytes", "dram_write_bytes",
        "buffer_read_bytes", "buffer_write_bytes", "tiles", "shared_bytes",
        "store_words",
    )  # fmt: skip
    return {name: getattr(times, name) for name in names}


def make_traffic(tiles: Sequence[TimedTile], pes_per_group: int) -> Traffic:
    """Write tiles of the stepped model as the traffic that a dataflow hands to the machine."""
    tasks = list(chain.from_iterable(tile.tasks for tile in tiles))
    bursts = list(chain.from_iterable(task.bursts for task in tasks))
    drivers = list(chain.from_iterable(task.drivers for task in tasks))
    numbers = {rows: number for number, rows in enumerate(dict.fromkeys(rows for _, rows in drivers))}
    has_drivers = len(drivers) == len(bursts)
    burst_cycles = np.zeros((len(bursts), pes_per_group), dtype=np.int64)
    for row, (_, cycles) in enumerate(bursts):
        burst_cycles[row, : len(cycles)] = cycles
    return Traffic(
        tile_first=add_up(len(tile.tasks) for tile in tiles),
        tile_load_bytes=np.array([tile.load_bytes for tile in tiles], dtype=np.int64),
        tile_write_back_bytes=np.array([tile.write_back_bytes for tile in tiles], dtype=np.int64),
        burst_first=add_up(len(task.bursts) for task in tasks),
        burst_bytes=np.array([size for size, _ in bursts], dtype=np.int64),
        burst_cycles=burst_cycles,
        pes=np.array([count_pes(task) for task in tasks], dtype=np.int64),
        ppu_read_bytes=np.array([task.ppu_read_bytes for task in tasks], dtype=np.int64),
        ppu_elements=np.array([task.elements for task in tasks], dtype=np.int64),
        ppu_write_bytes=np.array([task.write_bytes for task in tasks], dtype=np.int64),
        store_writes=np.zeros(len(tasks), dtype=np.int64),
        footprint_bytes=0,
        tiling="",
        driver_bytes=np.array([size for size, _ in drivers], dtype=np.int64) if has_drivers else None,
        driver_rows=np.array([numbers[rows] for _, rows in drivers], dtype=np.int64) if has_drivers else None,
    )


def add_up(lengths: object) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Give the place where each run begins, and the one behind the last."""
    return np.cumsum([0, *lengths], dtype=np.int64)  # type: ignore[misc]


def count_pes(task: TimedTask) -> int:
    """Count the PEs that own an output; a task without bursts is taken to have one."""
    return len(task.bursts[0][1]) if task.bursts else 1


def make_table(traffic: Traffic) -> TaskTable:
    """Make a table whose tasks are the entries of a traffic, for runs of the machine alone."""
    entries, width = len(traffic.pes), traffic.burst_cycles.shape[1]
    pe_cycles = np.zeros((entries, width), dtype=np.int64)
    np.add.at(pe_cycles, np.repeat(np.arange(entries), np.diff(traffic.burst_first)), traffic.burst_cycles)
    counts = StepCounts(0, 0, 0, 0, 0, 0, 0)
    return TaskTable(pe_cycles, ("entry",), np.arange(entries)[:, None], counts, traffic)
