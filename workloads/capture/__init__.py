"""Recordings of PyTorch models in training, and gradient pruning in a training of the user's own.

Torch is an extra, and is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from workloads.capture.recording import CapturedRecording
from workloads.extras import import_extra

if TYPE_CHECKING:
    from workloads.capture.pruner import GradientPruner

__all__ = ["CapturedRecording", "capture", "prune_gradients"]


def capture(
    model: Any, images: Any, loss: Callable[[Any], Any], *, layers: str = "*", name: str | None = None
) -> CapturedRecording:
    """Record one forward and backward pass of a model, run as the model does it; its state is left as it was.

    Args:
        model: a `torch.nn.Module` in training mode.
        images: the batch it is called with, ``(N, C, H, W)``, signals ``(N, C, L)`` or features ``(N, F)``.
        loss: takes what the model gives out, and gives a loss, a tensor of one number.
        layers: a pattern of the layers to record, such as ``features.*``; a part is a list of unconnected layers.
        name: of the workload; by default that of the model's class.

    Raises:
        InputError: torch is not installed, the pass fails, or something in the model stands for no layer; the message
            names all of it by module and source line.
    """
    import_extra("torch", "torch", "capture")
    from workloads.capture.session import record_training

    return record_training(model, images, loss, layers=layers, name=name)


def prune_gradients(
    model: Any,
    rate: float,
    *,
    seed: int = 1,
    fifo_depth: int = 5,
    threshold: Literal["fifo", "own_batch"] = "fifo",
    threshold_model: str = "normal",
) -> GradientPruner:
    """Prune the gradients of a model's training stochastically from now on, as `workloads.pruning` defines it.

    Args:
        model: a `torch.nn.Module`, trained by a loop of the user's own.
        rate: share of a gradient's elements below its threshold.
        seed: key of the draws.
        fifo_depth: how many batches' thresholds are averaged; before there are so many, nothing is pruned.
        threshold: ``own_batch`` takes the batch's own in place of the average.
        threshold_model: how a threshold follows from a gradient; `sparsetrain.threshold_models` are registered.

    Returns:
        What prunes; its `remove` ends it.

    Raises:
        InputError: torch is not installed, or a number is out of its range; from the model's first pass: something in
            it stands for no layer.
    """
    import_extra("torch", "torch", "prune_gradients")
    from workloads.capture.pruner import start_pruning

    return start_pruning(
        model, rate=rate, seed=seed, fifo_depth=fifo_depth, threshold=threshold, threshold_model=threshold_model
    )
