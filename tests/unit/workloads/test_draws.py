"""Random draws keyed by their place."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.draws import draw_first_words, keyed_generator


def test_a_place_always_draws_the_same() -> None:
    assert keyed_generator(1, "conv1", "weight").random() == keyed_generator(1, "conv1", "weight").random()


def test_other_places_draw_differently() -> None:
    places: list[tuple[int | str, ...]] = [(), (0,), (0, 0), ("a",), ("b",), ("a", 0), ("a", 1), (0, "a")]
    draws = {keyed_generator(seed, *place).random() for seed in (0, 1, 2**63 - 1) for place in places}
    assert len(draws) == 3 * len(places)


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 - 1])
@pytest.mark.parametrize("places", [0, 1, 2, 3])
def test_first_words_are_those_of_the_keyed_generators(seed: int, places: int) -> None:
    numbers = [*range(100), 2**32 - 1, 2**32, 2**40 + 3, 2**64 - 1]
    place = ("layer1.0", "pruning", 2**33)[:places]
    expected = [
        int(keyed_generator(seed, *place, number).integers(2**64 - 1, dtype=np.uint64, endpoint=True))
        for number in numbers
    ]
    assert draw_first_words(seed, place, numbers).tolist() == expected
