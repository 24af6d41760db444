"""Masks of groups of weights: which live, of weights that are solved for or of patterns that are planted."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from workloads.arrays import BoolArray, Float32Array
from workloads.conformance import check_mask_producer
from workloads.draws import keyed_generator
from workloads.masks.magnitude import MagnitudeMask
from workloads.masks.n_m import choose_largest
from workloads.masks.producer import MaskKey, MaskProducer
from workloads.masks.random_connect import draw_connections
from workloads.masks.table import MASK_PRODUCERS
from workloads.reference.convolution import conv_forward
from workloads.shapes import ConvShape

KEY = MaskKey(1, "conv1")
# The axes (M, C, R, S) along which the weights of a group have their places in common.
GROUPS = {"filter": (0,), "channel": (1,), "shape": (1, 2, 3), "kernel": (0, 1), "kernel_row": (0, 1, 2)}
PARAMETERS: dict[str, dict[str, Any]] = {
    **{method: {"keep": 0.5} for method in GROUPS},
    "block": {"keep": 0.5, "rows": 4, "columns": 3},
    "n_m": {"n": 1, "m": 2},
    "random_connect": {"alpha": 0.5},
}
LAYER = (16, 8, 3, 3)


def make(method: str, **parameters: Any) -> MaskProducer:
    """Make a producer as a workload's file does."""
    form = MASK_PRODUCERS.load(method)
    return form.model_validate({"method": method, **PARAMETERS[method], **parameters})


def draw(*shape: int, seed: int = 1) -> Float32Array:
    """Draw weights."""
    return keyed_generator(seed, "weights").standard_normal(shape, np.float32)


def find_mask(method: str, weights: Float32Array, key: MaskKey = KEY, **parameters: Any) -> BoolArray:
    """Give what lives of the weights."""
    return make(method, **parameters).produce(weights, None, key).mask


def count_live_rows(mask: BoolArray) -> float:
    """Give the share of kernel rows with a nonzero: that of the row operations that are left of dense activations."""
    return float(mask.any(axis=3).mean())


@pytest.mark.parametrize("method", PARAMETERS)
@pytest.mark.parametrize("mode", ["solve", "plant"])
@pytest.mark.parametrize("freeze", [False, True])
def test_the_shipped_producers_keep_their_laws(method: str, mode: str, freeze: bool) -> None:
    mode_field = {} if method == "random_connect" else {"mode": mode}
    check_mask_producer(make(method, **mode_field, freeze=freeze))


def test_there_is_a_producer_for_each_method() -> None:
    assert set(MASK_PRODUCERS.built_in) == {*PARAMETERS, "magnitude", "file"}


@pytest.mark.parametrize("method", GROUPS)
@pytest.mark.parametrize("mode", ["solve", "plant"])
def test_groups_live_or_die_as_a_whole(method: str, mode: str) -> None:
    mask = find_mask(method, draw(*LAYER), mode=mode)
    other = tuple({0, 1, 2, 3} - {*GROUPS[method]})
    lives = mask.any(axis=other)
    np.testing.assert_array_equal(lives, mask.all(axis=other))
    assert lives.mean() == 0.5


@pytest.mark.parametrize("method", GROUPS)
def test_the_groups_of_the_largest_norms_live(method: str) -> None:
    weights = draw(*LAYER)
    other = tuple({0, 1, 2, 3} - {*GROUPS[method]})
    mask = find_mask(method, weights, keep=0.25)
    norms = np.sqrt(np.square(weights.astype(np.float64)).sum(axis=other))
    lives = mask.any(axis=other)
    assert np.count_nonzero(lives) == norms.size // 4
    assert norms[lives].min() > norms[~lives].max()


@pytest.mark.parametrize("method", [*GROUPS, "block"])
def test_a_planted_support_is_recovered_from_the_weights(method: str) -> None:
    planted = make(method, mode="plant").produce(draw(*LAYER), None, KEY)
    np.testing.assert_array_equal(find_mask(method, planted.weights), planted.mask)


@pytest.mark.parametrize("method", [*GROUPS, "block"])
def test_of_equal_norms_the_first_live(method: str) -> None:
    sparse = {"columns": 9} if method == "block" else {}
    mask = find_mask(method, np.ones((4, 2, 3, 3), np.float32), **sparse)
    assert mask.reshape(-1)[0]
    assert not mask.reshape(-1)[-1]


@pytest.mark.parametrize(("method", "expected"), [
    ("filter", [[1, 1, 1], [0, 0, 0]]), ("channel", [[0, 0, 1], [0, 0, 1]]), ("shape", [[0, 0, 1], [0, 0, 1]]),
    ("kernel", [[0, 0, 1], [0, 0, 0]]), ("kernel_row", [[0, 0, 1], [0, 0, 0]]), ("block", [[0, 0, 1], [0, 0, 1]]),
])  # fmt: skip
def test_weights_of_a_fully_connected_layer_are_kernels_of_one_value(method: str, expected: list[list[int]]) -> None:
    weights = np.array([[-2, 1, 4], [2, 1, -3]], np.float32)
    sizes = {"rows": 2, "columns": 2} if method == "block" else {}
    np.testing.assert_array_equal(find_mask(method, weights, keep=0.2, **sizes), np.array(expected) != 0)


