"""Operands of a workload from whichever source its file names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import Dataset, load_dataset
from workloads.host import Iteration, Labels, initial_parameters, run_iteration
from workloads.image_fit import check_pipeline, output_shape
from workloads.images import check_image_shape, prepare_images, select_batch
from workloads.kept_tensors import TensorKeeper
from workloads.layer_images import LayerImages, keep_images
from workloads.operand_checks import refuse_pruning
from workloads.operands import Operands
from workloads.profile import check_profile, read_profile
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruning_sites import find_pruning_sites
from workloads.recorded import load_recorded
from workloads.reference.arrays import keep_in_memory
from workloads.schema import HostOperands, ProfileOperands, RecordedOperands, SyntheticOperands
from workloads.settings import GradientPruning
from workloads.synthetic import ALL_STEPS, make_synthetic, make_synthetic_layer
from workloads.training import count_warmup_batches, run_pruned_iteration, warm_up
from workloads.weights import load_weights
from workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class OperandStream:
    """The operands of every layer, in the network's order, and the words that name their source.

    facts: what else is known of the source, such as the loss of the host's iteration. pruned: the nodes the gradient to
    whose output is pruned. images: the layers again, to be made image by image; None where all images are there.
    notices: sentences on what is odd about them.
    """

    layers: Iterator[Operands]
    headline: str
    seed: int | None
    facts: dict[str, Any]
    pruned: frozenset[str] = frozenset()
    images: tuple[LayerImages, ...] | None = None
    notices: tuple[str, ...] = ()

    def list_images(self) -> Iterator[LayerImages]:
        """Give every layer's operands to be had image by image; nothing is made before it is asked for."""
        if self.images is not None:
            return iter(self.images)
        return (keep_images(operands) for operands in self.layers)


def open_operands(
    workload: Workload, iteration: int | None = None, keeper: TensorKeeper | None = None
) -> OperandStream:
    """Load, make or train the operands of a workload; the host's pass runs here, once.

    iteration: the number of the host's iteration, which chooses its images; by default that behind its warm-up.
    keeper: keeps what the host's pass has to; other sources make one layer's operands at a time.

    Raises:
        InputError: the source is not given, or what it names is missing, damaged or does not fit the network, or its
            gradients cannot be pruned.
    """
    source = workload.operand_source()
    refuse_pruning(workload)
    if isinstance(source, RecordedOperands):
        path = workload.recorded_path()
        layers = load_recorded(path, workload.network, first_layer_gta=source.first_layer_gta)
        return OperandStream(layers, f"recorded tensors of {source.path}", None, {})
    if isinstance(source, HostOperands):
        stream = train_operands(workload, source, iteration, keeper)
        return stream if keeper is None else dataclasses.replace(stream, layers=release_layers(stream.layers, keeper))
    if isinstance(source, ProfileOperands):
        return profile_operands(workload, source)
    if not isinstance(source, SyntheticOperands):
        assert_never(source)
    kind = "integers" if source.integers else "normal values"
    headline = f"synthetic {kind} (unrepresentative: random zeros), seed {source.seed}"
    images = tuple(
        LayerImages(
            node.name, workload.network.layer_shape(node.name), ALL_STEPS,
            partial(make_synthetic_layer, workload.network, source, node.name),
        )
        for node in workload.network.compute_nodes()
    )  # fmt: skip
    return OperandStream(make_synthetic(workload.network, source), headline, source.seed, {}, images=images)


def release_layers(layers: Iterator[Operands], keeper: TensorKeeper) -> Iterator[Operands]:
    """Pass operands on; what was read from files for one layer need not stay in memory for the next."""
    for operands in layers:
        yield operands
        keeper.release_pages()


