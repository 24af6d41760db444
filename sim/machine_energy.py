"""A machine's prices from its technology table, and a step's actions from its counts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dataflows.contract.actions import Action, resolve_counts
from dataflows.contract.memory import Traffic
from dataflows.contract.tasks import PricedDataflow, TaskTable
from dataflows.registry import load_dataflow
from sim.architecture import Architecture
from sim.content import ContentDigests
from sim.dram_prices import DRAM_COMMANDS
from sim.energy import DECLARED_ACTIONS, ActionCounts, MachinePrices
from sim.machine.accelerator import StepTiming
from sim.machine.banked_channels import DramCommands
from sim.machine_parts import MachineParts
from sim.machine_pricing import list_own, price_machine
from sim.technology import Technology, load_technology
from workloads.errors import InputError


class TechnologyReader:
    """Reads technology tables, each anew when a file that it was read from holds something else."""

    def __init__(self) -> None:
        self._digests = ContentDigests()
        self._known: dict[str, tuple[str, Technology]] = {}

    def read(self, name: str) -> tuple[str, Technology]:
        """Give a table and the digests of its files.

        Raises:
            InputError: the technology is unknown, or its file is not a valid table.
        """
        known = self._known.get(name)
        if known is None or known[0] != self._digest(known[1]):
            technology = load_technology(name, Path())
            known = self._known[name] = self._digest(technology), technology
        return known

    def _digest(self, technology: Technology) -> str:
        found = []
        for path in technology.files():
            with suppress(InputError):
                found.append(f"{path}\0{self._digests.digest(path)}")
        return "\0".join(found)


READER = TechnologyReader()


def find_prices(machine: Architecture) -> MachinePrices | None:
    """Price a machine's actions and units; None where no technology is named or a size is unlimited.

    Raises:
        InputError: the technology is unknown or lacks an entry that the machine needs, or its file is no valid table;
            the dataflow is unknown, or declares no actions or one without a price.
    """
    parts = describe_parts(machine)
    if parts is None or machine.technology is None:
        return None
    return price_parts(parts, machine.technology, read_actions(machine.dataflow))


# Looking for entry points reads the metadata of every installed package, and prices are asked for at every step.
@lru_cache(maxsize=256)
def read_actions(dataflow: str) -> tuple[Action, ...]:
    """Give the actions that a dataflow declares.

    Raises:
        InputError: the dataflow is unknown, or declares no actions.
    """
    made = load_dataflow(dataflow)
    if not isinstance(made, PricedDataflow):
        raise InputError(
            f"the dataflow '{dataflow}' declares no actions, so its energy cannot be told; give its class `actions`, "
            "an empty tuple if it has none, or leave the technology away"
        )
    return tuple(made.actions)


def price_parts(parts: MachineParts, technology: str, declared: tuple[Action, ...] = ()) -> MachinePrices:
    """Price a machine's parts and the actions of its dataflow, anew where files of its technology have changed.

    Raises:
        InputError: as `find_prices`.
    """
    content, read = READER.read(technology)
    return _price_once(parts, content, read, declared)


@lru_cache(maxsize=4096)
def _price_once(
    parts: MachineParts, _content: str, technology: Technology, declared: tuple[Action, ...]
) -> MachinePrices:
    return price_machine(parts, technology, declared)


def describe_parts(machine: Architecture) -> MachineParts | None:
    """List what a machine is built of; None where a size is unlimited."""
    buffer, dram, ppu, storage, array = machine.buffer, machine.dram, machine.ppu, machine.storage, machine.array
    if buffer is None or dram is None or ppu is None or storage is None:
        return None
    sizes = (buffer.capacity_bytes, buffer.ports, buffer.bytes_per_port_cycle, buffer.operand_store_bytes)
    capacity, ports, width, store = sizes
    if capacity is None or ports is None or width is None or store is None or ppu.elements_per_cycle is None:
        return None
    return MachineParts(
        groups=array.groups,
        pes_per_group=array.pes_per_group,
        multipliers_per_pe=array.multipliers_per_pe,
        accumulators=array.accumulators,
        operand_store_bytes=store,
        buffer_bytes=capacity,
        ports=ports,
        bytes_per_port_cycle=width,
        ppu_elements_per_cycle=ppu.elements_per_cycle,
        data_bits=storage.data_bits,
        acc_bits=storage.acc_bits,
        cell=buffer.cell.value,
        dram_kind=dram.kind,
        dram_timing=dram.timing or "",
        number_format=storage.number_format.value,
        skip_zeros=array.skip_zeros,
        skip_empty_rows=array.skip_empty_rows,
    )


def count_actions(
    table: TaskTable, timing: StepTiming, bytes_per_access: int, declared: tuple[Action, ...]
) -> ActionCounts:
    """Count the actions of one step of a layer (section 9 of the machine's definition).

    Args:
        declared: Of the dataflow.

    Raises:
        ValueError: what the dataflow counts is not what it declares.
    """
    traffic, counts = table.traffic, table.counts
    assert traffic is not None
    bursts, drivers = traffic.burst_bytes, traffic.driver_bytes
    fetches = [bursts] if drivers is None else [drivers, bursts - drivers]
    reads, writes = traffic.ppu_read_bytes, traffic.ppu_write_bytes
    loads, write_backs = traffic.tile_load_bytes, traffic.tile_write_back_bytes

    def accesses(*sizes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
        return sum(int((-(-size // bytes_per_access)).sum()) for size in sizes)

    return ActionCounts(
        multiplies=counts.multiplications,
        accumulates=counts.multiplications,
        **split_declared(
            declared,
            resolve_counts(declared, counts.multiplications, counts.actions),
            counts.multiplications,
        ),
        operand_store_writes=int(traffic.store_writes.sum()),
        ppu_elements=int(traffic.ppu_elements.sum()),
        buffer_reads=accesses(*fetches, reads, write_backs) - timing.shared_cycles,
        buffer_writes=accesses(writes, loads),
        noc_bytes=int(bursts.sum() + reads.sum() + writes.sum()),
        dram_read_bits=8 * timing.dram_read_bytes,
        dram_write_bits=8 * timing.dram_write_bytes,
    ) + count_commands(timing.commands)


def count_commands(commands: DramCommands | None) -> ActionCounts:
    """Count the actions of DRAM with banks; a constant channel has none."""
    if commands is None:
        return ActionCounts()
    counted = (
        commands.activates,
        commands.reads,
        commands.writes,
        commands.refreshes,
        commands.active_clocks,
        commands.idle_clocks,
    )
    return ActionCounts(own=dict(zip(DRAM_COMMANDS, counted, strict=True)))


def split_declared(declared: tuple[Action, ...], counted: Mapping[str, int], multiplications: int) -> dict[str, Any]:
    """Give the counts of declared actions as fields of `ActionCounts`.

    What is not declared is not done, but for updates of partial sums: every product makes one of its own.
    """
    shared = {name: counted.get(name, 0) for name in DECLARED_ACTIONS}
    shared["accumulator_updates"] = counted.get("accumulator_updates", multiplications)
    return {**shared, "own": {action.name: counted[action.name] for action in list_own(declared)}}


def count_port_bytes(traffic: Traffic | None, timing: StepTiming) -> tuple[int, int]:
    """Give the bytes that pass the ports to groups and PPUs, and from PPUs; what groups share passes once."""
    if traffic is None:
        return 0, 0
    read = int(traffic.burst_bytes.sum() + traffic.ppu_read_bytes.sum()) - timing.shared_bytes
    return read, int(traffic.ppu_write_bytes.sum())
