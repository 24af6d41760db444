"""Batches: every image once an epoch, in an order of its own each, whatever was loaded before."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from workloads.datasets import Dataset
from workloads.draws import keyed_generator
from workloads.errors import InputError
from workloads.images import prepare_images
from workloads.settings import ImagePipeline
from workloads.training.augmentation import Augmentation, augmentation_generator
from workloads.training.batches import Batch, BatchSource, order_images, take_first

IMAGES, BATCH, SEED = 23, 4, 6
PIPELINE = ImagePipeline(padding=1, mean=0.25, std=0.5)


def make_dataset() -> Dataset:
    """Make images whose pixels, and labels, are their numbers."""
    numbers = np.arange(IMAGES)
    images = np.broadcast_to(numbers[:, None, None, None], (IMAGES, 1, 3, 3)).astype(np.uint8)
    return Dataset("numbers", "train", images, numbers, IMAGES, {"": numbers * 2.0, "other": numbers + 0.5})


def make_source(batch: int = BATCH) -> BatchSource:
    return BatchSource(make_dataset(), PIPELINE, batch, ("loss",))


def load_epoch(source: BatchSource, epoch: int, seed: int = SEED) -> list[Batch]:
    return [source.load_batch(epoch, number, Augmentation(), seed) for number in range(source.epoch_iterations)]


def list_labels(batches: list[Batch]) -> list[int]:
    return [int(label) for batch in batches for label in batch.targets.labels]


@pytest.fixture(autouse=True)
def _forget_orders() -> Iterator[None]:
    order_images.cache_clear()
    yield
    order_images.cache_clear()


def test_an_epoch_takes_every_image_once_but_for_those_that_fill_no_batch() -> None:
    for epoch in range(5):
        labels = list_labels(load_epoch(make_source(), epoch))
        assert len(labels) == len(set(labels)) == IMAGES - IMAGES % BATCH
    # Another epoch's order leaves out others.
    assert len(set(itertools.chain(*(list_labels(load_epoch(make_source(), epoch)) for epoch in range(5))))) == IMAGES
    assert sorted(list_labels(load_epoch(make_source(1), 0))) == list(range(IMAGES))
    assert make_source(IMAGES).epoch_iterations == 1
    assert make_source(IMAGES + 1).epoch_iterations == 0


def test_every_epoch_and_every_seed_has_an_order_of_its_own() -> None:
    orders = [tuple(list_labels(load_epoch(make_source(), epoch, seed))) for seed in range(3) for epoch in range(4)]
    assert len(set(orders)) == len(orders)
    assert tuple(range(IMAGES - IMAGES % BATCH)) not in orders


def test_the_order_is_the_permutation_of_its_key() -> None:
    expected = keyed_generator(SEED, "batch", 3).permutation(IMAGES)[: IMAGES - IMAGES % BATCH]
    assert list_labels(load_epoch(make_source(), 3)) == expected.tolist()


def test_nothing_depends_on_what_was_loaded_before() -> None:
    source, augmentation = make_source(), Augmentation(crop=1, flip=True, cutout=2)
    places = [(epoch, number) for epoch in range(6) for number in range(source.epoch_iterations)]
    forwards = {place: source.load_batch(*place, augmentation, SEED) for place in places}
    order_images.cache_clear()
    for place in reversed(places):
        found = source.load_batch(*place, augmentation, SEED)
        np.testing.assert_array_equal(found.images, forwards[place].images)
        np.testing.assert_array_equal(found.targets.labels, forwards[place].targets.labels)


def test_an_order_that_is_kept_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        order_images(SEED, 0, IMAGES)[0] = 1


def test_images_are_augmented_then_prepared_and_then_cut() -> None:
    source, augmentation = make_source(), Augmentation(crop=1, flip=True, cutout=3)
    found = source.load_batch(2, 1, augmentation, SEED)
    chosen, draws = order_images(SEED, 2, IMAGES)[BATCH : 2 * BATCH], augmentation_generator(SEED, 2, 1)
    pixels = augmentation.change_pixels(source.dataset.images[chosen], draws)
    prepared = prepare_images(pixels, padding=1, mean=0.25, std=0.5)
    assert (found.images.shape, found.images.dtype) == ((BATCH, 1, 5, 5), np.float32)
    # What is cut out is 0 for the network, not a black pixel, which is -0.5 here.
    np.testing.assert_array_equal(found.images, augmentation.cut_out(prepared, draws))
    assert (found.images == 0).any()
    assert source.dataset.images.sum() == make_dataset().images.sum()


def test_labels_and_targets_are_those_of_the_images() -> None:
    source = make_source()
    for batch in [*load_epoch(source, 1), *source.list_all()]:
        numbers = np.rint((batch.images[:, 0, 2, 2] * 0.5 + 0.25) * 255).astype(int)
        np.testing.assert_array_equal(batch.targets.labels, numbers)
        np.testing.assert_array_equal(batch.targets.own["loss"], numbers * 2.0)
        np.testing.assert_array_equal(batch.targets.own["other"], numbers + 0.5)


def test_all_images_are_listed_in_their_order_with_a_short_last_batch() -> None:
    batches = list(make_source(10).list_all())
    assert [len(batch.images) for batch in batches] == [10, 10, 3]
    assert list_labels(batches) == list(range(IMAGES))


def test_the_first_images_are_taken_with_their_labels_and_targets() -> None:
    dataset = dataclasses.replace(make_dataset(), labels=np.arange(IMAGES)[::-1])
    assert take_first(dataset, None) is dataset
    assert take_first(dataset, IMAGES) is dataset
    first = take_first(dataset, 5)
    assert (first.name, first.split, first.classes) == ("numbers", "train", IMAGES)
    np.testing.assert_array_equal(first.images, dataset.images[:5])
    np.testing.assert_array_equal(first.labels, np.arange(IMAGES)[::-1][:5])
    assert {name: list(one) for name, one in first.targets.items()} == {
        "": [0, 2, 4, 6, 8], "other": [0.5, 1.5, 2.5, 3.5, 4.5]
    }  # fmt: skip


@pytest.mark.parametrize("images", [1, 4, 8, 12, 22])
def test_of_images_that_lie_class_by_class_as_many_are_taken_of_each(images: int) -> None:
    labels = np.repeat(np.arange(4), [6, 6, 6, 5])
    taken = take_first(dataclasses.replace(make_dataset(), labels=labels), images)
    numbers = taken.images[:, 0, 0, 0]
    assert len(set(numbers.tolist())) == images
    np.testing.assert_array_equal(taken.labels, labels[numbers])
    np.testing.assert_array_equal(taken.targets["other"], numbers + 0.5)
    counts = np.bincount(taken.labels, minlength=4)
    assert (np.abs(counts - images * np.bincount(labels) / IMAGES) < 1).all()


def test_of_images_of_one_class_the_first_are_taken() -> None:
    taken = take_first(dataclasses.replace(make_dataset(), labels=np.zeros(IMAGES, np.int64)), 5)
    assert taken.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_more_images_than_there_are_are_refused() -> None:
    with pytest.raises(InputError) as error:
        take_first(make_dataset(), IMAGES + 1)
    assert str(error.value) == "images is 24, but numbers has 23 train images"
