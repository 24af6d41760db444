"""Steps of given bursts and results on a machine of given speeds, for timing tests."""

from __future__ import annotations

from typing import Any

from conformance.stepped_pairs import make_table, make_traffic
from oracle.stepped_records import TimedTask, TimedTile

from sim.machine.accelerator import Engine, StepTiming, Surroundings, run_step
from sim.machine.ledger import State


def task(*bursts: tuple[int, int], elements: int = 0, ppu_read_bytes: int = 0, write_bytes: int = 0) -> TimedTask:
    """Make a task of one PE from its bursts' bytes and cycles."""
    return TimedTask(
        tuple((size, (cycles,)) for size, cycles in bursts), ppu_read_bytes, elements, write_bytes
    )  # fmt: skip


def tile(*tasks: TimedTask, load_bytes: int = 0, write_back_bytes: int = 0) -> TimedTile:
    """Make a tile."""
    return TimedTile(tasks, load_bytes, write_back_bytes)


def run(*work: TimedTask | TimedTile, groups: int = 1, engine: Engine = Engine.SIMPY, **speeds: Any) -> StepTiming:
    """Run tasks as one tile, or tiles."""
    tiles = [one for one in work if isinstance(one, TimedTile)] or [
        TimedTile(tuple(one for one in work if isinstance(one, TimedTask)), 0, 0)
    ]
    width = max((len(burst[1]) for one in tiles for each in one.tasks for burst in each.bursts), default=1)
    return run_step(make_table(make_traffic(tiles, width)), groups, Surroundings(**speeds), engine)


def spent(timing: StepTiming, state: State) -> list[int]:
    """Give the cycles that each group spent in a state."""
    cycles: list[int] = timing.spent[:, state].tolist()
    return cycles
