"""Decks, their weights and the jackknife: against closed forms, and against made-up populations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.machine.recurrence import compose_tiles
from sim.machine.surroundings import Surroundings
from sim.sampling.deck import MOST_GROUPS, Deck, estimate_spreads, make_deck
from sim.sampling.design import DRAWN, Effort, StepDraws, TileDraws, TilePopulation, TileSample, draw_all
from sim.sampling.measures import Measure, TileOrder, sum_measures, time_deck

FloatArray = NDArray[np.float64]


def draw(clusters: int, classes: list[int], effort: Effort | None, seed: int = 1) -> TileSample:
    population = TilePopulation(np.zeros(clusters, np.int64), np.array(classes, dtype=np.int64))
    draws = StepDraws(seed, "layer", "forward")
    tiles = TileDraws(population, draws, draws.order_images(clusters))
    return tiles.draw(draw_all(population) if effort is None else effort)


def total(sample: TileSample, values: FloatArray) -> tuple[float, float, float]:
    """Estimate a sum: the estimate, its variance, and the same sum over the table that the deck makes."""
    drawn = values[sample.tiles]
    found, (spread,) = estimate_spreads(sample, lambda deck: np.array([deck.weights @ drawn]))
    return float(found[0]), spread.variance, float(drawn[make_deck(sample).donors].sum())


def test_what_is_drawn_whole_is_exact() -> None:
    values = np.random.default_rng(1).random((5, 9))
    found, variance, dealt = total(draw(5, [0] * 9, None), values)
    assert (found, dealt) == (pytest.approx(values.sum()), pytest.approx(values.sum()))
    assert variance == 0


def test_whole_clusters_have_the_textbook_variance() -> None:
    N, n = 40, 8
    values = np.random.default_rng(2).random((N, 3))
    sample = draw(N, [0, 0, 0], Effort(n))
    sums = values[sample.tiles.any(axis=1)].sum(axis=1)
    found, variance, dealt = total(sample, values)
    assert found == pytest.approx(N / n * sums.sum())
    assert variance == pytest.approx(N**2 * (1 - n / N) * sums.var(ddof=1) / n)
    assert dealt == pytest.approx(found)


def test_two_stages_have_the_textbook_variance() -> None:
    N, n, M = 30, 8, 10
    values = np.random.default_rng(3).random((N, M))
    sample = draw(N, [0] * M, Effort(n))
    drawn = values[sample.tiles].reshape(n, DRAWN)
    sums = M * drawn.mean(axis=1)
    between = N**2 * (1 - n / N) * sums.var(ddof=1) / n
    within = N / n * (M**2 * (1 - DRAWN / M) * drawn.var(axis=1, ddof=1) / DRAWN).sum()
    found, variance, _ = total(sample, values)
    assert found == pytest.approx(N / n * sums.sum())
    assert variance == pytest.approx(between + within)


def test_a_single_cluster_varies_by_its_places_alone() -> None:
    M = 12
    values = np.random.default_rng(4).random((1, M))
    sample = draw(1, [0] * M, Effort(1))
    found, variance, _ = total(sample, values)
    drawn = values[sample.tiles]
    assert found == pytest.approx(M * drawn.mean())
    assert variance == pytest.approx(M**2 * (1 - DRAWN / M) * drawn.var(ddof=1) / DRAWN)


def test_donors_serve_equally_often_and_within_their_class() -> None:
    sample = draw(41, [0] * 11 + [1] * 6, Effort(8))
    deck = make_deck(sample)
    kinds = np.array([0] * 11 + [1] * 6)
    places = np.argwhere(sample.tiles)[:, 1]
    assert (kinds[places[deck.donors]] == kinds[None, :]).all()
    clusters = np.argwhere(sample.tiles)[:, 0]
    assert len(set(map(tuple, clusters[deck.donors]))) == 8
    served = np.bincount(clusters[deck.donors][:, 0])
    assert served[served > 0].max() - served[served > 0].min() <= 1
    assert deck.weights.sum() == pytest.approx(41 * 17)
    assert deck.cluster_weights.sum() == pytest.approx(41)


def make_tiles(rng: np.random.Generator, clusters: int, places: int, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make tiles whose durations and bytes go with their image, their place and, skewed, with neither."""
    image = np.exp(0.15 * rng.standard_normal((clusters, 1)))
    place = 1000 * (1 + classes) * np.exp(0.2 * rng.standard_normal(places))
    tiles = np.zeros((clusters, places, len(Measure)), dtype=np.int64)
    sizes = {Measure.DURATION: place, Measure.LOAD_BYTES: 0.6 * place, Measure.WRITE_BACK_BYTES: 300}
    for measure, size in sizes.items():
        tiles[:, :, measure] = size * image * np.exp(0.2 * rng.standard_normal((clusters, places)))
    return tiles


