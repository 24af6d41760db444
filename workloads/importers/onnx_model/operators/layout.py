"""Operators that move elements: joining, cutting, reshaping, transposing, resampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from workloads.importers.onnx_model.builder import NetworkBuilder, UnsupportedError, Value, compact
from workloads.importers.onnx_model.operations import Operation
from workloads.importers.onnx_model.operators.elementwise import fit_constant

# A pattern: reshape, transpose of the group's axes, reshape.
SHUFFLE = "ChannelShuffle"


def convert_reshape(operation: Operation, build: NetworkBuilder) -> None:
    """Give a value another shape, which becomes a layer where somebody needs it."""
    build.shape(operation.output)
    build.set(operation, build.values[operation.input(0)])


def convert_nothing(operation: Operation, build: NetworkBuilder) -> None:
    """Hand a value on."""
    build.set(operation, build.values[operation.input(0)])


def convert_cast(operation: Operation, build: NetworkBuilder) -> None:
    """Hand a value on; floating-point numbers are all the same here."""
    if operation.attributes.get("to") not in (1, 10, 11, 16):
        raise UnsupportedError("a cast to whole numbers or truth values")
    convert_nothing(operation, build)


def convert_transpose(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a permutation of the axes behind the batch."""
    shape = build.graph.shapes[operation.input(0)]
    axes = list(operation.attributes.get("perm") or range(len(shape))[::-1])
    if axes[0] != 0:
        raise UnsupportedError("the batch is moved")
    moved = [axis for axis in axes if shape[axis] != 1]
    if moved == sorted(moved):
        convert_reshape(operation, build)
        return
    source = build.plain(operation.input(0))
    held = build.shape(operation.output)
    build.set(operation, build.add("transpose", operation.name, [source], held, axes=axes[1:]))


