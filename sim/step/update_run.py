"""Passes over parameters on a machine: their update, and sums of gradients over microbatches."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine.dram_layout import Moved
from sim.machine.elementwise import run_pass
from sim.machine_energy import count_commands
from sim.results.rows import StepResult
from sim.step.measures import StepMeasures, fill
from sim.step.pass_run import count_pass_actions
from workloads.network import Network
from workloads.optimisers.optimiser import ElementwiseCost
from workloads.shapes import Step
from workloads.updates import ACCUMULATE, UPDATE, LayerUpdate, list_updates, size_parameter

# An approximation from a table and two steps of Newton's, of two multiply-adds each: assumed.
MULTIPLY_ADDS_OF_DIVISION = 4
NOTHING = Moved((), ())


def run_updates(
    network: Network, machine: Architecture, cost: ElementwiseCost, list_steps: Callable[[str], tuple[Step, ...]]
) -> list[tuple[StepResult, ActionCounts | None]]:
    """Execute the update of each layer's parameters as a pass, and count its actions; an ideal machine has none.

    Args:
        list_steps: The steps of a layer.
    """
    if machine.is_ideal:
        return []
    return [run_update(update, machine, cost) for update in list_updates(network, list_steps)]


def run_update(
    update: LayerUpdate, machine: Architecture, cost: ElementwiseCost
) -> tuple[StepResult, ActionCounts | None]:
    """Execute the update of a layer's parameters."""
    return run_over_parameters(update, UPDATE, machine, size_update(update, machine, cost), count_multiply_adds(cost))


def run_accumulations(
    network: Network, machine: Architecture, list_steps: Callable[[str], tuple[Step, ...]]
) -> list[tuple[StepResult, ActionCounts | None]]:
    """Execute what the gradients of a further microbatch take to be added to those before; an ideal machine has none.

    What GTW writes then is the sum, so that only the sum so far is read beside it.

    Args:
        list_steps: The steps of a layer.
    """
    if machine.is_ideal:
        return []
    assert machine.storage is not None
    bits, found = machine.storage.acc_bits, []
    for update in list_updates(network, list_steps):
        sums = tuple((("gradient", name), size_parameter(shape, bits)) for name, shape in update.parameters)
        found.append(run_over_parameters(update, ACCUMULATE, machine, Moved(sums, ()), 1))
    return found


def run_over_parameters(
    update: LayerUpdate, kind: str, machine: Architecture, moved: Moved, multiply_adds: int
) -> tuple[StepResult, ActionCounts | None]:
    """Execute a pass over a layer's parameters.

    Args:
        kind: Of its row, and the row's step.
        multiply_adds: Of an element.
    """
    groups = machine.array.groups
    timing = run_pass(update.elements, moved, groups, machine.describe_surroundings())
    ppu_actions = ActionCounts(ppu_elements=update.elements * multiply_adds)
    actions = count_pass_actions(ppu_actions + count_commands(timing.commands), moved, NOTHING, machine)
    measures = StepMeasures(
        layer=update.node,
        kind=kind,
        step=kind,
        cycles=timing.cycles,
        wait_dram_cycles=(timing.cycles - timing.ppu_cycles) * groups,
        idle_cycles=timing.ppu_cycles * groups,
        dram_busy_cycles=timing.dram_busy_cycles,
        ppu_busy_cycles=timing.ppu_cycles * groups,
        events=timing.events,
        buffer_read_bytes=moved.read_bytes,
        buffer_write_bytes=moved.write_bytes,
        dram_read_bytes=moved.read_bytes,
        dram_write_bytes=moved.write_bytes,
        actions=actions,
    )
    return fill(measures, machine), actions


def size_update(update: LayerUpdate, machine: Architecture, cost: ElementwiseCost) -> Moved:
    """Give what an update moves: weights in data_bits, their gradients and what the optimiser keeps in acc_bits."""
    assert machine.storage is not None
    data_bits, acc_bits = machine.storage.data_bits, machine.storage.acc_bits
    reads: list[tuple[Hashable, int]] = []
    writes: list[tuple[Hashable, int]] = []
    for name, shape in update.parameters:
        weight = (("weight", name), size_parameter(shape, data_bits))
        reads += [weight, (("gradient", name), size_parameter(shape, acc_bits))]
        writes.append(weight)
        slots = [(("slot", number, name), size_parameter(shape, acc_bits)) for number in range(cost.reads - 2)]
        reads += slots
        writes += slots[: cost.writes - 1]
    return Moved(tuple(reads), tuple(writes))


def count_multiply_adds(cost: ElementwiseCost) -> int:
    """Count what the energy of an element's update is priced as: elements of a PPU, each a multiply-add."""
    divisions = cost.divisions + cost.square_roots
    return max(cost.multiplications, cost.additions) + MULTIPLY_ADDS_OF_DIVISION * divisions
