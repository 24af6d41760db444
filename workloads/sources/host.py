"""Operands of one training iteration that the host runs on images of a dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import Dataset, load_dataset
from workloads.datasets.address import make_absolute
from workloads.host import HostOptions, Iteration, run_iteration
from workloads.image_fit import check_pipeline, output_shape
from workloads.images import check_image_shape, prepare_images, select_batch
from workloads.initial_weights import RANDOM, InitialWeights, choose_weights, make_absolute_weights
from workloads.kept_tensors import TensorKeeper
from workloads.losses import BatchTargets, list_spread, make_targets
from workloads.masks.producer import mask_parameters
from workloads.network import Network
from workloads.operands import Operands
from workloads.pruners.table import NORMAL
from workloads.reference.arrays import keep_in_memory
from workloads.settings import GradientPruning, ImagePipeline, PlainText, Pruning, Seed
from workloads.sources.source import OperandRequest, OperandSource, OperandStream
from workloads.training.iteration import count_warmup_batches, run_pruned_iteration, warm_up
from workloads.words import list_words


class HostOperands(OperandSource):
    """Tensors of one training iteration that the host runs on images of a dataset.

    Attributes:
        dataset: A shipped name, a path, or KIND:PATH, as `workloads.datasets.load_dataset` takes it.
        weights: `random` (drawn from the seed), `trained` (those that ship for the workload's name), or an .npz file.
            Paths are relative to the YAML file.
    """

    prunes_gradients: ClassVar[bool] = True
    masks_weights: ClassVar[bool] = True
    runs_iteration: ClassVar[bool] = True
    follows_training: ClassVar[bool] = True

    source: Literal["host"]
    dataset: PlainText
    seed: Seed
    images: ImagePipeline = ImagePipeline()
    weights: PlainText = RANDOM
    dtype: Literal["float32", "float64"] = "float32"

    def open(self, request: OperandRequest) -> OperandStream:
        """Run the iteration, behind its warm-up."""
        stream, keeper = request.tell_masks(train_operands(request, self)), request.keeper
        return stream if keeper is None else dataclasses.replace(stream, layers=release_layers(stream.layers, keeper))

    def check(self, request: OperandRequest) -> None:
        """Load dataset and weights."""
        check_host(request, self)

    def with_absolute_paths(self, base_directory: Path) -> Self:
        """Give the source with the absolute paths of a dataset and of weights of the user's own."""
        weights = make_absolute_weights(self.weights, base_directory)
        changed = {"dataset": make_absolute(self.dataset, base_directory), "weights": weights}
        return self.model_copy(update=changed)

    @property
    def value_bytes(self) -> int:
        """The bytes of a number while the iteration runs."""
        return np.dtype(self.dtype).itemsize


def release_layers(layers: Iterator[Operands], keeper: TensorKeeper) -> Iterator[Operands]:
    """Pass operands on; what was read from files for one layer need not stay in memory for the next."""
    for operands in layers:
        yield operands
        keeper.release_pages()


def check_host(request: OperandRequest, source: HostOperands) -> None:
    """Load the dataset, one batch of images as the network sees them with its targets, and the initial weights.

    Raises:
        InputError: one of them is missing, damaged or does not fit.
    """
    dataset = load_dataset(source.dataset, base_directory=request.base_directory, resize=source.images.resize)
    chosen = select_batch(dataset, request.batch, source.seed, 0)
    images = prepare_images(dataset.images[chosen], **source.images.model_dump())
    check_image_shape(images.shape[1:], request.network.input_shape[1:], dataset.name)
    make_targets(request.network, select_targets(request.network, dataset, chosen))
    find_initial_weights(request, source, dataset).load(request.network, source.seed)


def find_initial_weights(request: OperandRequest, source: HostOperands, dataset: Dataset) -> InitialWeights:
    """Find the weights that the iteration begins with, and what they were trained on.

    Raises:
        InputError: there are none, or trained ones are of other images.
    """
    return choose_weights(
        source.weights, request.network, request.label, request.base_directory, dataset=dataset, pipeline=source.images
    )


def train_operands(request: OperandRequest, source: HostOperands) -> OperandStream:
    """Run one training iteration of the network on the host, from seeded initial weights, behind its warm-up."""
    pruning, seed, keeper = request.pruning, source.seed, request.keeper
    options = HostOptions(source.dtype, keep_in_memory if keeper is None else keeper.keep)
    number = count_warmup_batches(pruning) if request.iteration is None else request.iteration
    network, batch = request.network, request.batch
    assert request.image is not None, "a workload without an input has no loss, and is refused when it is loaded"
    check_pipeline(source.images, request.image)
    dataset = load_dataset(source.dataset, base_directory=request.base_directory, resize=source.images.resize)

    def load_batch(number: int) -> tuple[NDArray[np.float32], BatchTargets]:
        chosen = select_batch(dataset, batch, seed, number)
        pixels = dataset.images[chosen]
        check_image_shape(output_shape(pixels.shape[1:], source.images), network.input_shape[1:], dataset.name)
        images = prepare_images(pixels, **source.images.model_dump())
        return images, select_targets(network, dataset, chosen)

    weights = find_initial_weights(request, source, dataset)
    parameters = weights.load(network, seed)
    if request.masks is not None:
        parameters = mask_parameters(request.masks, network, parameters, seed)
    images, targets = load_batch(number)
    chosen = select_batch(dataset, batch, seed, number)
    facts: dict[str, Any] = {"iteration": number, "images": [int(index) for index in chosen]} | weights.facts
    told = describe_images(dataset, chosen, source) + describe_targets(network, targets.own)
    headline = f"one host training iteration on {told}, {weights.words}, seed {source.seed}"
    if pruning is None:
        found = run_iteration(network, parameters, images, targets, seed=seed, iteration=number, options=options)
        facts |= tell_losses(found)
        notices = weights.notices + tell_saturation(found, batch)
        return OperandStream(release_gradients(found).operands(), headline, seed, facts, notices=notices)
    state = warm_up(network, parameters, load_batch, pruning=pruning, seed=seed, options=options)
    done = run_pruned_iteration(
        network, parameters, (images, targets), pruning=pruning, state=state, seed=seed, iteration=number,
        options=options,
    )  # fmt: skip
    facts |= tell_losses(done.iteration)
    facts["pruning"] = pruning.model_dump() | {"gradients": {node: one.facts() for node, one in done.prunings.items()}}
    notices = weights.notices + tell_saturation(done.iteration, batch)
    done = dataclasses.replace(done, iteration=release_gradients(done.iteration))
    headline = f"{headline}, {describe_pruning(pruning)}"
    return OperandStream(done.operands(), headline, seed, facts, done.pruned, notices=notices)


def tell_losses(found: Iteration) -> dict[str, Any]:
    """Give the total loss, each one's value where there are several, and the accuracy where one is told."""
    facts: dict[str, Any] = {"loss": found.loss}
    if len(found.losses) > 1:
        facts["losses"] = dict(found.losses)
    return facts if found.accuracy is None else facts | {"accuracy": found.accuracy}


def select_targets(network: Network, dataset: Dataset, chosen: NDArray[np.intp]) -> BatchTargets:
    """Give the labels of chosen images, and the targets that the dataset has for losses."""
    own = dataset.choose_targets(chosen, (node.name for node in network.loss_nodes()))
    return BatchTargets(dataset.labels[chosen], own)


def describe_targets(network: Network, own: Collection[str]) -> str:
    """Say which losses have a target at each place that was made up of the image's label.

    Args:
        own: Those with others.
    """
    spread = [name for name in list_spread(network) if name not in own]
    if not spread:
        return ""
    words = f"loss '{spread[0]}' compares" if len(spread) == 1 else f"losses {list_words(spread)} compare"
    return f", {words} each place with its image's label (unrepresentative)"


def tell_saturation(found: Iteration, batch: int) -> tuple[str, ...]:
    """Tell of a loss that has all but no gradient to hand back, or only that of a wrong class."""
    if 2 * found.saturated_images < batch:
        return ()
    words = "the one image" if batch == 1 else f"{found.saturated_images} of {batch} images"
    return (
        f"the loss of {found.loss:.4g} is saturated: for {words} softmax gives one class the probability 1, so that "
        "the gradient of an image is nothing, or says no more than which class is wrong",
    )


def release_gradients(found: Iteration) -> Iteration:
    """Let go of the parameters' gradients, which no layer takes as an operand."""
    return dataclasses.replace(found, grads={})


def describe_images(dataset: Dataset, chosen: NDArray[np.intp], source: HostOperands) -> str:
    """Say of which dataset a batch's images are, and that small ones were scaled up."""
    words = f"{len(chosen)} image{'s' if len(chosen) > 1 else ''} of {dataset.name}"
    resize = source.images.resize
    if resize is None:
        return words
    height, width = (resize, resize) if isinstance(resize, int) else (resize[0], resize[1])
    small_height, small_width = dataset.original_size(chosen)
    if height <= small_height and width <= small_width:
        return words
    return f"{words}, up-scaled from {small_height} x {small_width} to {height} x {width} (unrepresentative)"


def describe_pruning(pruning: Pruning) -> str:
    """Say how gradients are pruned: at which rate and with which thresholds, or how many of how many neighbours."""
    pruned = "gradients pruned" if pruning.feeds == "both" else "gradients pruned for GTA alone"
    if not isinstance(pruning, GradientPruning):
        return f"{pruned} {pruning.groups} along rows (biased: the smaller magnitudes are lost)"
    rate = f"{pruning.rate:.4g}" if pruning.model == NORMAL else f"{pruning.rate:.4g} by the model {pruning.model}"
    if pruning.threshold == "own_batch":
        return f"{pruned} at {rate} with the batch's own thresholds"
    return (
        f"{pruned} at {rate} with the mean thresholds of {pruning.fifo_depth} of "
        f"{pruning.warmup_batches} warm-up batches (weights not updated)"
    )