def convert_concat(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a concatenation; constants become parameters."""
    shape = build.shape(operation.output)
    axis = operation.attributes["axis"] % (len(shape) + 1)
    if axis == 0:
        raise UnsupportedError("images are joined")
    values = []
    for name in operation.inputs:
        array = build.graph.constants.get(name)
        if array is None:
            values.append(build.plain(name))
        elif array.size:
            values.append(build.parameter(f"{operation.name}_constant", fit_constant(array, shape)))
    if len(values) == 1:
        build.set(operation, values[0])
        return
    build.set(operation, build.add("concat", operation.name, values, shape, **({"axis": axis} if axis != 1 else {})))


def add_part(build: NetworkBuilder, name: str, source: Value, axis: int, sizes: Sequence[int], part: int) -> Value:
    """Add a layer that gives one part of a value cut along an axis, the batch being axis 0."""
    cut = [size for size in sizes if size]
    number = part - sum(not size for size in sizes[:part])
    if len(cut) == 1:
        return source
    held = (*source.held[: axis - 1], sizes[part], *source.held[axis:])
    return build.add("split", name, [source], held, sizes=cut, part=number, **({"axis": axis} if axis != 1 else {}))


def convert_split(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a split: a layer for each part that is read."""
    source = build.plain(operation.input(0))
    axis = operation.attributes.get("axis", 0) % (len(source.held) + 1)
    if axis == 0:
        raise UnsupportedError("images are parted")
    sizes = [build.shape(name)[axis - 1] for name in operation.outputs]
    for part, name in enumerate(operation.outputs):
        if build.graph.readers(name) or name in build.graph.outputs:
            build.values[name] = add_part(build, f"{operation.name}_{part}", source, axis, sizes, part)


def convert_gather(operation: Operation, build: NetworkBuilder) -> None:
    """Convert the choice of one place along an axis."""
    source = build.plain(operation.input(0))
    indices = build.constant(operation.input(1), "a place")
    axis = operation.attributes.get("axis", 0) % (len(source.held) + 1)
    if axis == 0 or indices.size != 1:
        raise UnsupportedError("images are chosen" if axis == 0 else f"{indices.size} places are chosen")
    length = source.held[axis - 1]
    place = int(indices.reshape(-1)[0]) % length
    sizes = [place, 1, length - place - 1]
    build.set(operation, add_part(build, operation.name, source, axis, sizes, 1))


def convert_slice(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a stretch along one axis."""
    given = operation.attributes
    read = [
        given[name] if name in given else build.constant(operation.input(place), name).tolist()
        for place, name in ((1, "starts"), (2, "ends"))
    ]
    source = build.plain(operation.input(0))
    rank = len(source.held) + 1
    axes = list(given.get("axes") or range(len(read[0])))
    if operation.input(3):
        axes = build.constant(operation.input(3), "axes").tolist()
    steps = build.constant(operation.input(4), "steps").tolist() if operation.input(4) else [1] * len(axes)
    value = source
    for start, end, axis, step in zip(*read, axes, steps, strict=True):
        size = build.graph.shapes[operation.input(0)][axis % rank]
        first, last, _ = slice(start, end).indices(size)
        if (first, last, step) == (0, size, 1):
            continue
        if axis % rank == 0 or step != 1:
            raise UnsupportedError("images are chosen" if axis % rank == 0 else f"a step of {step}")
        sizes = [first, last - first, size - last]
        value = add_part(build, operation.name, value, axis % rank, sizes, 1)
    build.set(operation, value)


def convert_shuffle(operation: Operation, build: NetworkBuilder) -> None:
    """Convert a shuffle of channels."""
    source = build.image(operation.input(0))
    groups = operation.attributes["groups"]
    build.set(operation, build.add("channel_shuffle", operation.name, [source], source.held, groups=groups))


def convert_depth_to_space(operation: Operation, build: NetworkBuilder) -> None:
    """Convert channels to positions; ONNX's order DCR is a shuffle of channels before."""
    source = build.image(operation.input(0))
    size = operation.attributes["blocksize"]
    held = build.shape(operation.output)
    if operation.word("mode", "DCR") == "DCR" and held[0] > 1:
        source = build.add("channel_shuffle", f"{operation.name}_order", [source], source.held, groups=size * size)
    build.set(operation, build.add("pixel_shuffle", operation.name, [source], held, upscale=size))


def convert_resize(operation: Operation, build: NetworkBuilder) -> None:
    """Convert an enlargement by whole numbers."""
    source = build.image(operation.input(0))
    held = build.shape(operation.output)
    if len(held) == 2:
        held = (held[0], 1, held[1])
    factors = [new // old for new, old in zip(held[1:], source.held[1:], strict=True)]
    if held[0] != source.held[0] or [
        old * factor for old, factor in zip(source.held[1:], factors, strict=True)
    ] != list(held[1:]):
        raise UnsupportedError(f"a scale from {list(source.held)} to {list(held)}, not by whole numbers")
    fields = read_resampling(operation, build)
    build.set(operation, build.add("upsample", operation.name, [source], held, scale=compact(factors), **fields))


def read_resampling(operation: Operation, build: NetworkBuilder) -> dict[str, object]:
    """Read how a resize finds its values.

    Raises:
        UnsupportedError: it is neither the nearest nor linear between centres or corners.
    """
    mode = operation.word("mode", "nearest")
    is_old = operation.kind == "Upsample" or build.graph.opset == 10
    where = "asymmetric" if is_old else operation.word("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if is_old else operation.word("nearest_mode", "round_prefer_floor")
    if mode == "nearest" and (where, rounding) in (
        ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil"),
        ("pytorch_half_pixel", "round_prefer_floor"),
    ):  # fmt: skip
        return {"mode": "nearest"}
    if mode in ("linear", "bilinear") and where in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return {"mode": "bilinear", **({"align_corners": True} if where == "align_corners" else {})}
    raise UnsupportedError(f"mode {mode} with coordinates {where} and rounding {rounding}")


def convert_pad(operation: Operation, build: NetworkBuilder) -> None:
    """Hand a value on that is not padded; other paddings belong to the convolution that reads them."""
    pads = operation.attributes.get("pads")
    if pads is None:
        pads = build.constant(operation.input(1), "a padding").tolist()
    if np.any(pads):
        raise UnsupportedError("a padding that no convolution reads, or not with zeros")
    convert_nothing(operation, build)


OPERATORS: Mapping[str, Callable[[Operation, NetworkBuilder], None]] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), convert_reshape),
    "Identity": convert_nothing,
    "Cast": convert_cast,
    "Transpose": convert_transpose,
    "Concat": convert_concat,
    "Split": convert_split,
    "Gather": convert_gather,
    "Slice": convert_slice,
    SHUFFLE: convert_shuffle,
    "DepthToSpace": convert_depth_to_space,
    "Resize": convert_resize,
    "Upsample": convert_resize,
    "Pad": convert_pad,
}
