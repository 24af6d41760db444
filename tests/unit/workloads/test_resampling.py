"""Adaptive averages and larger images: values of torch, and weights that sum to one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.reference.resampling import resample, weigh_adaptive, weigh_linear, weigh_nearest

IMAGE = np.arange(1.0, 13).reshape(1, 1, 3, 4)


def show(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> list[list[float]]:
    made: list[list[float]] = resample(IMAGE, rows, columns)[0, 0].tolist()
    return made


def test_the_values_are_those_of_torch() -> None:
    # torch 2.13: adaptive_avg_pool2d(image, (2, 3)) and interpolate(image, scale_factor=(2, 1), mode="bilinear").
    assert show(weigh_adaptive(3, 2), weigh_adaptive(4, 3)) == [[3.5, 4.5, 5.5], [7.5, 8.5, 9.5]]
    assert show(weigh_linear(3, 2, False), np.eye(4)) == [
        [1, 2, 3, 4], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9], [8, 9, 10, 11], [9, 10, 11, 12],
    ]  # fmt: skip


def test_aligned_corners_keep_the_corners() -> None:
    larger = np.array(show(weigh_linear(3, 2, True), weigh_linear(4, 2, True)))
    assert larger.shape == (6, 8)
    assert (larger[0, 0], larger[0, -1], larger[-1, 0], larger[-1, -1]) == (1, 4, 9, 12)
    # Between the corners the image is the plane that it was.
    np.testing.assert_allclose(larger, np.linspace(1, 9, 6)[:, None] + np.linspace(0, 3, 8), rtol=1e-12)


def test_the_nearest_neighbour_stands_as_often_as_the_image_grows() -> None:
    assert show(weigh_nearest(3, 1), weigh_nearest(4, 2)) == [
        [1, 1, 2, 2, 3, 3, 4, 4], [5, 5, 6, 6, 7, 7, 8, 8], [9, 9, 10, 10, 11, 11, 12, 12],
    ]  # fmt: skip


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize(
    "weigh",
    [lambda size: weigh_adaptive(size, 3), lambda size: weigh_linear(size, 3, False),
     lambda size: weigh_linear(size, 2, True), lambda size: weigh_nearest(size, 2)],
)  # fmt: skip
def test_weights_are_shares(weigh: Callable[[int], NDArray[np.float64]], size: int) -> None:
    weights = weigh(size)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("size", "scale", "align_corners", "on_inputs"),
    [(8, 7, True, {0: 0, 55: 7}), (29, 3, True, {0: 0, 43: 14, 86: 28}), (29, 3, False, {1: 0, 43: 14, 85: 28})],
)
def test_an_output_on_an_input_is_that_one_alone(
    size: int, scale: int, align_corners: bool, on_inputs: dict[int, int]
) -> None:
    weights = weigh_linear(size, scale, align_corners)
    for output, place in on_inputs.items():
        np.testing.assert_array_equal(weights[output], np.eye(size)[place])
