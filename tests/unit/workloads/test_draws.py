"""Random draws keyed by their place."""

from __future__ import annotations

from workloads.draws import keyed_generator


def test_a_place_always_draws_the_same() -> None:
    assert keyed_generator(1, "conv1", "weight").random() == keyed_generator(1, "conv1", "weight").random()


def test_other_places_draw_differently() -> None:
    places: list[tuple[int | str, ...]] = [(), (0,), (0, 0), ("a",), ("b",), ("a", 0), ("a", 1), (0, "a")]
    draws = {keyed_generator(seed, *place).random() for seed in (0, 1, 2**63 - 1) for place in places}
    assert len(draws) == 3 * len(places)
