"""Calls of torch functions that move elements: other shapes, orders, parts, sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from workloads.capture.calls import (
    Call,
    Calls,
    LayerCall,
    MovedBatch,
    PaddedTensor,
    SameTensor,
    Tensor,
    UnmappedCallError,
    expect_axes,
    pair,
    short,
)


def read_flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Calls:
    """Read a joining of axes."""
    axes = input.dim()
    start, end = start_dim % axes, end_dim % axes
    sizes = [int(size) for size in input.shape]
    return change_shape(input, [*sizes[:start], prod(sizes[start : end + 1]), *sizes[end + 1 :]])


def read_view(input: Tensor, *shape: Any, **_: Any) -> Calls:
    """Read a change of the shape."""
    sizes = list(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else list(shape)
    if not all(isinstance(size, int) for size in sizes):
        return SameTensor(input)
    if -1 in sizes:
        known = prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = input.numel() // known
    return change_shape(input, [int(size) for size in sizes])


def read_squeeze(input: Tensor, dim: Any = None) -> Calls:
    """Read a removal of axes of size 1."""
    axes = (
        range(input.dim()) if dim is None else [one % input.dim() for one in ((dim,) if isinstance(dim, int) else dim)]
    )
    return change_shape(input, [int(size) for axis, size in enumerate(input.shape) if axis not in axes or size != 1])


def read_unsqueeze(input: Tensor, dim: int) -> Calls:
    """Read an addition of an axis of size 1."""
    sizes = [int(size) for size in input.shape]
    sizes.insert(dim % (input.dim() + 1), 1)
    return change_shape(input, sizes)


def read_unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Calls:
    """Read a division of an axis."""
    axis, shape = dim % input.dim(), [int(size) for size in input.shape]
    parts = list(sizes)
    if -1 in parts:
        parts[parts.index(-1)] = shape[axis] // prod(size for size in parts if size != -1)
    return change_shape(input, [*shape[:axis], *parts, *shape[axis + 1 :]])


def change_shape(input: Tensor, sizes: list[int]) -> Calls:
    """Read a change of the shape that leaves the batch in its place.

    Raises:
        UnmappedCallError: the batch is joined with something.
    """
    shape = [int(size) for size in input.shape]
    if sizes == shape:
        return SameTensor(input)
    if not sizes or sizes[0] != shape[0]:
        raise UnmappedCallError(f"the shape {tuple(shape)} becomes {tuple(sizes)}, which changes the batch")
    if len(shape) == 4 and len(sizes) == 2:
        return LayerCall("flatten", (input,))
    return LayerCall("reshape", (input,), {"shape": sizes[1:]})


def read_permute(input: Tensor, *dims: Any) -> Calls:
    """Read another order of the axes."""
    order = list(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else list(dims)
    return change_order(input, [axis % input.dim() for axis in order])


def read_transpose(input: Tensor, dim0: int, dim1: int) -> Calls:
    """Read an exchange of two axes."""
    order = list(range(input.dim()))
    first, second = dim0 % input.dim(), dim1 % input.dim()
    order[first], order[second] = second, first
    return change_order(input, order)


def change_order(input: Tensor, order: list[int]) -> Call:
    """Read another order of the axes; one that moves the batch is no layer, unless another moves it back."""
    if order == sorted(order):
        return SameTensor(input)
    if order[0] != 0:
        return MovedBatch(input, tuple(order), f"the axes are put into the order {order}, which moves the batch")
    return LayerCall("transpose", (input,), {"axes": order[1:]})


def follow_move(call: LayerCall | MovedBatch, moved: MovedBatch) -> Call:
    """Read an order of axes behind one that moved the batch as one order of what was there before."""
    own = call.order if isinstance(call, MovedBatch) else (0, *call.fields["axes"])
    return change_order(moved.input, [moved.order[axis] for axis in own])


def read_chunk(input: Tensor, chunks: int, dim: int = 0) -> Calls:
    """Read a division into equal parts, the last perhaps smaller."""
    return read_split(input, -(-int(input.shape[dim]) // chunks), dim)


def read_split(input: Tensor, split_size: Any, dim: int = 0) -> Calls:
    """Read a division into parts, one layer for each."""
    axis = dim % input.dim()
    length = int(input.shape[axis])
    if isinstance(split_size, int):
        sizes = [min(split_size, length - begin) for begin in range(0, length, split_size)]
    else:
        sizes = [int(size) for size in split_size]
    return [take_part(input, sizes, part, axis) for part in range(len(sizes))]


def read_unbind(input: Tensor, dim: int = 0) -> Calls:
    """Read a division into parts of one element of an axis, without that axis."""
    axis = dim % input.dim()
    count = int(input.shape[axis])
    left = [int(size) for place, size in enumerate(input.shape) if place not in (0, axis)]
    return [take_part(input, [1] * count, part, axis, left) for part in range(count)]


def take_part(
    input: Tensor, sizes: list[int], part: int, axis: int, shape: list[int] | None = None
) -> LayerCall | SameTensor:
    """Read one part of a division.

    Args:
        shape: Without the batch, where it is changed besides.

    Raises:
        UnmappedCallError: the batch is divided.
    """
    if axis == 0:
        raise UnmappedCallError("the batch is divided")
    if len(sizes) == 1 and shape is None:
        return SameTensor(input)
    then = () if shape is None else (("reshape", {"shape": shape}),)
    return LayerCall("split", (input,), {"sizes": sizes, "part": part, "axis": axis}, then=then)


def read_index(input: Tensor, index: Any) -> Calls:
    """Read a selection of consecutive elements of one axis."""
    places = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in [one for one in places if one is Ellipsis]:
        at = next(place for place, one in enumerate(places) if one is Ellipsis)
        places[at : at + 1] = [slice(None)] * (input.dim() - len(places) + 1)
    if not all(isinstance(one, int | slice) for one in places):
        raise UnmappedCallError("a selection by a list, a tensor or a new axis is no layer")
    shape = [int(size) for size in input.shape]
    chosen = [(axis, one) for axis, one in enumerate(places) if one != slice(None)]
    if not chosen:
        return SameTensor(input)
    if len(chosen) > 1:
        raise UnmappedCallError("a selection along several axes is no layer; one for each axis is")
    (axis, one), length = chosen[0], shape[chosen[0][0]]
    begin, end, step = (one % length, one % length + 1, 1) if isinstance(one, int) else one.indices(length)
    if step != 1 or end <= begin:
        raise UnmappedCallError("a selection of every other element, or of none, is no layer")
    sizes = [size for size in (begin, end - begin, length - end) if size]
    left = [size for place, size in enumerate(shape) if place not in (0, axis)] if isinstance(one, int) else None
    return take_part(input, sizes, 1 if begin else 0, axis, left)


def read_pooled_mean(input: Tensor, dim: Any, keepdim: bool) -> Calls:
    """Read a mean over the positions of each channel.

    Raises:
        UnmappedCallError: it goes over something else.
    """
    axes = () if dim is None else tuple(sorted(one % input.dim() for one in ((dim,) if isinstance(dim, int) else dim)))
    if input.dim() != 4 or axes != (2, 3):
        raise UnmappedCallError(f"a mean over the axes {list(axes)} of a tensor of {input.dim()} axes is no layer")
    return LayerCall("global_avg_pool", (input,), then=() if keepdim else (("flatten", {}),))


def read_interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,  # noqa: ARG001
    antialias: bool = False,
) -> Calls:
    """Read an enlargement by whole factors."""
    expect_axes(input, 4, "an enlargement")
    height, width = (int(one) for one in input.shape[2:])
    if size is not None:
        wanted = pair(size)
        factors: tuple[float, float] = (wanted[0] / height, wanted[1] / width)
    else:
        given = (scale_factor, scale_factor) if isinstance(scale_factor, int | float) else tuple(scale_factor)
        factors = (float(given[0]), float(given[1]))
    if factors == (1.0, 1.0):
        return SameTensor(input)
    whole = [int(one) for one in factors]
    if antialias or mode not in ("nearest", "bilinear") or tuple(whole) != factors:
        raise UnmappedCallError(
            f"a resizing by {factors[0]} x {factors[1]} ({mode}) is no layer; by whole factors it is"
        )
    fields: dict[str, Any] = {"scale": short(whole), "mode": mode}
    if mode == "bilinear":
        fields["align_corners"] = bool(align_corners)
    return LayerCall("upsample", (input,), fields)


def read_pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Calls:
    """Read zeros around rows and columns, which torch gives from the last axis on."""
    sizes = [int(size) for size in pad]
    if not any(sizes):
        return SameTensor(input)
    if mode != "constant" or value not in (None, 0) or len(sizes) > 4 or input.dim() != 4 or min(sizes) < 0:
        raise UnmappedCallError(f"padding by {sizes} ({mode}) is no layer; zeros before a convolution are a part of it")
    left, right, top, bottom = [*sizes, 0, 0][:4]
    return PaddedTensor(input, (top, left, bottom, right))


def read_pixel_shuffle(input: Tensor, upscale_factor: int) -> Calls:
    """Read channels that become positions."""
    return LayerCall("pixel_shuffle", (input,), {"upscale": upscale_factor})


def read_channel_shuffle(input: Tensor, groups: int) -> Calls:
    """Read channels that change their order."""
    return LayerCall("channel_shuffle", (input,), {"groups": groups})


RESHAPING: dict[str, Callable[..., Calls]] = {
    "flatten": read_flatten,
    **dict.fromkeys(("view", "reshape"), read_view),
    "squeeze": read_squeeze,
    "unsqueeze": read_unsqueeze,
    "unflatten": read_unflatten,
    "permute": read_permute,
    **dict.fromkeys(("transpose", "swapaxes"), read_transpose),
    "chunk": read_chunk,
    **dict.fromkeys(("split", "split_with_sizes"), read_split),
    "unbind": read_unbind,
    "__getitem__": read_index,
    "interpolate": read_interpolate,
    "pad": read_pad,
    "pixel_shuffle": read_pixel_shuffle,
    "channel_shuffle": read_channel_shuffle,
}
