"""The ledger of the groups' time: every cycle is put down to one state."""

from __future__ import annotations

import pytest

from sim.machine.ledger import Ledger, LedgerError, State


def test_every_interval_begins_where_the_one_before_ended() -> None:
    ledger = Ledger(2)
    ledger.attribute(0, State.WAIT_DRAM, 3)
    ledger.attribute(0, State.BUSY, 7)
    ledger.attribute(0, State.WAIT_PPU, 8)
    ledger.attribute(1, State.BUSY, 2)
    assert [ledger.until(group) for group in range(2)] == [8, 2]
    spent = ledger.close(10)
    assert spent[0, [State.WAIT_DRAM, State.BUSY, State.WAIT_PPU]].tolist() == [3, 7 - 3, 8 - 7]
    assert spent[:, State.IDLE].tolist() == [10 - 8, 10 - 2]
    assert spent.sum(axis=1).tolist() == [10, 10]


def test_an_interval_of_no_cycles_changes_nothing() -> None:
    ledger = Ledger(1)
    ledger.attribute(0, State.BUSY, 0)
    assert ledger.close(4)[0].tolist() == [4 if state is State.IDLE else 0 for state in State]


def test_an_interval_that_overlaps_an_earlier_one_is_a_fault() -> None:
    ledger = Ledger(2)
    ledger.attribute(1, State.BUSY, 6)
    with pytest.raises(LedgerError) as caught:
        ledger.attribute(1, State.BUSY, 5)
    assert str(caught.value) == "group 1: time is attributed up to cycle 6, not only up to 5"


def test_a_step_that_ends_before_its_groups_do_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.attribute(0, State.BUSY, 6)
    with pytest.raises(LedgerError) as caught:
        ledger.close(5)
    assert str(caught.value) == "group 0: time is attributed up to cycle 6, not only up to 5"
