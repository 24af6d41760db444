"""Items are packed into the longest bursts that fit half an operand store, and large ones are cut."""

from __future__ import annotations

import numpy as np

from dataflows.contract.memory import MemoryShare
from dataflows.tiling.bursts import UNLIMITED_BYTES, count_words
from dataflows.tiling.items import ItemEntries, pack_items
from dataflows.tiling.kinds import find_kinds
from dataflows.tiling.traffic import Bursts

DRIVER, SECOND, PES, MASK = 10, 4, 2, 2
ITEM = DRIVER + PES * SECOND
CYCLES = [1, 2, 5]


def pack(half: int | None, second: int = SECOND) -> Bursts:
    """Pack one entry of three items, whose PEs need their cycles for each."""
    items = len(CYCLES)
    drivers = np.full((1, items, 1), DRIVER)
    cycles = np.tile(np.array(CYCLES)[None, :, None], (PES, 1, 1))
    entries = ItemEntries(*(np.array([value]) for value in (0, PES, 0, items, MASK)))
    rows = drivers, np.full((PES, items, 1), second), cycles
    memory = MemoryShare(None, None if half is None else 2 * half)
    return pack_items([np.array([0])], lambda _: rows, entries, PES, PES, memory)


def test_without_a_limit_an_entry_is_one_burst_with_its_mask() -> None:
    bursts = pack(None)
    assert bursts.size_bytes.tolist() == [3 * ITEM + MASK]
    assert bursts.pe_cycles.tolist() == [[sum(CYCLES)] * PES]
    words = PES * (count_words(DRIVER, 16) + count_words(SECOND, 16))
    assert bursts.store_writes.tolist() == [3 * words + count_words(MASK, 16)]
    assert UNLIMITED_BYTES > 3 * ITEM


def test_a_burst_is_closed_before_the_item_that_does_not_fit() -> None:
    bursts = pack(2 * ITEM)
    assert bursts.size_bytes.tolist() == [2 * ITEM + MASK, ITEM]
    assert bursts.pe_cycles[:, 0].tolist() == [CYCLES[0] + CYCLES[1], CYCLES[2]]


def test_an_item_larger_than_half_a_store_comes_in_equal_segments() -> None:
    bursts = pack(ITEM // 2)
    assert bursts.size_bytes.tolist() == [ITEM // 2 + MASK, *[ITEM // 2] * 5]
    halves = [part for cycles in CYCLES for part in (cycles // 2, cycles - cycles // 2)]
    assert bursts.pe_cycles[:, 0].tolist() == halves


def test_an_item_on_which_no_pe_works_is_none() -> None:
    assert pack(None, second=-1).first.tolist() == [0, 0]


def test_entries_that_agree_in_all_columns_are_of_one_kind() -> None:
    for scale in (1, 1000):
        kinds, kind_of = find_kinds([np.array([0, 1, 0]) * scale, np.array([2, 2, 2])])
        assert kinds.tolist() == [[0, 2], [scale, 2]]
        assert kind_of.tolist() == [0, 1, 0]
