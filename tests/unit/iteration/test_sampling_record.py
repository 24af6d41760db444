from __future__ import annotations

from sim.iteration.sampling_record import list_misses


def test_an_interval_that_is_wider_than_aimed_at_is_told() -> None:
    totals = {"machines": {name: {"network": {"cycles": 1000}} for name in ("a", "b")}}
    record = {
        "machines": {
            "a": {"sampled_fraction": 0.125, "network": {"cycles_ci95": 25.0}},
            "b": {"sampled_fraction": 0.5, "network": {"cycles_ci95": 10.0}},
        }
    }
    assert list_misses(record, totals, aim=0.01) == [
        "the interval of total cycles on 'a' is +- 2.50%, wider than the 1% that sample auto aims at; "
        "a fraction above 0.125 narrows it"
    ]
