"""Random fields whose zeros stand together."""

from __future__ import annotations

from math import exp, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.fields import cut_field, draw_field, make_kernel
from workloads.profile import find_profile, read_profile
from workloads.settings import Clustering

STRONG = Clustering(correlation_length=1.5, channel_variance=0.2, image_variance=0.1)


def draw(clustering: Clustering | None, images: int, shape: tuple[int, ...] = (40, 16, 16)) -> NDArray[np.float32]:
    return np.stack([draw_field(shape, clustering, 1, "relu1", image) for image in range(images)])


@pytest.mark.parametrize("clustering", [None, STRONG, Clustering(correlation_length=0.0)])
def test_every_element_is_standard_normal(clustering: Clustering | None) -> None:
    # Over seeds: each gives one draw of one element, so n draws of a mean are known to 1 / sqrt(n), a variance to
    # sqrt(2 / n); five of those.
    n = 2000
    corner = np.array([draw_field((2, 3, 3), clustering, seed, "a", 0)[1, 0, 2] for seed in range(n)], np.float64)
    assert abs(corner.mean()) < 5 / sqrt(n)
    assert abs(corner.var() - 1) < 5 * sqrt(2 / n)


@pytest.mark.parametrize("clustering", [None, STRONG])
@pytest.mark.parametrize("density", [0.1, 0.6])
def test_the_density_is_exact_in_expectation(clustering: Clustering | None, density: float) -> None:
    n = 400
    shares = [np.count_nonzero(cut_field(draw_field((3, 4, 4), clustering, seed, "a", 0), density)) / 48
              for seed in range(n)]  # fmt: skip
    # The seeds are independent; five standard errors of their mean.
    assert abs(np.mean(shares) - density) < 5 * np.std(shares) / sqrt(n)


def test_neighbours_correlate_as_the_model_says() -> None:
    field = draw(Clustering(correlation_length=1.5, channel_variance=0.0, image_variance=0.0), 30)
    for distance in (1, 2, 3):
        found = (field[..., distance:] * field[..., :-distance]).mean()
        expected = exp(-(distance**2) / (4 * 1.5**2))
        # 30 x 40 planes of 16 x 16 / (4 pi 1.5^2) independent patches each know a product to about 1.5.
        assert abs(found - expected) < 5 * 1.5 / sqrt(30 * 40 * 16 * 16 / (4 * np.pi * 1.5**2))


def test_channels_and_images_differ_by_their_shares_of_the_variance() -> None:
    only_channels = draw(Clustering(correlation_length=0.0, channel_variance=0.9, image_variance=0.0), 4, (500, 4, 4))
    means = only_channels.mean(axis=(0, 2, 3))
    # The variance of 500 means is known to sqrt(2 / 500) of itself; what is left of the elements' own adds 0.1 / 64.
    assert abs(means.var() - 0.9 - 0.1 / 64) < 5 * 0.9 * sqrt(2 / 500)
    only_images = draw(Clustering(correlation_length=0.0, channel_variance=0.0, image_variance=0.9), 300, (4, 4, 4))
    assert abs(only_images.mean(axis=(1, 2, 3)).var() - 0.9 - 0.1 / 64) < 5 * 0.9 * sqrt(2 / 300)


def test_the_kernel_keeps_the_variance() -> None:
    for length in (0.0, 0.3, 0.8, 4.0):
        kernel = make_kernel(length)
        # float32 rounds each of the squares.
        assert (kernel.astype(np.float64) ** 2).sum() == pytest.approx(1, rel=1e-6)
        assert len(kernel) % 2 == 1
    assert make_kernel(0.0).tolist() == [1.0]


def test_a_cut_field_is_the_excess_over_the_threshold() -> None:
    field = np.array([-2, 0, 0.1, 3], np.float32)
    threshold = np.float32(NormalDist().inv_cdf(0.5))
    np.testing.assert_array_equal(cut_field(field, 0.5), np.maximum(field - threshold, 0))
    assert cut_field(field, 0.0).tolist() == [0, 0, 0, 0]
    assert cut_field(field, 1.0).tolist() == [2, 1, np.float32(0.1), 3]


@pytest.mark.parametrize(("relu", "pool"), [(2, 1), (4, 2), (7, 3), (10, 4), (13, 5)])
def test_the_defaults_leave_about_as_much_behind_a_pooling_as_was_measured(relu: int, pool: int) -> None:
    densities = list(read_profile(find_profile("vgg16"), "last").densities.values())
    before, behind = densities[relu + pool - 2], densities[relu + pool - 1]
    field = draw(Clustering(), 12, (64, 16, 16))
    # The measured pairs ask for correlations of 0.62 to 0.83, the defaults give 0.72 for all.
    pooled = cut_field(field, before).reshape(12, 64, 8, 2, 8, 2).max(axis=(3, 5))
    assert np.count_nonzero(pooled) / pooled.size == pytest.approx(behind, abs=0.05)
    independent = 1 - (1 - before) ** 4
    assert independent - behind > 0.08


def test_a_field_depends_on_its_place_alone() -> None:
    for clustering in (None, STRONG):
        one = draw_field((3, 5, 5), clustering, 1, "a", 2)
        np.testing.assert_array_equal(one, draw_field((3, 5, 5), clustering, 1, "a", 2))
        for seed, place, image in ((2, "a", 2), (1, "b", 2), (1, "a", 3)):
            assert not np.array_equal(one, draw_field((3, 5, 5), clustering, seed, place, image))
