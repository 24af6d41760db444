"""The states of groups, from estimates that need not agree."""

from __future__ import annotations

import pytest

from sim.sampling.step_sample import fit_states

TOTAL = 100


@pytest.mark.parametrize(
    ("estimated", "fitted"),
    [
        ((50, 10, 5, 15), (50, 10, 20, 5, 15)),
        ((50, 10, 5, 35), (50, 10, 0, 5, 35)),
        ((60, 20, 10, 25), (60, 20, 0, 10, 10)),
        ((80, 20, 10, 5), (70, 20, 0, 10, 0)),
        ((10, 90, 30, 5), (0, 70, 0, 30, 0)),
        ((50, 10, 5, -4), (50, 10, 35, 5, 0)),
    ],
    ids=["rest waits", "no rest", "idle gives way", "busy gives way", "waits give way", "negative idle"],
)
def test_states_sum_to_the_total_and_none_is_negative(
    estimated: tuple[int, int, int, int], fitted: tuple[int, int, int, int, int]
) -> None:
    found = fit_states(TOTAL, *estimated)
    assert found == fitted
    assert sum(found) == TOTAL
