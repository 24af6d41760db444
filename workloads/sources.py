"""Operands of a workload from whichever source its file names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workloads.datasets.loader import SHIPPED, load_dataset
from workloads.host import initial_parameters, run_iteration
from workloads.images import check_image_shape, prepare_images, select_batch
from workloads.operands import Operands
from workloads.recorded import load_recorded
from workloads.schema import HostOperands, RecordedOperands
from workloads.synthetic import make_synthetic
from workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class OperandStream:
    """The operands of every layer, in the network's order, and the words that name their source.

    facts: what else is known of the source, such as the loss of the host's iteration.
    """

    layers: Iterator[Operands]
    headline: str
    seed: int | None
    facts: dict[str, Any]


def open_operands(workload: Workload) -> OperandStream:
    """Load, make or train the operands of a workload; the host's pass runs here, once.

    Raises:
        InputError: the source is not given, or what it names is missing, damaged or does not fit the network.
    """
    source = workload.operand_source()
    if isinstance(source, RecordedOperands):
        path = workload.recorded_path()
        return OperandStream(load_recorded(path, workload.network), f"recorded tensors of {source.path}", None, {})
    if isinstance(source, HostOperands):
        return train_operands(workload, source)
    kind = "integers" if source.integers else "normal values"
    headline = f"synthetic {kind} (unrepresentative: random zeros), seed {source.seed}"
    return OperandStream(make_synthetic(workload.network, source), headline, source.seed, {})


def train_operands(workload: Workload, source: HostOperands) -> OperandStream:
    """Run one training iteration of the network on the host, from seeded initial weights."""
    shipped = source.dataset in SHIPPED
    dataset = load_dataset(source.dataset if shipped else workload.base_directory / source.dataset)
    network, batch = workload.network, workload.form.batch
    chosen = select_batch(dataset, batch, source.seed, 0)
    images = prepare_images(dataset.images[chosen], **source.images.model_dump())
    check_image_shape(images, network.input_shape[1:], dataset.name)
    parameters = initial_parameters(network, source.seed)
    iteration = run_iteration(
        network, parameters, images, dataset.labels[chosen], seed=source.seed, iteration=0, dtype=source.dtype
    )
    headline = (
        f"one host training iteration on {batch} images of {dataset.name}, random initial weights "
        f"(unrepresentative of a trained network), seed {source.seed}"
    )
    facts = {"loss": iteration.loss, "accuracy": iteration.accuracy, "images": [int(index) for index in chosen]}
    return OperandStream(iteration.operands(), headline, source.seed, facts)
