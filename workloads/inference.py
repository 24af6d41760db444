"""The shape of a layer's output, from the shapes it reads."""

from __future__ import annotations

from math import prod

from workloads.kinds import LayerBase
from workloads.kinds.computed import ComputedLayer
from workloads.shapes import Shape

ELEMENT_LIMIT = 2**31


def infer_output(layer: LayerBase, inputs: tuple[str, ...], input_shapes: tuple[Shape, ...]) -> Shape:
    """Return the shape of a layer's output.

    Raises:
        ValueError: the layer cannot read such inputs; a sentence without the place.
    """
    _check_input_count(layer, inputs)
    _check_size("input", input_shapes[0])
    if isinstance(layer, ComputedLayer):
        _check_size("weights", layer.infer_joint_geometry(input_shapes).weight_shape)
    output = layer.infer_output(inputs, input_shapes)
    _check_size("output", output)
    return output


def _check_input_count(layer: LayerBase, inputs: tuple[str, ...]) -> None:
    if layer.traits.reads_several:
        if len(inputs) < 2:
            raise ValueError(f"{layer.type} reads two or more layers, got 1 ('{inputs[0]}'); name them in inputs")
    elif len(inputs) > 1:
        names = ", ".join(f"'{name}'" for name in inputs)
        raise ValueError(f"{layer.type} reads one layer, got {len(inputs)} ({names}); join them by add or concat")


def _check_size(what: str, shape: Shape) -> None:
    if prod(shape) > ELEMENT_LIMIT:
        raise ValueError(f"its {what} of shape {shape} would have more than {ELEMENT_LIMIT} elements")
