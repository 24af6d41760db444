"""Calls of torch functions that join tensors element by element, side by side, or as a product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from workloads.capture.calls import (
    Calls,
    LayerCall,
    SameTensor,
    ScaledLoss,
    ScaledTensor,
    Tensor,
    UnmappedCallError,
)


def read_sum(input: Tensor, other: Any, *, alpha: float = 1, **_: Any) -> Calls:
    """Read a sum of two tensors, or of losses."""
    if is_number(other) or is_number(input):
        constant, tensor = (other, input) if is_number(other) else (input, other)
        if is_scalar(tensor):
            return ScaledLoss(((tensor, 1.0),))
        if constant == 0:
            return SameTensor(tensor)
        raise UnmappedCallError(f"a sum with the number {constant} is no layer")
    if is_scalar(input) and is_scalar(other):
        return ScaledLoss(((input, 1.0), (other, float(alpha))))
    if alpha != 1:
        raise UnmappedCallError(f"a sum with the factor {alpha} is no layer")
    return LayerCall("add", (input, other))


def read_difference(input: Tensor, other: Any, *, alpha: float = 1, **_: Any) -> Calls:
    """Read a difference of two tensors, or of losses."""
    if is_number(other) or is_number(input):
        raise UnmappedCallError("a difference to a number is no layer")
    if is_scalar(input) and is_scalar(other):
        return ScaledLoss(((input, 1.0), (other, -float(alpha))))
    if alpha != 1:
        raise UnmappedCallError(f"a difference with the factor {alpha} is no layer")
    return LayerCall("subtract", (input, other))


def read_product(input: Tensor, other: Any, **_: Any) -> Calls:
    """Read a product element by element, or with a number, or a weighted loss."""
    for tensor, factor in ((input, other), (other, input)):
        if is_constant(factor):
            if is_scalar(tensor):
                return ScaledLoss(((tensor, float(factor)),))
            if is_number(factor) and factor == 1:
                return SameTensor(tensor)
            if is_number(factor):
                return scale(tensor, float(factor), f"a product with the number {factor} is no layer")
    return LayerCall("multiply", (input, other))


def read_quotient(input: Tensor, other: Any, **_: Any) -> Calls:
    """Read a tensor, or a loss, that is divided by a number."""
    if is_scalar(input) and is_constant(other):
        return ScaledLoss(((input, 1.0 / float(other)),))
    if is_number(other) and other == 1:
        return SameTensor(input)
    if is_number(other) and other != 0:
        return scale(input, 1.0 / float(other), "a division is no layer")
    raise UnmappedCallError("a division is no layer")


def scale(tensor: Tensor, factor: float, reason: str) -> ScaledTensor:
    """Give a tensor times a number, which is no layer of its own for a reason."""
    return ScaledTensor(tensor, factor, reason, tensor._version)


def is_number(value: Any) -> bool:
    """Tell whether a value is a plain number."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_constant(value: Any) -> bool:
    """Tell whether a value is a plain number, or a tensor of one that is not trained, such as a gradient scaler's."""
    return is_number(value) or (is_scalar(value) and not value.requires_grad)


def is_scalar(value: Any) -> bool:
    """Tell whether a value is a tensor without axes."""
    return hasattr(value, "dim") and value.dim() == 0


def read_concat(tensors: Sequence[Tensor], dim: int = 0, **_: Any) -> Calls:
    """Read a concatenation along an axis behind the batch."""
    tensors = tuple(tensors)
    axis = dim % tensors[0].dim()
    if axis == 0:
        raise UnmappedCallError("a concatenation of batches is no layer")
    if len(tensors) == 1:
        return SameTensor(tensors[0])
    return LayerCall("concat", tensors, {} if axis == 1 else {"axis": axis})


def read_matmul(input: Tensor, other: Tensor, **_: Any) -> Calls:
    """Read a product of matrices, of two activations or with a weight."""
    if other.dim() == 2 and other.is_leaf and other.requires_grad:
        fields = {"out_features": int(other.shape[1]), "bias": False}
        return LayerCall("linear", (input,), fields, other.t())
    return LayerCall("matmul", (input, other))


JOINING: dict[str, Callable[..., Calls]] = {
    **dict.fromkeys(("add", "add_", "__add__", "__radd__", "__iadd__", "iadd"), read_sum),
    **dict.fromkeys(("sub", "sub_", "subtract", "__sub__", "__isub__"), read_difference),
    **dict.fromkeys(("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__"), read_product),
    **dict.fromkeys(("div", "div_", "true_divide", "divide", "__truediv__"), read_quotient),
    **dict.fromkeys(("cat", "concat", "concatenate"), read_concat),
    **dict.fromkeys(("matmul", "__matmul__", "bmm", "mm"), read_matmul),
}
