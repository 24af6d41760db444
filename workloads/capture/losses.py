"""Calls of torch functions that are losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workloads.capture.calls import Calls, LayerCall, Tensor, UnmappedCallError


def read_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor = None,
    size_average: Any = None,  # noqa: ARG001
    ignore_index: int = -100,
    reduce: Any = None,  # noqa: ARG001
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Calls:
    """Read a softmax cross entropy with class numbers."""
    expect_plain(reduction, weight)
    if target.dtype.is_floating_point or (ignore_index >= 0 and bool((target == ignore_index).any())):
        raise UnmappedCallError("a cross entropy takes one class number for each score")
    fields = {"label_smoothing": float(label_smoothing)} if label_smoothing else {}
    return LayerCall("softmax_cross_entropy", (input,), fields)


def read_nll(
    input: Tensor,
    target: Tensor,  # noqa: ARG001
    weight: Tensor = None,
    size_average: Any = None,  # noqa: ARG001
    ignore_index: int = -100,  # noqa: ARG001
    reduce: Any = None,  # noqa: ARG001
    reduction: str = "mean",
) -> Calls:
    """Read the second half of a softmax cross entropy."""
    expect_plain(reduction, weight)
    return LayerCall("softmax_cross_entropy", (input,), behind="log_softmax")


def read_squared_error(
    input: Tensor,
    target: Tensor,  # noqa: ARG001
    size_average: Any = None,  # noqa: ARG001
    reduce: Any = None,  # noqa: ARG001
    reduction: str = "mean",
    weight: Tensor = None,
) -> Calls:
    """Read a mean squared error."""
    expect_plain(reduction, weight)
    return LayerCall("mean_squared_error", (input,))


def read_binary_cross_entropy(
    input: Tensor,
    target: Tensor,  # noqa: ARG001
    weight: Tensor = None,
    size_average: Any = None,  # noqa: ARG001
    reduce: Any = None,  # noqa: ARG001
    reduction: str = "mean",
    pos_weight: Tensor = None,
) -> Calls:
    """Read a binary cross entropy of scores."""
    expect_plain(reduction, weight)
    expect_plain(reduction, pos_weight)
    return LayerCall("binary_cross_entropy", (input,))


def expect_plain(reduction: str, weight: Tensor) -> None:
    """Refuse a loss that is no plain mean.

    Raises:
        UnmappedCallError: names what it is.
    """
    if weight is not None:
        raise UnmappedCallError("a loss with weights of classes or elements is no layer")
    if reduction != "mean":
        raise UnmappedCallError(f"a loss with reduction '{reduction}' is no layer; one with 'mean' is")


LOSSES: dict[str, Callable[..., Calls]] = {
    "cross_entropy": read_cross_entropy,
    "nll_loss": read_nll,
    "mse_loss": read_squared_error,
    "binary_cross_entropy_with_logits": read_binary_cross_entropy,
}
