"""An elementwise pass: the PPUs of all groups stream a tensor from and to DRAM."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from simpy.events import Event, Timeout

from sim.machine.accelerator import Surroundings
from sim.machine.banked_channels import DramCommands
from sim.machine.clock import CountingEnvironment, run_to_end
from sim.machine.dram import BankedUnit, Dram
from sim.machine.dram_layout import Moved, place_pass


@dataclass(frozen=True, slots=True)
class PassTiming:
    """How long a pass took: the longer of its PPU cycles and its DRAM transfers.

    Attributes:
        commands: Of DRAM with banks.
    """

    cycles: int
    ppu_cycles: int
    dram_busy_cycles: int
    events: int
    commands: DramCommands | None = None


def run_pass(elements: int, moved: Moved, groups: int, surroundings: Surroundings) -> PassTiming:
    """Process elements on all PPUs while the DRAM channels read and then write, both requested at the start."""
    env = CountingEnvironment()
    rate = surroundings.elements_per_cycle
    ppu_cycles = 0 if rate is None else -(-elements // (groups * rate))

    def process() -> Generator[Timeout, Any, None]:
        yield env.timeout(ppu_cycles)

    def wait_for(transfers: Sequence[Event]) -> Generator[Event, Any, None]:
        yield from transfers

    if surroundings.banked is None:
        dram = Dram(env, surroundings.dram_bytes_per_cycle, surroundings.dram_latency_cycles)
        transfers = [dram.transfer(moved.read_bytes), dram.transfer(moved.write_bytes)]
        cycles = run_to_end(env, [env.process(process()), env.process(wait_for(transfers))])
        return PassTiming(cycles, ppu_cycles, dram.busy_cycles, env.events)
    unit, (reads, writes) = BankedUnit(env, surroundings.banked), place_pass(moved, surroundings.banked)
    transfers = [unit.transfer(reads, False), unit.transfer(writes, True)]
    cycles = run_to_end(env, [env.process(process()), env.process(wait_for(transfers))])
    busy_cycles, commands = unit.channels.count_busy_cycles(), unit.channels.count_commands(cycles)
    return PassTiming(cycles, ppu_cycles, busy_cycles, env.events, commands)
