"""Augmentation against the same in loops, with the draws of the same generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from workloads.draws import keyed_generator
from workloads.training.augmentation import Augmentation, augmentation_generator

SHAPE = 6, 2, 5, 7


def draw_images(dtype: Any = np.uint8) -> NDArray[Any]:
    """Draw images without a zero, so that every zero was put there."""
    return np.random.default_rng(3).integers(1, 256, SHAPE).astype(dtype)


def make_generator() -> np.random.Generator:
    return augmentation_generator(seed=4, epoch=2, batch=7)


def crop_slowly(images: NDArray[Any], padding: int, draws: np.random.Generator) -> NDArray[Any]:
    n, C, H, W = images.shape
    tops, lefts = draws.integers(2 * padding + 1, size=n), draws.integers(2 * padding + 1, size=n)
    found = np.zeros_like(images)
    for image in range(n):
        for c in range(C):
            for h in range(H):
                for w in range(W):
                    row, column = h + tops[image] - padding, w + lefts[image] - padding
                    if 0 <= row < H and 0 <= column < W:
                        found[image, c, h, w] = images[image, c, row, column]
    return found


def flip_slowly(images: NDArray[Any], draws: np.random.Generator) -> NDArray[Any]:
    found = images.copy()
    for image, draw in enumerate(draws.random(len(images))):
        if draw < 0.5:
            for w in range(images.shape[3]):
                found[image, :, :, w] = images[image, :, :, images.shape[3] - 1 - w]
    return found


def cut_slowly(images: NDArray[Any], length: int, draws: np.random.Generator) -> NDArray[Any]:
    n, _, H, W = images.shape
    rows, columns = draws.integers(H, size=n), draws.integers(W, size=n)
    found = images.copy()
    for image in range(n):
        for h in range(rows[image] - length // 2, rows[image] - length // 2 + length):
            for w in range(columns[image] - length // 2, columns[image] - length // 2 + length):
                if 0 <= h < H and 0 <= w < W:
                    found[image, :, h, w] = 0
    return found


@pytest.mark.parametrize("padding", [1, 2, 9])
def test_a_crop_is_a_window_of_the_image_in_zeros(padding: int) -> None:
    images = draw_images()
    found = Augmentation(crop=padding).change_pixels(images, make_generator())
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, crop_slowly(images, padding, make_generator()))
    assert (found != images).any()


def test_a_flip_mirrors_left_to_right() -> None:
    images = draw_images()
    found = Augmentation(flip=True).change_pixels(images, make_generator())
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, flip_slowly(images, make_generator()))
    is_same = [np.array_equal(one, other) for one, other in zip(found, images, strict=True)]
    assert 0 < sum(is_same) < len(images)


@pytest.mark.parametrize("length", [1, 2, 3, 40])
def test_a_square_is_cut_out_as_far_as_it_lies_in_the_image(length: int) -> None:
    images = draw_images(np.float32)
    found = Augmentation(cutout=length).cut_out(images, make_generator())
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, cut_slowly(images, length, make_generator()))
    assert (found == 0).any()


def test_one_generator_crops_and_then_flips_and_then_cuts_out() -> None:
    images = draw_images()
    augmentation, draws = Augmentation(crop=2, flip=True, cutout=3), make_generator()
    found = augmentation.cut_out(augmentation.change_pixels(images, draws).astype(np.float32), draws)
    draws = make_generator()
    pixels = flip_slowly(crop_slowly(images, 2, draws), draws).astype(np.float32)
    np.testing.assert_array_equal(found, cut_slowly(pixels, 3, draws))


def test_without_augmentation_images_are_what_they_were_and_nothing_is_drawn() -> None:
    images, draws = draw_images(), make_generator()
    assert Augmentation().change_pixels(images, draws) is images
    floats = images.astype(np.float32)
    assert Augmentation().cut_out(floats, draws) is floats
    assert draws.random() == make_generator().random()


def test_half_of_many_images_are_flipped_and_every_place_is_drawn() -> None:
    # Of 4,096 fair draws fewer than 1,900 or more than 2,196 fall on one side with a probability below 1e-5.
    images = np.zeros((4096, 1, 1, 2), np.uint8)
    images[:, 0, 0, 0] = 1
    flipped = Augmentation(flip=True).change_pixels(images, make_generator())[:, 0, 0, 1].sum()
    assert 1900 < flipped < 2196
    spot = np.zeros((4096, 1, 3, 3), np.uint8)
    spot[:, 0, 1, 1] = 1
    counts = Augmentation(crop=1).change_pixels(spot, make_generator())[:, 0].astype(int).sum(axis=0)
    # Each of nine places with a mean of 455: outside 350..560 with a probability below 1e-5 in all.
    assert counts.sum() == 4096
    assert (counts > 350).all()
    assert (counts < 560).all()


def test_draws_are_keyed_by_seed_epoch_and_batch() -> None:
    places = [(4, 2, 7), (5, 2, 7), (4, 3, 7), (4, 2, 8), (4, 7, 2)]
    assert len({augmentation_generator(*place).random() for place in places}) == len(places)
    assert make_generator().random() == keyed_generator(4, "augmentation", 2, 7).random()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"crop": -1}, "Input should be greater than or equal to 0"),
        ({"cutout": 5000}, "Input should be less than or equal to 4096"),
        ({"flip": 1}, "Input should be a valid boolean"),
        ({"rotate": 10}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_change_nothing_known_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        Augmentation.model_validate(settings)
    assert [one["msg"] for one in error.value.errors()] == [words]
