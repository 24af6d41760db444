"""Actions that a dataflow declares: counted by name, priced by the table's parts or by a figure of their own."""

from __future__ import annotations

import math

import pytest

from dataflows.contract.actions import Action, Composition, PartCount, PriceFigure, resolve_counts
from sim.architecture import load_architecture
from sim.energy import DATAFLOW_COMPONENT, ActionCounts, compute_energy
from sim.machine_energy import describe_parts
from sim.machine_pricing import price_machine
from sim.technology import load_technology
from workloads.errors import InputError

LOOKUP = Action("lookups", "lookups", "Entries read.", PriceFigure(0.25, "measured by nobody", assumed=True))
SUM = Action("sums", "sums", "Sums.", Composition((PartCount("adder", (3,)),), "three additions"), per_multiplication=2)
BARE = Action("hops", "hops", "Hops.")


def test_counts_follow_from_what_is_declared() -> None:
    assert resolve_counts((LOOKUP, SUM), 5, {"lookups": 7}) == {"lookups": 7, "sums": 2 * 5}


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (
            {"lookups": 1, "hops": 1},
            "the dataflow counts 'hops', which it does not declare as an action that is counted",
        ),
        ({}, "the dataflow declares the action 'lookups' and does not count it"),
        ({"lookups": -1}, "the dataflow counts -1 of 'lookups'; a count must not be negative"),
    ],
)
def test_counts_that_are_not_those_declared_are_refused(counted: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        resolve_counts((LOOKUP, SUM), 5, counted)
    assert str(error.value) == words


def test_own_actions_are_lines_of_the_dataflow_and_part_of_the_dynamic_energy() -> None:
    machine, technology = load_architecture("sparsetrain"), load_technology("14nm")
    parts = describe_parts(machine)
    assert parts is not None
    prices = price_machine(parts, technology, (LOOKUP, SUM))
    adder = technology.part_cost(technology.table.number_formats["fp16"].adder, "energy", "the test").value
    energy = compute_energy(ActionCounts(multiplies=4, own={"lookups": 7, "sums": 8}), 0, 800, prices)
    own = {line.action: line for line in energy.lines if line.component == DATAFLOW_COMPONENT}
    assert {name: line.pj for name, line in own.items()} == {"lookups": 7 * 0.25, "sums": 8 * math.fsum([3 * adder])}
    assert own["lookups"].source == "the dataflow's figure: measured by nobody; assumed"
    assert energy.dynamic_pj == math.fsum(line.pj for line in energy.lines)
    assert energy.dataflow_pj == math.fsum(line.pj for line in own.values())


def test_an_action_without_a_price_is_refused_by_name() -> None:
    parts = describe_parts(load_architecture("sparsetrain"))
    assert parts is not None
    with pytest.raises(InputError) as error:
        price_machine(parts, load_technology("14nm"), (BARE,))
    assert str(error.value) == (
        "the dataflow's action 'hops' has no price; without one are accumulator_updates, operand_store_reads, "
        "taps_examined and rows_examined"
    )