@pytest.mark.parametrize("method", [method for method in PARAMETERS if method != "random_connect"])
def test_what_is_planted_follows_from_seed_and_layer_and_not_from_weights(method: str) -> None:
    planted = find_mask(method, draw(*LAYER), mode="plant")
    np.testing.assert_array_equal(find_mask(method, draw(*LAYER, seed=2), mode="plant"), planted)
    for key in (MaskKey(2, "conv1"), MaskKey(1, "conv2")):
        assert (find_mask(method, draw(*LAYER), key, mode="plant") != planted).any()
    assert (find_mask(method, draw(*LAYER)) != find_mask(method, draw(*LAYER, seed=2))).any()
    assert make(method, mode="plant").words == f"weights masked by {method}, planted (unrepresentative)"
    assert make(method).words == f"weights masked by {method}"


# Row operations that are left of a layer of 16 x 8 kernels of 3 x 3: whole rows die with their group, others where all
# three of their weights do.
@pytest.mark.parametrize("method", ["filter", "channel", "kernel", "kernel_row"])
@pytest.mark.parametrize("mode", ["solve", "plant"])
def test_whole_rows_leave_as_many_row_operations_as_weights(method: str, mode: str) -> None:
    mask = find_mask(method, draw(*LAYER), mode=mode)
    assert count_live_rows(mask) == mask.mean() == 0.5


def test_blocks_that_are_a_kernel_row_of_all_filters_leave_as_many_too() -> None:
    mask = find_mask("block", draw(*LAYER), rows=16, columns=3)
    assert count_live_rows(mask) == mask.mean() == 0.5
    assert (mask.any(axis=(0, 3)) == mask.all(axis=(0, 3))).all()


@pytest.mark.parametrize(("keep", "live"), [(0.5, 36), (0.1, 7)])
def test_shapes_leave_a_row_unless_all_its_weights_are_zero(keep: float, live: int) -> None:
    places = 8 * 3 * 3
    expected = 1 - comb(places - live, 3) / comb(places, 3)
    shares = []
    for seed in range(200):
        mask = find_mask("shape", draw(*LAYER), MaskKey(seed, "conv1"), keep=keep, mode="plant")
        assert mask.mean() == live / places
        shares.append(count_live_rows(mask))
    # Of 24 rows with equal chances: four standard errors of the mean.
    assert np.mean(shares) == pytest.approx(expected, abs=4 * np.std(shares) / np.sqrt(len(shares)))
    assert expected == pytest.approx({0.5: 0.88, 0.1: 0.27}[keep], abs=0.005)


@pytest.mark.parametrize(("keep", "kernel"), [(0.5, 3), (0.1, 3), (0.1, 5)])
def test_single_weights_leave_a_row_unless_all_its_weights_are_zero(keep: float, kernel: int) -> None:
    weights = draw(64, 64, kernel, kernel)
    mask = MagnitudeMask(method="magnitude", keep=keep).produce(weights, None, KEY).mask
    dead = (1 - keep) ** kernel
    assert 1 - count_live_rows(mask) == pytest.approx(dead, abs=4 * np.sqrt(dead * (1 - dead) / (64 * 64 * kernel)))


# W. Wen et al., "Learning Structured Sparsity in Deep Neural Networks", arXiv:1608.03665: filters and channels, or
# shapes and filters, that are left of LeNet's convolutions, and the FLOPs.
@pytest.mark.parametrize(("shape", "kept", "percent"), [
    ((20, 1, 5, 5), {"filter": 5}, 25), ((50, 20, 5, 5), {"filter": 19, "channel": 4}, 7.6),
    ((20, 1, 5, 5), {"filter": 3}, 15), ((50, 20, 5, 5), {"filter": 12, "channel": 3}, 3.6),
    ((20, 1, 5, 5), {"shape": 21, "filter": 2}, 8.4), ((50, 20, 5, 5), {"shape": 41}, 8.2),
    ((20, 1, 5, 5), {"shape": 7, "filter": 1}, 1.4), ((50, 20, 5, 5), {"shape": 14}, 2.8),
])  # fmt: skip
def test_what_is_left_of_lenet_is_what_was_published(
    shape: tuple[int, ...], kept: dict[str, int], percent: float
) -> None:
    weights, whole = draw(*shape), {"filter": shape[0], "channel": shape[1], "shape": int(np.prod(shape[1:]))}
    for method, count in kept.items():
        weights = make(method, keep=count / whole[method]).produce(weights, None, KEY).weights
    assert 100 * np.count_nonzero(weights) / weights.size == pytest.approx(percent, abs=1e-9)


def test_blocks_at_the_edges_are_smaller() -> None:
    weights = np.ones((3, 5), np.float32)
    weights[2, 4] = 9
    np.testing.assert_array_equal(
        find_mask("block", weights, rows=2, columns=2, keep=0.3),
        [[True, True, False, False, False], [True, True, False, False, False], [False, False, False, False, True]],
    )
    # A block may be larger than the matrix, and is then the only one.
    assert find_mask("block", weights, rows=2**24, columns=2**24).all()


