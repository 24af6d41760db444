"""Say what each kind of layer does in elementwise passes, as the definition's table of passes has it.

Choices where the definition of the machine leaves room:

E1. The rows that a row of a result needs are counted from the first to the last in the order of storage.
E2. What is spread over rows is held from the first axis along which it is spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

STEPPED = {"conv2d", "conv1d", "conv_transpose2d", "linear", "matmul"}
VIEWS = {"flatten", "reshape"}
RIDING = {"relu", "relu6", "dropout"} | VIEWS
IN_PLACE = {"concat", "split"}
MOVING = {"transpose", "channel_shuffle", "pixel_shuffle"}
LOSSES = {"softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy"}
ROW_NORMS = {"layer_norm", "group_norm", "instance_norm"}
AVERAGES = {"avg_pool", "global_avg_pool", "adaptive_avg_pool", "upsample"}
FLAGGED = {"leaky_relu", "hard_sigmoid"}
# These hand their output's gradient back, or parts of it, and write none.
HANDING_ON = RIDING | IN_PLACE | {"add"}
# Zeros of a ReLU before them are zeros of a ReLU behind them.
KEEPING_ZEROS = AVERAGES | VIEWS | MOVING | {"max_pool", "split", "dropout", "local_response_norm", "concat"}
KEEPING_INPUT = ROW_NORMS | {
    "batch_norm", "silu", "gelu", "hard_swish", "prelu", "local_response_norm", "multiply",
}  # fmt: skip
KEEPING_OUTPUT = {"sigmoid", "tanh", "softmax"}
TAKING_STATISTICS = ROW_NORMS | {"batch_norm", "softmax"}
SWEPT_TWICE_FORWARD = ROW_NORMS | {"softmax"}
SWEPT_TWICE_BACKWARD = ROW_NORMS | {"softmax", "batch_norm"}
# Behind these a ReLU's mask is known without what they read.
TELLING_MASKS = MOVING | {"max_pool"}


@dataclass(frozen=True)
class Layer:
    """Describe a layer: its form's fields, what it reads, and shapes, the batch first."""

    name: str
    kind: str
    fields: dict[str, Any]
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]

    @property
    def is_trained(self) -> bool:
        """Tell whether it has a parameter."""
        if self.kind in ROW_NORMS:
            return bool(self.fields["affine"])
        return self.kind in {"conv2d", "conv1d", "conv_transpose2d", "linear", "batch_norm", "prelu", "parameter"}


def pair(value: int | list[int]) -> tuple[int, int]:
    """Give height and width of a field that may be one number."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def count_elements(layer: Layer) -> int:
    """Count the elements of the largest tensor among inputs and output."""
    read = () if layer.kind == "parameter" else layer.shapes
    return max(prod(shape) for shape in (*read, layer.shape))


def count_index_bits(layer: Layer) -> int:
    """Count the bits of argmax indices, or of flags of an element each."""
    if layer.kind in FLAGGED:
        return prod(layer.shape)
    if layer.kind == "max_pool":
        height, width = pair(layer.fields["kernel"])
        bits = 0
        while 2**bits < height * width:
            bits += 1
        return bits * prod(layer.shape)
    return 0


def count_target_elements(layer: Layer) -> int:
    """Count the numbers that a loss reads beside its scores: a label for each image is none."""
    scores = layer.shapes[0]
    if layer.kind == "softmax_cross_entropy":
        return 0 if len(scores) == 2 else scores[0] * prod(scores[2:])
    return prod(scores)


def list_row_pairs(layer: Layer) -> Iterator[tuple[int, int]]:
    """List which rows of an image (of the height axis) each row of a resampled image is made of."""
    height = layer.shapes[0][2]
    for row in range(layer.shape[2]):
        if layer.kind == "adaptive_avg_pool":
            rows = layer.shape[2]
            met = [h for h in range(height) if (h + 1) * rows > row * height and h * rows < (row + 1) * height]
        else:
            met = list_interpolated(row, height, layer)
        yield from ((row, h) for h in met if 0 <= h < height)


def list_interpolated(row: int, height: int, layer: Layer) -> list[int]:
    """List the rows that a row of a larger image is interpolated from."""
    scale = pair(layer.fields["scale"])[0]
    if layer.fields["mode"] == "nearest":
        return [row // scale]
    if layer.fields["align_corners"]:
        over, whole = row * (height - 1), max(height * scale - 1, 1)
    else:
        over, whole = max(2 * row + 1 - scale, 0), 2 * scale
    return [over // whole] if over % whole == 0 else [over // whole, over // whole + 1]


def span(pairs: list[tuple[int, int]]) -> int:
    """Count the most rows, from first to last, that stand with one other."""
    partners: dict[int, list[int]] = {}
    for one, other in pairs:
        partners.setdefault(one, []).append(other)
    return max(max(found) - min(found) + 1 for found in partners.values())


def count_window(layer: Layer, *, backward: bool) -> int | None:
    """Count the rows that a pass needs for one of its own; 0 for the same element, None for the whole tensor."""
    kind = layer.kind
    if kind in TAKING_STATISTICS:
        return None
    if kind == "parameter":
        return 0
    shape = layer.shapes[0]
    if kind == "global_avg_pool":
        return 1 if backward else shape[2]
    if kind in ("max_pool", "avg_pool"):
        taps, apart = pair(layer.fields["kernel"])[0], pair(layer.fields.get("dilation", 1))[0]
        stride = taps if layer.fields["stride"] is None else pair(layer.fields["stride"])[0]
        reach = (taps - 1) * apart + 1
        return min(-(-reach // stride), layer.shape[2]) if backward else min(reach, shape[2])
    if kind in ("adaptive_avg_pool", "upsample"):
        pairs = list(list_row_pairs(layer))
        return span([(h, row) for row, h in pairs] if backward else pairs)
    if kind == "local_response_norm":
        return (min(layer.fields["size"], shape[1]) - 1) * shape[2] + 1
    if kind == "transpose":
        order = [0, *layer.fields["axes"]]
        if backward:
            return span_axis(layer.shape, order.index(len(order) - 1))
        return span_axis(shape, order[-1])
    if kind == "channel_shuffle":
        return 1
    if kind == "pixel_shuffle":
        return 1 if backward else (layer.fields["upscale"] - 1) * shape[2] + 1
    if kind == "softmax_cross_entropy":
        return span_axis(shape, 1)
    if kind in ("add", "subtract", "multiply") and not backward:
        return max(count_spread(read, layer.shape) for read in layer.shapes)
    return 0


def span_axis(shape: tuple[int, ...], axis: int) -> int:
    """Count the rows from the first to the last element along an axis."""
    return 1 if axis == len(shape) - 1 else (shape[axis] - 1) * prod(shape[axis + 1 : -1]) + 1


def count_spread(read: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Count the rows that are gone through again and again; missing axes are the first behind the batch."""
    read = (*read[:1], *(1,) * (len(shape) - len(read)), *read[1:])
    for axis, (length, whole) in enumerate(zip(read, shape, strict=True)):
        if length != whole:
            return prod(read[axis + 1 : -1])
    return 0
