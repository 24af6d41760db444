"""From a workload with a `training` section to the plan of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workloads.datasets.splits import DatasetSplits
from workloads.errors import InputError
from workloads.host import initial_parameters
from workloads.image_fit import check_pipeline, output_shape
from workloads.images import check_image_shape
from workloads.losses import make_targets
from workloads.masks.producer import MaskKey, MaskProducer, mask_parameters
from workloads.network import Network
from workloads.settings import GradientPruning, Pruning
from workloads.sources.host import HostOperands
from workloads.training.batches import BatchSource, take_first
from workloads.training.form import TrainingForm
from workloads.training.plan import TrainingPlan
from workloads.training.state import Arrays
from workloads.user_file import resolve_path
from workloads.weights import load_weights
from workloads.workload import Workload

TEST_BATCH = 256


@dataclass(frozen=True, slots=True)
class TrainingChoice:
    """What is chosen of a training beside the workload's file; None leaves what stands there.

    Attributes:
        rate: Of pruning; 0 prunes nothing.
        weights: A file of initial parameters; without one they are drawn.
    """

    rate: float | None = None
    seed: int | None = None
    weights: str | Path | None = None


def require_training(workload: Workload) -> tuple[TrainingForm, HostOperands]:
    """Give the section of a workload, and the operands that name its images.

    Raises:
        InputError: it has no such section, cuts its batch into microbatches, or its operands are not the host's.
    """
    form, source = workload.form.training, workload.form.operands
    if form is None:
        raise InputError(
            f"{workload.label}: has no section training; add one such as training: {{epochs: 10, batch: 64, "
            "optimiser: {method: sgd, learning_rate: 0.05, momentum: 0.9}}"
        )
    if workload.form.accumulate is not None:
        raise InputError(
            f"{workload.label}: accumulate cuts the batch of simulated iterations, and a training takes whole batches; "
            "leave it out"
        )
    if not isinstance(source, HostOperands):
        given = "not given" if source is None else source.source
        raise InputError(
            f"{workload.label}: a training needs images, so operands: {{source: host, dataset: ..., seed: ...}}; "
            f"they are {given}"
        )
    return form, source


def open_training(workload: Workload, choice: TrainingChoice = TrainingChoice()) -> TrainingPlan:
    """Load what a training needs, and check that it fits.

    Raises:
        InputError: the workload is not trained, its images or weights are missing or do not fit, or there are fewer
            images than a batch has.
    """
    form, source = require_training(workload)
    network = make_network(workload, form.batch)
    seed = source.seed if choice.seed is None else choice.seed
    splits = DatasetSplits(source.dataset, workload.base_directory, source.images.resize)
    losses = tuple(node.name for node in network.loss_nodes())
    section = f"{workload.label}: training"
    images = take_first(splits.train, form.images, f"{section}.images")
    train = BatchSource(images, source.images, form.batch, losses)
    check_images(workload, network, train)
    check_labels(network, train)
    test: BatchSource | None = None
    if form.test_images != 0:
        test_images = take_first(splits.test, form.test_images, f"{section}.test_images")
        test = BatchSource(test_images, source.images, TEST_BATCH, losses)
        check_labels(network, test)
    parameters: Arrays | None = None
    if choice.weights is not None:
        parameters = load_weights(resolve_path(Path(choice.weights)), network)
    masks, producer = None, workload.mask_producer()
    if producer is not None:
        producer.check(network)
        parameters = initial_parameters(network, seed) if parameters is None else parameters
        masks = make_masks(producer, network, parameters, seed)
        parameters = mask_parameters(producer, network, dict(parameters), seed)
    return TrainingPlan(
        network, lambda batch: make_network(workload, batch), form, choose_pruning(workload, choice.rate), seed, train,
        test, parameters, masks,
    )  # fmt: skip


def make_network(workload: Workload, batch: int) -> Network:
    """Give the workload's network for a batch."""
    return workload.with_changes(batch=batch).network


def choose_pruning(workload: Workload, rate: float | None) -> Pruning | None:
    """Give how gradients are pruned at a rate, otherwise as the workload has it; None prunes nothing.

    Raises:
        InputError: the rate is none, or not that of the workload's N:M pruning.
    """
    if rate is None:
        return workload.form.pruning
    if not 0 <= rate < 1:
        raise InputError(f"a pruning rate must be at least 0 and below 1, got {rate:g}")
    if rate == 0:
        return None
    own = workload.form.pruning
    if own is None:
        return GradientPruning(rate=rate)
    if isinstance(own, GradientPruning):
        return own.model_copy(update={"rate": rate})
    if rate != own.rate:
        raise InputError(
            f"{workload.label}: gradients are pruned {own.groups} along rows, at the rate {own.rate:g} or 0 alone, "
            f"got {rate:g}"
        )
    return own


def make_masks(producer: MaskProducer, network: Network, parameters: Arrays, seed: int) -> dict[str, Any]:
    """Make the masks of weights that the workload's method leaves at zero, from the initial weights."""
    return {
        f"{name}/weight": producer.produce(
            np.asarray(parameters[f"{name}/weight"]), None, MaskKey(seed, name)
        ).mask.astype(np.float32)
        for name in producer.select(network)
    }


def check_images(workload: Workload, network: Network, source: BatchSource) -> None:
    """Refuse images that do not become the network's input, or are fewer than a batch.

    Raises:
        InputError: says what does not fit.
    """
    dataset = source.dataset
    assert workload.form.input is not None
    check_pipeline(source.pipeline, workload.form.input)
    chosen = np.arange(min(source.batch, len(dataset.images)))
    given = dataset.images[chosen[:1]].shape[1:]
    shape = output_shape(given, source.pipeline)
    check_image_shape(shape, network.input_shape[1:], dataset.name)
    check_augmentation(workload, given[1:], shape[1:])
    if source.epoch_iterations < 1:
        raise InputError(
            f"{workload.label}: training.batch is {source.batch}, but there are {len(dataset.images)} training images"
        )


def check_augmentation(workload: Workload, given: Sequence[int], read: Sequence[int]) -> None:
    """Refuse what may leave nothing of an image.

    Args:
        given: Height and width of the data set's images, which are cropped.
        read: Those of the network's input, of which a square is cut out.

    Raises:
        InputError: names the field.
    """
    augmentation = require_training(workload)[0].augmentation
    sides = (("crop", augmentation.crop, given), ("cutout", augmentation.cutout, read))
    for name, pixels, (height, width) in sides:
        if pixels >= min(height, width):
            raise InputError(
                f"{workload.label}: training.augmentation.{name} must be less than the sides of the {height} x {width} "
                f"images, got {pixels}"
            )


def check_labels(network: Network, source: BatchSource) -> None:
    """Refuse labels and targets that do not fit the losses, before the first of them is met.

    Raises:
        InputError: the highest label is of no class, or targets are of another form.
    """
    labels = source.dataset.labels
    chosen = np.full(network.input_shape[0], labels.argmin())
    chosen[-1] = labels.argmax()
    make_targets(network, source.choose_targets(chosen))
