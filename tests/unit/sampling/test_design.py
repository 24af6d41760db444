from __future__ import annotations

import numpy as np
import pytest

from sim.sampling.design import (
    ALL_DRAWN,
    DRAWN,
    FEW_TILES,
    LEAST_CLUSTERS,
    Effort,
    StepDraws,
    TileDraws,
    TilePopulation,
    choose_effort,
    count_drawn,
    draw_all,
    grow,
    halve,
    start_effort,
)


def make_population(clusters: int, *places: int, short: bool = False) -> TilePopulation:
    """Make clusters of one length, the last one short where asked, and so many places of each class."""
    lengths = np.zeros(clusters, dtype=np.int64)
    lengths[-1] = int(short)
    return TilePopulation(lengths, np.repeat(np.arange(len(places)), places).astype(np.int64))


def draw(population: TilePopulation, effort: Effort, seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    draws = StepDraws(seed, "conv1", "gtw")
    order = draws.order_images(len(population.cluster_class))
    sample = TileDraws(population, draws, order).draw(effort)
    assert int(sample.tiles.sum()) == count_drawn(population, effort)
    assert sample.fraction == sample.tiles.mean()
    return sample.tiles


def test_two_places_of_each_class_are_drawn_in_each_drawn_cluster() -> None:
    tiles = draw(make_population(40, 1, 10, 30), Effort(LEAST_CLUSTERS))
    assert sorted(set(tiles.sum(axis=1))) == [0, 1 + DRAWN + DRAWN]
    assert (tiles.sum(axis=1) > 0).sum() == LEAST_CLUSTERS
    assert tiles[tiles.any(axis=1), 0].all()


def test_what_is_as_few_as_three_is_drawn_whole() -> None:
    tiles = draw(make_population(3, 2, ALL_DRAWN, ALL_DRAWN + 1), Effort(1))
    assert tiles[:, : 2 + ALL_DRAWN].all()
    assert (tiles[:, 2 + ALL_DRAWN :].sum(axis=1) == DRAWN).all()


def test_a_short_cluster_is_drawn_whichever_others_are() -> None:
    for seed in range(10):
        assert draw(make_population(40, 10, short=True), Effort(LEAST_CLUSTERS), seed)[-1].any()


@pytest.mark.parametrize("shape", [(40, (1, 10, 30)), (5, (100,)), (1, (7, 90, 4)), (300, (3,))])
def test_larger_samples_hold_smaller_ones_and_end_with_everything(shape: tuple[int, tuple[int, ...]]) -> None:
    population = make_population(shape[0], *shape[1])
    effort: Effort | None = start_effort(population)
    before = np.zeros((shape[0], sum(shape[1])), dtype=np.bool_)
    while effort is not None:
        tiles = draw(population, effort)
        assert (tiles | before == tiles).all()
        assert tiles.sum() > before.sum()
        before, effort = tiles, grow(population, effort)
    assert before.all()


def test_strata_of_places_are_runs_of_neighbours() -> None:
    assert [part.tolist() for part in halve(np.arange(10), 1)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert [part.tolist() for part in halve(np.arange(10), 9)] == [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9]]
    population = make_population(1, 64)
    for halvings in range(5):
        tiles = draw(population, Effort(1, halvings))[0]
        assert (tiles.reshape(2**halvings, -1).sum(axis=1) == DRAWN).all()


def test_every_unit_is_drawn_as_often_as_any_other() -> None:
    population, draws = make_population(20, 10), 2000
    share = sum(draw(population, Effort(LEAST_CLUSTERS), seed).astype(float) for seed in range(draws)) / draws
    expected = LEAST_CLUSTERS / 20 * DRAWN / 10
    # Five standard deviations of a share of independent draws.
    assert np.abs(share - expected).max() < 5 * np.sqrt(expected * (1 - expected) / draws)


def test_another_seed_layer_or_step_draws_others() -> None:
    population = make_population(40, 30)
    keys = ((1, "a", "gta"), (2, "a", "gta"), (1, "b", "gta"), (1, "a", "gtw"))
    every = [StepDraws(*key) for key in keys]
    drawn = [TileDraws(population, draws, draws.order_images(40)).draw(Effort(8)).tiles for draws in every]
    assert all(not np.array_equal(drawn[0], other) for other in drawn[1:])


def test_a_fraction_bounds_what_is_drawn_where_the_least_sample_allows_it() -> None:
    population = make_population(100, 40)
    for fraction in (0.01, 0.05, 0.2, 0.5, 0.9):
        drawn = count_drawn(population, choose_effort(population, fraction))
        assert drawn <= max(fraction * len(population), count_drawn(population, start_effort(population)))
    assert count_drawn(population, choose_effort(population, 1.0)) == len(population)
    assert count_drawn(population, choose_effort(population, 0.05)) > 0.04 * len(population)


def test_a_step_of_few_tiles_is_drawn_whole() -> None:
    population = make_population(1, FEW_TILES)
    assert start_effort(population) == draw_all(population)
    assert grow(population, draw_all(population)) is None
    assert count_drawn(make_population(1, FEW_TILES + 1), start_effort(make_population(1, FEW_TILES + 1))) == DRAWN
