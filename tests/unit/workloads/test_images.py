"""From a dataset's images to a network's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.datasets import Dataset
from workloads.errors import InputError
from workloads.images import check_image_shape, prepare_images, select_batch


def make_images(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def test_images_are_scaled_to_zero_and_one() -> None:
    images = np.array([0, 51, 102, 255], dtype=np.uint8).reshape(1, 1, 2, 2)
    prepared = prepare_images(images)
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(
        prepared, np.array([0, 51, 102, 255], np.float32).reshape(1, 1, 2, 2) / np.float32(255)
    )


def test_halving_the_size_weighs_pixels_by_their_distance() -> None:
    # Pillow's bilinear filter grows with the reduction: a triangle over four pixels, 1 3 3 1 in eighths.
    images = np.zeros((1, 1, 1, 8), dtype=np.uint8)
    images[0, 0, 0, 3] = 255
    prepared = prepare_images(images, resize=[1, 4])
    # The weights of float32 arithmetic may miss their eighths by a rounding.
    np.testing.assert_allclose(prepared[0, 0, 0], [0, 3 / 8, 1 / 8, 0], atol=1e-6)


def test_images_are_resized_to_height_and_width_or_to_a_square() -> None:
    images = make_images(2, 3, 4, 6)
    assert prepare_images(images, resize=[5, 7]).shape == (2, 3, 5, 7)
    assert prepare_images(images, resize=8).shape == (2, 3, 8, 8)
    np.testing.assert_array_equal(prepare_images(images, resize=(4, 6)), prepare_images(images))


def test_resizing_keeps_images_and_channels_apart() -> None:
    images = make_images(2, 3, 4, 4)
    whole = prepare_images(images, resize=6)
    for n in range(2):
        for channel in range(3):
            alone = prepare_images(images[n : n + 1, channel : channel + 1], resize=6)
            np.testing.assert_array_equal(whole[n, channel], alone[0, 0])


def test_padding_is_background_before_normalisation() -> None:
    images = np.full((1, 1, 2, 2), 255, dtype=np.uint8)
    prepared = prepare_images(images, padding=[1, 2], mean=0.25, std=0.5)
    expected = np.full((1, 1, 4, 6), (0 - 0.25) / 0.5)
    expected[:, :, 1:3, 2:4] = (1 - 0.25) / 0.5
    np.testing.assert_array_equal(prepared, expected)
    np.testing.assert_array_equal(prepare_images(images, padding=1)[0, 0, 0], [0, 0, 0, 0])
    assert prepare_images(images, padding=[0, 3]).shape == (1, 1, 2, 8)
    assert prepare_images(images, padding=[3, 0]).shape == (1, 1, 8, 2)


def test_one_channel_is_repeated_and_three_are_averaged() -> None:
    grey, colour = make_images(2, 1, 3, 3), np.zeros((1, 3, 1, 1), dtype=np.uint8)
    np.testing.assert_array_equal(prepare_images(grey, channels=3), np.repeat(prepare_images(grey), 3, axis=1))
    colour[:, 1] = 255
    np.testing.assert_allclose(prepare_images(colour, channels=1), [[[[1 / 3]]]], rtol=1e-7)  # one float32 rounding
    np.testing.assert_array_equal(prepare_images(grey, channels=1), prepare_images(grey))


def test_mean_and_deviation_may_be_given_for_each_channel() -> None:
    images = np.full((1, 3, 1, 1), 255, dtype=np.uint8)
    prepared = prepare_images(images, mean=[0, 0.5, 0.75], std=[1, 2, 0.5])
    np.testing.assert_array_equal(prepared.ravel(), [1, 0.25, 0.5])


def refuse(images: NDArray[np.uint8], **options: Any) -> str:
    with pytest.raises(InputError) as error:
        prepare_images(images, **options)
    return str(error.value)


def test_pipelines_that_do_not_fit_the_images_are_refused() -> None:
    grey, colour = make_images(1, 1, 2, 2), make_images(1, 3, 2, 2)
    assert refuse(make_images(1, 2, 2, 2), channels=3) == (
        "images of 2 channels cannot be converted to 3; 1 to 3 and 3 to 1 are allowed"
    )
    assert refuse(grey, mean=[0.1, 0.2, 0.3]) == "mean must be one number or one for each of 1 channels, got 3"
    assert refuse(colour, std=[1.0, 1.0]) == "std must be one number or one for each of 3 channels, got 2"
    assert refuse(colour, std=[1.0, 0.0, 1.0]) == "std must be positive, got [1.0, 0.0, 1.0]"


def test_images_of_another_shape_than_the_networks_input_are_refused() -> None:
    images = prepare_images(make_images(2, 1, 28, 28))
    check_image_shape(images.shape[1:], (1, 28, 28), "fashion_mnist")
    with pytest.raises(InputError) as error:
        check_image_shape(images.shape[1:], (3, 32, 32), "fashion_mnist")
    assert str(error.value) == (
        "the images of fashion_mnist come out as 1 x 28 x 28 (channels x height x width), the network's input is "
        "3 x 32 x 32; resize, padding and channels change the images"
    )


def make_dataset(size: int) -> Dataset:
    return Dataset("set", "train", np.zeros((size, 1, 1, 1), np.uint8), np.zeros(size, np.int64), 1)


def test_every_image_comes_once_per_epoch_and_epochs_differ() -> None:
    chosen = np.concatenate([select_batch(make_dataset(50), 20, 1, iteration) for iteration in range(5)])
    first, second = chosen[:50], chosen[50:]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first.tolist() != second.tolist()


def test_a_batch_larger_than_the_dataset_wraps_around() -> None:
    chosen = select_batch(make_dataset(3), 7, 1, 0)
    assert sorted(chosen[:3]) == sorted(chosen[3:6]) == [0, 1, 2]


def test_a_batch_depends_on_seed_and_iteration_alone() -> None:
    dataset = make_dataset(1000)
    np.testing.assert_array_equal(select_batch(dataset, 8, 1, 3), select_batch(dataset, 8, 1, 3))
    # The stream of images is cut into batches, whatever their size.
    np.testing.assert_array_equal(
        select_batch(dataset, 16, 1, 1),
        np.concatenate([select_batch(dataset, 8, 1, 2), select_batch(dataset, 8, 1, 3)]),
    )
    assert select_batch(dataset, 8, 1, 3).tolist() != select_batch(dataset, 8, 2, 3).tolist()
    assert select_batch(dataset, 8, 1, 3).tolist() != select_batch(dataset, 8, 1, 4).tolist()