EFFORTS = [(64, Effort(8)), (20, Effort(16)), (4, Effort(4, 1)), (1, Effort(1, 1))]


@pytest.mark.parametrize(("clusters", "effort"), EFFORTS)
@pytest.mark.parametrize("bytes_per_cycle", [1, 2])
def test_intervals_hold_the_cycles_of_made_up_steps(clusters: int, effort: Effort, bytes_per_cycle: int) -> None:
    places, draws, held, errors, widths = 60, 60, 0, [], []
    classes = np.arange(places) * 3 // places
    tiles = make_tiles(np.random.default_rng(clusters), clusters, places, classes)
    speeds = Surroundings(dram_bytes_per_cycle=bytes_per_cycle, dram_latency_cycles=50)
    order = TileOrder((clusters, places), image_axis=0)
    columns = (np.ascontiguousarray(tiles.reshape(-1, len(Measure))[:, column]) for column in range(3))
    truth, _, _ = compose_tiles(*columns, bytes_per_cycle, 50)
    for seed in range(draws):
        sample = draw(clusters, classes.tolist(), effort, seed)
        drawn = tiles[sample.tiles]

        def time(deck: Deck, drawn: NDArray[np.int64] = drawn) -> FloatArray:
            return np.array([float(time_deck(deck, drawn, order, speeds).cycles)])

        found, (spread,) = estimate_spreads(sample, time)
        held += abs(found[0] - truth) <= spread.half_width
        errors.append(found[0] - truth)
        widths.append(spread.half_width)
    # Nominally 95 %; two standard deviations of 60 draws below 90 %.
    assert held / draws >= 0.90 - 2 * np.sqrt(0.9 * 0.1 / draws)
    assert abs(np.mean(errors)) < np.mean(widths) / 2


def test_the_order_of_tiles_puts_the_images_where_their_axis_is() -> None:
    runs, axis = (2, 3, 4), 1
    order = TileOrder(runs, axis)
    table = np.arange(24).reshape(3, 8)
    arranged = order.arrange(table)
    for tile, (i, n, j) in enumerate(np.ndindex(*runs)):
        assert arranged[tile] == table[n, i * 4 + j]
        assert order.number(np.array([n]), np.array([i * 4 + j]))[0] == tile


def test_a_deck_of_all_tiles_is_timed_as_they_are() -> None:
    rng = np.random.default_rng(5)
    tiles = make_tiles(rng, 3, 7, np.zeros(7, dtype=np.int64))
    sample = draw(3, [0] * 7, None)
    flat = tiles.reshape(-1, len(Measure))
    speeds = Surroundings(dram_bytes_per_cycle=2, dram_latency_cycles=50)
    found = time_deck(make_deck(sample), tiles[sample.tiles], TileOrder((3, 7), 0), speeds)
    columns = (np.ascontiguousarray(flat[:, column]) for column in range(3))
    assert (found.cycles, found.last_start, found.dram_busy_cycles) == compose_tiles(*columns, 2, 50)
    assert sum_measures(make_deck(sample), tiles[sample.tiles])[Measure.DURATION] == flat[:, Measure.DURATION].sum()


def test_of_many_tiles_groups_are_left_out_with_the_textbook_variance_on_average() -> None:
    M, halvings, seeds = 520, 7, 40
    ratios, calls = [], 0
    for seed in range(seeds):
        values = np.random.default_rng(seed).random((1, M))
        sample = draw(1, [0] * M, Effort(1, halvings), seed)
        drawn = values[sample.tiles]
        assert len(drawn) == DRAWN * 2**halvings

        def count_up(deck: Deck, drawn: FloatArray = drawn) -> FloatArray:
            nonlocal calls
            calls += 1
            return np.array([deck.weights @ drawn])

        found, (spread,) = estimate_spreads(sample, count_up)
        # 520 places in 128 runs: a run of 5 gives each of its two a greater weight than a run of 4.
        assert found[0] == pytest.approx(M * drawn.mean(), rel=0.05)
        assert spread.degrees == MOST_GROUPS - 1
        ratios.append(spread.variance / (M**2 * (1 - len(drawn) / M) * drawn.var(ddof=1) / len(drawn)))
    assert calls == seeds * (1 + MOST_GROUPS)
    # Each ratio has a standard deviation of about (2 / 63)^0.5 = 0.18, the mean of 40 one of 0.03.
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
