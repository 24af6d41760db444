"""The operands of a workload, from whichever source its file names."""

from __future__ import annotations

from workloads.errors import InputError
from workloads.kept_tensors import TensorKeeper
from workloads.sources.source import OperandRequest, OperandStream
from workloads.sources.table import list_masking_sources, list_pruning_sources
from workloads.workload import Workload


def open_operands(
    workload: Workload, iteration: int | None = None, keeper: TensorKeeper | None = None
) -> OperandStream:
    """Load, make or train the operands of a workload; the host's pass runs here, once.

    Args:
        iteration: The number of the host's iteration, which chooses its images; by default that behind its warm-up.
        keeper: Keeps what the host's pass has to; other sources make one layer's operands at a time.

    Raises:
        InputError: the source is not given, or what it names is missing, damaged or does not fit the network, or its
            gradients cannot be pruned or its weights not masked.
    """
    source = workload.operand_source()
    refuse_pruning(workload)
    refuse_masks(workload)
    return source.open(make_request(workload, iteration, keeper))


def check_operands(workload: Workload) -> None:
    """Open the files of the operands and compare them with the network.

    Of recorded tensors all are read; of a dataset the images of the first batch.

    Raises:
        InputError: no source is given, a file of it is missing, damaged or does not fit, or its gradients cannot be
            pruned or its weights not masked.
    """
    source = workload.operand_source()
    refuse_pruning(workload)
    refuse_masks(workload)
    source.check(make_request(workload))


def make_request(
    workload: Workload, iteration: int | None = None, keeper: TensorKeeper | None = None
) -> OperandRequest:
    """Tell a source what of a workload is its business."""
    form = workload.form
    return OperandRequest(
        workload.label, workload.network, form.input, workload.base_directory,
        pruning=form.pruning, masks=workload.mask_producer(), iteration=iteration, keeper=keeper,
    )  # fmt: skip


def refuse_pruning(workload: Workload) -> None:
    """Refuse pruning of gradients that are given.

    Raises:
        InputError: names the source.
    """
    source = workload.operand_source()
    if workload.form.pruning is not None and not source.prunes_gradients:
        raise InputError(
            f"{workload.label}: pruning acts on gradients that are computed; the operands are {source.source}, "
            f"use source {' or '.join(list_pruning_sources())}, or leave pruning out"
        )


def refuse_masks(workload: Workload) -> None:
    """Refuse masks of weights that are given, and masks that fit no layer.

    Raises:
        InputError: names the source, or the layers there are.
    """
    source, masks = workload.operand_source(), workload.mask_producer()
    if masks is None:
        return
    if not source.masks_weights:
        raise InputError(
            f"{workload.label}: sparsify acts on weights that are made here; the operands are {source.source}, "
            f"use source {' or '.join(list_masking_sources())}, or leave sparsify out"
        )
    masks.check(workload.network)