@pytest.mark.parametrize("mode", ["solve", "plant"])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 3), (3, 3), (1, 40)])
@pytest.mark.parametrize("along", ["channel", "kernel", "row"])
def test_exactly_n_of_m_neighbours_live(along: str, n: int, m: int, mode: str) -> None:
    weights = draw(6, 10, 3, 3)
    mask = find_mask("n_m", weights, n=n, m=m, along=along, mode=mode)
    lines = {"channel": np.moveaxis(mask, 1, -1), "kernel": mask.reshape(6, 10, 9), "row": mask}[along]
    for begin in range(0, lines.shape[-1], m):
        group = lines[..., begin : begin + m]
        assert (group.sum(axis=-1) == min(n, group.shape[-1])).all()


@pytest.mark.parametrize("along", ["channel", "kernel", "row"])
def test_the_largest_neighbours_live_and_of_equal_ones_the_first(along: str) -> None:
    line = np.array([1, -3, 2, 2, 0, 0, 0, 0, 5, 6, 7], np.float32)
    alive = [False, True, True, False, True, True, False, False, False, True, True]
    np.testing.assert_array_equal(find_mask("n_m", line[None], n=2, m=4, along=along)[0], alive)
    shape = (1, 11, 1, 1) if along == "channel" else (1, 1, 1, 11)
    np.testing.assert_array_equal(find_mask("n_m", line.reshape(shape), n=2, m=4, along=along).reshape(-1), alive)


def test_n_m_agrees_with_a_sort_of_each_group() -> None:
    scores = keyed_generator(1, "scores").random((5, 21))
    expected = np.zeros(scores.shape, np.bool_)
    for row in range(5):
        for begin in range(0, 21, 8):
            for column in sorted(range(begin, min(begin + 8, 21)), key=lambda at: -scores[row, at])[:3]:
                expected[row, column] = True
    np.testing.assert_array_equal(choose_largest(scores, 3, 8), expected)


def test_more_than_all_neighbours_cannot_live() -> None:
    with pytest.raises(ValidationError, match="n must be at most m, got 5 of 4"):
        make("n_m", n=5, m=4)


@pytest.mark.parametrize(("filters", "channels", "alpha"), [
    (16, 8, 0.5), (16, 8, 0.1), (5, 50, 0.1), (64, 30, 0.17), (7, 3, 1.0), (4, 1, 0.01),
])  # fmt: skip
def test_each_filter_has_equally_many_connections_and_no_channel_is_dead(
    filters: int, channels: int, alpha: float
) -> None:
    mask = find_mask("random_connect", draw(filters, channels, 3, 3), alpha=alpha)
    connections = mask.any(axis=(2, 3))
    np.testing.assert_array_equal(connections, mask.all(axis=(2, 3)))
    count = max(1, int(np.floor(alpha * channels + 0.5)))
    assert (connections.sum(axis=1) == count).all()
    reads = connections.sum(axis=0)
    assert reads.max() - reads.min() <= 1
    assert reads.min() >= 1 or filters * count < channels
    assert count_live_rows(mask) == connections.mean() == count / channels


def test_connections_are_drawn_of_all_channels_alike() -> None:
    counts = sum(draw_connections(keyed_generator(seed, "draw"), 1, 6, 2).astype(np.int64) for seed in range(600))
    # Binomial of 600 draws at 1 / 3: four standard deviations.
    assert np.abs(counts - 200).max() <= 4 * np.sqrt(600 * 2 / 9)


def test_random_connections_follow_from_seed_and_layer() -> None:
    found = find_mask("random_connect", draw(*LAYER))
    np.testing.assert_array_equal(found, find_mask("random_connect", draw(*LAYER, seed=2)))
    for key in (MaskKey(2, "conv1"), MaskKey(1, "conv2")):
        assert (find_mask("random_connect", draw(*LAYER), key) != found).any()
    assert make("random_connect").words == "weights masked by random_connect, planted (unrepresentative)"


def test_a_masked_convolution_reads_the_connected_channels_alone() -> None:
    shape = ConvShape(2, 8, 6, 6, 16, 3, 3, padding=(1, 1, 1, 1))
    images, weights = draw(2, 8, 6, 6, seed=3), draw(*LAYER)
    found = make("random_connect", alpha=0.25).produce(weights, None, KEY)
    whole = conv_forward(images.astype(np.float64), found.weights.astype(np.float64), shape)
    narrow = ConvShape(2, 2, 6, 6, 1, 3, 3, padding=(1, 1, 1, 1))
    for filter_, row in enumerate(found.mask.any(axis=(2, 3))):
        (read,) = np.nonzero(row)
        gathered = conv_forward(
            np.ascontiguousarray(images[:, read], np.float64), weights[filter_ : filter_ + 1, read].astype(np.float64),
            narrow,
        )  # fmt: skip
        np.testing.assert_allclose(whole[:, filter_ : filter_ + 1], gathered, atol=1e-13)
