"""Whether the operands of a workload can be had: its files are there and fit the network. Nothing is trained."""

from __future__ import annotations

from workloads.datasets import load_dataset
from workloads.errors import InputError
from workloads.images import check_image_shape, prepare_images, select_batch
from workloads.profile import check_profile, read_profile
from workloads.profile_tensors import ProfiledNetwork
from workloads.recorded import open_recording
from workloads.schema import HostOperands, ProfileOperands, RecordedOperands, SyntheticOperands
from workloads.weights import load_weights
from workloads.workload import Workload


def check_operands(workload: Workload) -> None:
    """Open the files of the operands and compare them with the network.

    Of recorded tensors all are read; of a dataset the images of the first batch.

    Raises:
        InputError: no source is given, a file of it is missing, damaged or does not fit, or its gradients cannot be
            pruned.
    """
    source = workload.operand_source()
    refuse_pruning(workload)
    if isinstance(source, RecordedOperands):
        for _ in open_recording(workload.recorded_path(), workload.network):
            pass
    if isinstance(source, HostOperands):
        check_host(workload, source)
    if isinstance(source, ProfileOperands):
        profile = read_profile(workload.profile_path(), source.column)
        check_profile(profile, workload.network)
        rate = 0.0 if workload.form.pruning is None else workload.form.pruning.rate
        ProfiledNetwork(workload.network, profile, source.seed, source.clustering, rate).describe()


def refuse_pruning(workload: Workload) -> None:
    """Refuse pruning of gradients that are given.

    Raises:
        InputError: names the source.
    """
    source = workload.operand_source()
    if workload.form.pruning is not None and isinstance(source, RecordedOperands | SyntheticOperands):
        raise InputError(
            f"{workload.label}: pruning acts on gradients that are computed; the operands are {source.source}, "
            "use source host or profile, or leave pruning out"
        )


def check_host(workload: Workload, source: HostOperands) -> None:
    """Load the dataset, one batch of images as the network sees them, and the initial weights.

    Raises:
        InputError: one of them is missing, damaged or does not fit.
    """
    dataset = load_dataset(source.dataset, base_directory=workload.base_directory, resize=source.images.resize)
    chosen = select_batch(dataset, workload.form.batch, source.seed, 0)
    images = prepare_images(dataset.images[chosen], **source.images.model_dump())
    check_image_shape(images.shape[1:], workload.network.input_shape[1:], dataset.name)
    if (weights := workload.weights_path()) is not None:
        load_weights(weights, workload.network)
