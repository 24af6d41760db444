"""The table of torch functions that layers stand for: each entry takes a call's arguments as the function does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from workloads.capture.calls import Calls, LayerCall, SameTensor, Tensor, UnmappedCallError, expect_axes, pair, short
from workloads.capture.joining import JOINING
from workloads.capture.losses import LOSSES
from workloads.capture.pooling import POOLING
from workloads.capture.reshaping import RESHAPING, read_transpose

Reader = Callable[..., Calls]


def read_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Calls:
    """Read a convolution."""
    expect_axes(input, 4, "a convolution")
    kernel, moved = tuple(weight.shape[2:]), pair(dilation)
    fields = {
        "out_channels": int(weight.shape[0]), "kernel": short(kernel), "stride": short(pair(stride)),
        "padding": find_padding(padding, kernel, moved), "dilation": short(moved), "groups": groups,
        "bias": bias is not None,
    }  # fmt: skip
    return LayerCall("conv2d", (input,), fields, weight, bias)


def read_conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Calls:
    """Read a convolution of signals."""
    expect_axes(input, 3, "a convolution of signals")
    length, moved = int(weight.shape[2]), pair(dilation)
    sides = find_padding(padding if isinstance(padding, str) else pair(padding), (1, length), (1, moved[1]))
    fields = {
        "out_channels": int(weight.shape[0]), "kernel": length, "stride": pair(stride)[1],
        "padding": sides if isinstance(sides, int) else short(sides[1::2]), "dilation": moved[1], "groups": groups,
        "bias": bias is not None,
    }  # fmt: skip
    return LayerCall("conv1d", (input,), fields, weight, bias)


def find_padding(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> Any:
    """Give a convolution's padding; torch's `same`, at stride 1 alone, has the odd one at the end."""
    if padding == "valid":
        return 0
    if padding != "same":
        return short(pair(padding))
    totals = [spread * (size - 1) for size, spread in zip(kernel, dilation, strict=True)]
    top, left = (total // 2 for total in totals)
    sides = [top, left, totals[0] - top, totals[1] - left]
    return short(sides[:2]) if sides[:2] == sides[2:] else sides


def read_conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Calls:
    """Read a transposed convolution, whose weight is (C, M / G, R, S)."""
    expect_axes(input, 4, "a transposed convolution")
    fields = {
        "out_channels": int(weight.shape[1]) * groups, "kernel": short(tuple(weight.shape[2:])),
        "stride": short(pair(stride)), "padding": short(pair(padding)), "output_padding": short(pair(output_padding)),
        "dilation": short(pair(dilation)), "groups": groups, "bias": bias is not None,
    }  # fmt: skip
    return LayerCall("conv_transpose2d", (input,), fields, weight, bias)


def read_linear(input: Tensor, weight: Tensor, bias: Tensor = None) -> Calls:
    """Read a fully connected layer."""
    fields = {"out_features": int(weight.shape[0]), "bias": bias is not None}
    return LayerCall("linear", (input,), fields, weight, bias)


def read_addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Calls:
    """Read a fully connected layer that is written as a product and a sum."""
    if beta != 1 or alpha != 1 or input.dim() != 1:
        raise UnmappedCallError("addmm is a fully connected layer only with a bias of one axis and without factors")
    return read_linear(mat1, mat2.t(), input)


def read_kind(kind: str, input: Tensor, inplace: bool = False) -> Calls:  # noqa: ARG001
    """Read an activation without numbers."""
    return LayerCall(kind, (input,))


def read_clamp(input: Tensor, min: Any = None, max: Any = None) -> Calls:
    """Read a limitation that is a ReLU."""
    if isinstance(min, int | float) and min == 0 and max in (None, 6):
        return LayerCall("relu" if max is None else "relu6", (input,))
    raise UnmappedCallError(f"a limitation to {min}..{max} is no layer; 0..6 and 0.. are")


def read_hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Calls:  # noqa: ARG001
    """Read a ReLU6, as torch writes it."""
    return read_clamp(input, min_val, max_val)


def read_threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Calls:  # noqa: ARG001
    """Read a ReLU that is written as a threshold."""
    if (threshold, value) != (0, 0):
        raise UnmappedCallError(f"a threshold of {threshold} with the value {value} is no ReLU")
    return LayerCall("relu", (input,))


def read_leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Calls:  # noqa: ARG001
    """Read a leaky ReLU."""
    return LayerCall("leaky_relu", (input,), {"negative_slope": float(negative_slope)})


def read_prelu(input: Tensor, weight: Tensor) -> Calls:
    """Read a ReLU with a trained slope."""
    slopes = weight.detach().double().flatten()
    fields = {"per_channel": len(slopes) > 1, "init": float(slopes.mean())}
    return LayerCall("prelu", (input,), fields)


def read_gelu(input: Tensor, approximate: str = "none") -> Calls:
    """Read a GELU, exact or by tanh."""
    return LayerCall("gelu", (input,), {"approximate": approximate})


def read_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Calls:  # noqa: ARG001
    """Read a softmax."""
    if dim is None:
        raise UnmappedCallError("softmax is given no axis")
    if dim % input.dim() == 0:
        raise UnmappedCallError("softmax goes over the batch")
    axis = -1 if dim % input.dim() == input.dim() - 1 else dim % input.dim()
    return LayerCall("softmax", (input,), {"axis": axis})


def read_log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Calls:  # noqa: ARG001
    """Read the first half of a softmax cross entropy."""
    if dim is None or dim % input.dim() != 1:
        raise UnmappedCallError("log_softmax is a part of a loss only over the classes, axis 1")
    return LayerCall("log_softmax", (input,))


def read_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Calls:  # noqa: ARG001
    """Read dropout, of elements or channels; one that does nothing is left out."""
    if not training or p == 0:
        return SameTensor(input)
    if p >= 1:
        raise UnmappedCallError("a dropout of rate 1 leaves nothing")
    return LayerCall("dropout", (input,), {"rate": float(p)})


def read_batch_norm(
    input: Tensor,
    running_mean: Tensor,  # noqa: ARG001
    running_var: Tensor,  # noqa: ARG001
    weight: Tensor = None,  # noqa: ARG001
    bias: Tensor = None,  # noqa: ARG001
    training: bool = False,
    momentum: float | None = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> Calls:
    """Read a batch norm, which takes the batch's own statistics."""
    if not training:
        raise UnmappedCallError("batch norm takes stored statistics here, as in evaluation; call model.train() first")
    return LayerCall("batch_norm", (input,), {"epsilon": float(eps)})


