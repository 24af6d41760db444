"""An elementwise pass: the PPUs of all groups stream a tensor from and to DRAM."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from simpy.events import Timeout

from sim.machine.accelerator import Surroundings
from sim.machine.clock import CountingEnvironment, run_to_end
from sim.machine.dram import Dram


@dataclass(frozen=True, slots=True)
class PassTiming:
    """How long a pass took: the longer of its PPU cycles and its DRAM transfers."""

    cycles: int
    ppu_cycles: int
    dram_busy_cycles: int
    events: int


def run_pass(elements: int, read_bytes: int, write_bytes: int, groups: int, surroundings: Surroundings) -> PassTiming:
    """Process elements on all PPUs while the DRAM channel reads and then writes, both requested at the start."""
    env = CountingEnvironment()
    dram = Dram(env, surroundings.dram_bytes_per_cycle, surroundings.dram_latency_cycles)
    rate = surroundings.elements_per_cycle
    ppu_cycles = 0 if rate is None else -(-elements // (groups * rate))

    def process() -> Generator[Timeout, Any, None]:
        yield env.timeout(ppu_cycles)

    def move() -> Generator[Any, Any, None]:
        read, write = dram.transfer(read_bytes), dram.transfer(write_bytes)
        yield read
        yield write

    cycles = run_to_end(env, [env.process(process()), env.process(move())])
    return PassTiming(cycles, ppu_cycles, dram.busy_cycles, env.events)