def profile_operands(workload: Workload, source: ProfileOperands) -> OperandStream:
    """Prepare synthetic tensors with the densities of a profile; each layer's are made when it is asked for."""
    path = workload.profile_path()
    profile = read_profile(path, source.column)
    check_profile(profile, workload.network)
    pruning = workload.form.pruning
    rate = 0.0 if pruning is None else pruning.rate
    profiled = ProfiledNetwork(workload.network, profile, source.seed, source.clustering, rate)
    facts: dict[str, Any] = {"profile": path.name, "column": profile.column, "densities": profiled.describe()}
    if rate:
        facts["pruning"] = {"rate": rate}
    zeros = "independent" if source.clustering is None else "clustered"
    pruned = f"gradients pruned at {rate:.4g} as normal numbers are" if rate else "gradients not pruned"
    headline = (
        f"synthetic tensors with the densities of the profile {path.name} ({profile.column}), {zeros} zeros, "
        f"{pruned}, seed {source.seed}"
    )
    nodes = frozenset(find_pruning_sites(workload.network)) if rate else frozenset()
    images = tuple(
        LayerImages(
            node.name, workload.network.layer_shape(node.name), profiled.steps(node.name),
            partial(profiled.layer, node.name),
        )
        for node in workload.network.compute_nodes()
    )  # fmt: skip
    return OperandStream(profiled.operands(), headline, source.seed, facts, nodes, images)


def train_operands(
    workload: Workload, source: HostOperands, number: int | None = None, keeper: TensorKeeper | None = None
) -> OperandStream:
    """Run one training iteration of the network on the host, from seeded initial weights, behind its warm-up."""
    pruning, seed = workload.form.pruning, source.seed
    keep = keep_in_memory if keeper is None else keeper.keep
    number = count_warmup_batches(pruning) if number is None else number
    network, batch = workload.network, workload.form.batch
    check_pipeline(source.images, workload.form.input)
    dataset = load_dataset(source.dataset, base_directory=workload.base_directory, resize=source.images.resize)

    def load_batch(number: int) -> tuple[NDArray[np.float32], Labels]:
        chosen = select_batch(dataset, batch, seed, number)
        pixels = dataset.images[chosen]
        check_image_shape(output_shape(pixels.shape[1:], source.images), network.input_shape[1:], dataset.name)
        images = prepare_images(pixels, **source.images.model_dump())
        return images, dataset.labels[chosen]

    weights = workload.weights_path()
    parameters = initial_parameters(network, seed) if weights is None else load_weights(weights, network)
    images, labels = load_batch(number)
    chosen = select_batch(dataset, batch, seed, number)
    facts: dict[str, Any] = {"iteration": number, "images": [int(index) for index in chosen]}
    headline = (
        f"one host training iteration on {describe_images(dataset, chosen, source)}, {describe_weights(weights)}, "
        f"seed {source.seed}"
    )
    if pruning is None:
        found = run_iteration(
            network, parameters, images, labels, seed=seed, iteration=number, dtype=source.dtype, keep=keep
        )
        facts |= {"loss": found.loss, "accuracy": found.accuracy}
        notices = tell_saturation(found, batch)
        return OperandStream(release_gradients(found).operands(), headline, seed, facts, notices=notices)
    state = warm_up(network, parameters, load_batch, pruning=pruning, seed=seed, dtype=source.dtype, keep=keep)
    done = run_pruned_iteration(
        network, parameters, images, labels, pruning=pruning, state=state, seed=seed, iteration=number,
        dtype=source.dtype, keep=keep,
    )  # fmt: skip
    facts |= {"loss": done.iteration.loss, "accuracy": done.iteration.accuracy}
    facts["pruning"] = pruning.model_dump() | {"gradients": {node: one.facts() for node, one in done.prunings.items()}}
    pruned = frozenset(node for node, one in done.prunings.items() if one.threshold)
    notices = tell_saturation(done.iteration, batch)
    done = dataclasses.replace(done, iteration=release_gradients(done.iteration))
    headline = f"{headline}, {describe_pruning(pruning)}"
    return OperandStream(done.operands(), headline, seed, facts, pruned, notices=notices)


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


def describe_weights(path: Path | None) -> str:
    """Say where the initial weights are from."""
    return f"weights of {path.name}" if path else "random initial weights (unrepresentative of a trained network)"


def describe_pruning(pruning: GradientPruning) -> str:
    """Say at which rate and with which thresholds gradients are pruned."""
    if pruning.threshold == "own_batch":
        return f"gradients pruned at {pruning.rate:.4g} with the batch's own thresholds"
    return (
        f"gradients pruned at {pruning.rate:.4g} with the mean thresholds of {pruning.fifo_depth} of "
        f"{pruning.warmup_batches} warm-up batches (weights not updated)"
    )