def read_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor = None, bias: Tensor = None, eps: float = 1e-5
) -> Calls:
    """Read a layer norm over the last axes."""
    affine = read_affine(weight, bias)
    return LayerCall(
        "layer_norm", (input,), {"axes": len(tuple(normalized_shape)), "epsilon": float(eps), "affine": affine}
    )


def read_group_norm(
    input: Tensor, num_groups: int, weight: Tensor = None, bias: Tensor = None, eps: float = 1e-5
) -> Calls:
    """Read a group norm."""
    fields = {"groups": num_groups, "epsilon": float(eps), "affine": read_affine(weight, bias)}
    return LayerCall("group_norm", (input,), fields)


def read_affine(weight: Tensor, bias: Tensor) -> bool:
    """Tell whether a normalisation has scale and shift; a scale alone counts as both."""
    return weight is not None or bias is not None


def read_instance_norm(
    input: Tensor,
    running_mean: Tensor = None,  # noqa: ARG001
    running_var: Tensor = None,  # noqa: ARG001
    weight: Tensor = None,
    bias: Tensor = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> Calls:
    """Read an instance norm."""
    if not use_input_stats:
        raise UnmappedCallError("instance norm takes stored statistics here; call model.train() first")
    return LayerCall("instance_norm", (input,), {"epsilon": float(eps), "affine": read_affine(weight, bias)})


def read_local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Calls:
    """Read a local response norm."""
    fields = {"size": size, "alpha": float(alpha), "beta": float(beta), "k": float(k)}
    return LayerCall("local_response_norm", (input,), fields)


def read_same(input: Tensor, *_: Any, **__: Any) -> Calls:
    """Read a call that keeps elements and places; a change of the number format included."""
    return SameTensor(input)


def name_methods(tensor: type[Any], *names: str) -> list[Any]:
    """Give the methods and functions of these names that this torch has."""
    places = (tensor, torch, functional, torch._C._nn)
    found = [getattr(place, name) for name in names for place in places if hasattr(place, name)]
    return [one for one in found if callable(one)]


READERS: dict[str, Reader] = {
    "conv2d": read_conv2d,
    "conv1d": read_conv1d,
    "conv_transpose2d": read_conv_transpose2d,
    "linear": read_linear,
    "addmm": read_addmm,
    **{name: partial(read_kind, "relu") for name in ("relu", "relu_")},
    "relu6": partial(read_kind, "relu6"),
    **{name: partial(read_kind, "sigmoid") for name in ("sigmoid", "sigmoid_")},
    **{name: partial(read_kind, "tanh") for name in ("tanh", "tanh_")},
    "hardswish": partial(read_kind, "hard_swish"),
    "hardsigmoid": partial(read_kind, "hard_sigmoid"),
    "silu": partial(read_kind, "silu"),
    **dict.fromkeys(("clamp", "clamp_", "clip", "clamp_min", "clamp_min_"), read_clamp),
    **dict.fromkeys(("hardtanh", "hardtanh_"), read_hardtanh),
    **dict.fromkeys(("threshold", "threshold_"), read_threshold),
    **dict.fromkeys(("leaky_relu", "leaky_relu_"), read_leaky_relu),
    "prelu": read_prelu,
    "gelu": read_gelu,
    "softmax": read_softmax,
    "log_softmax": read_log_softmax,
    **dict.fromkeys(("dropout", "dropout_", "dropout1d", "dropout2d"), read_dropout),
    "batch_norm": read_batch_norm,
    "layer_norm": read_layer_norm,
    "group_norm": read_group_norm,
    "instance_norm": read_instance_norm,
    "local_response_norm": read_local_response_norm,
    **dict.fromkeys(
        ("contiguous", "clone", "detach", "to", "float", "half", "bfloat16", "double", "type", "type_as"), read_same
    ),
    **JOINING,
    **POOLING,
    **RESHAPING,
    **LOSSES,
}


def make_table() -> dict[Any, Reader]:
    """Give the reader of each torch function, method and attribute of tensors that is known, by the function itself."""
    attributes = {torch.Tensor.mT.__get__: partial(read_transpose, dim0=-2, dim1=-1)}
    return attributes | {one: reader for name, reader in READERS.items() for one in name_methods(torch.Tensor, name)}
