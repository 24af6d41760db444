"""Layer norm and group norm as exporters write them, and batch norm with its scale behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.importers.onnx_model.operations import Array, Operation, OperationGraph
from workloads.importers.onnx_model.operators.normalisations import GROUPED
from workloads.importers.onnx_model.patterns.activations import constant_of


def find_normalisations(graph: OperationGraph) -> None:
    """Put one operation in the place of each normalisation that is written as several."""
    for finder in (find_layer_norm, find_group_norm, find_scaled_batch_norm):
        for operation in list(graph.operations):
            if operation in graph.operations:
                finder(graph, operation)


def find_layer_norm(graph: OperationGraph, mean: Operation) -> None:
    """Find (x - mean) / sqrt(mean((x - mean)^2) + epsilon), and its scale and shift."""
    if mean.kind != "ReduceMean" or not (axes := last_axes(graph, mean)):
        return
    source = mean.input(0)
    differences = [
        one for one in graph.readers(mean.output) if one.kind == "Sub" and one.inputs == (source, mean.output)
    ]
    quotients = {one.output: one for difference in differences for one in graph.readers(difference.output)
                 if one.kind == "Div" and one.input(0) == difference.output}  # fmt: skip
    if not differences or len(differences) != len(graph.readers(mean.output)) or len(quotients) != 1:
        return
    (quotient,) = quotients.values()
    root = graph.made_by(quotient.input(1), "Sqrt")
    plus = None if root is None else graph.made_by(root.input(0), "Add")
    if root is None or plus is None or (epsilon := constant_of(graph, plus)) is None:
        return
    variance = next((one for one in map(graph.producer, plus.inputs) if one is not None), None)
    if variance is None or variance.kind != "ReduceMean" or last_axes(graph, variance) != axes:
        return
    square = graph.made_by(variance.input(0), "Pow", "Mul")
    centred = {one.output for one in differences}
    if square is None or square.input(0) not in centred or not is_square(graph, square):
        return
    gone = [mean, *differences, square, variance, plus, root, quotient]
    scale, shift, last = find_scale_and_shift(graph, quotient, gone)
    inputs = (source, scale, shift) if shift else (source, scale) if scale else (source,)
    attributes = {"axis": -len(axes), "epsilon": epsilon}
    graph.replace(gone, Operation("LayerNormalization", last.name, inputs, last.outputs, attributes))


def is_square(graph: OperationGraph, square: Operation) -> bool:
    """Tell whether an operation squares its first input."""
    return graph.scalar(square.input(1)) == 2 if square.kind == "Pow" else square.input(0) == square.input(1)


def last_axes(graph: OperationGraph, mean: Operation) -> tuple[int, ...]:
    """Give the axes of a mean that keeps them, counted from the end, if they are the last ones."""
    axes: Any = mean.attributes.get("axes")
    if axes is None and mean.input(1) in graph.constants:
        axes = graph.constants[mean.input(1)].tolist()
    if axes is None or not mean.attributes.get("keepdims", 1) or mean.input(0) not in graph.shapes:
        return ()
    rank = len(graph.shapes[mean.input(0)])
    counted = tuple(sorted(axis % rank - rank for axis in axes))
    return counted if counted == tuple(range(-len(counted), 0)) and len(counted) < rank else ()


def find_scale_and_shift(graph: OperationGraph, before: Operation, gone: list[Operation]) -> tuple[str, str, Operation]:
    """Find the product with a constant and the sum with one behind an operation; what is found joins `gone`."""
    names = {"Mul": "", "Add": ""}
    last = before
    for kind in names:
        reader = graph.sole_reader(last.output)
        if reader is None or reader.kind != kind:
            continue
        constant = next((name for name in reader.inputs if name in graph.constants), "")
        if constant:
            names[kind], last = constant, reader
            gone.append(reader)
    return names["Mul"], names["Add"], last


def find_group_norm(graph: OperationGraph, inner: Operation) -> None:
    """Find the normalisation of (N, groups, the rest) between two reshapes, and its scale and shift."""
    if inner.kind != "InstanceNormalization" or not is_plain(graph, inner):
        return
    first, back = graph.made_by(inner.input(0), "Reshape"), graph.sole_reader(inner.output)
    if first is None or back is None or back.kind != "Reshape" or graph.sole_reader(first.output) is None:
        return
    source = first.input(0)
    shape, inside = graph.shapes[source], graph.shapes[first.output]
    if graph.shapes[back.output] != shape or len(inside) != 3 or len(shape) < 3 or shape[1] % inside[1]:
        return
    gone = [first, inner, back]
    scale, shift, last = find_scale_and_shift(graph, back, gone)
    channels = shape[1]
    if any(name and graph.constants[name].size != channels for name in (scale, shift)):
        gone, scale, shift, last = gone[:3], "", "", back
    names = [source]
    for name, number in ((scale, 1.0), (shift, 0.0)):
        made = name or f"{last.output}/{number:g}"
        if not name:
            graph.constants[made] = np.full(channels, number, np.float32)
        names.append(made)
    attributes = {"num_groups": inside[1], "epsilon": inner.attributes.get("epsilon", 1e-5)}
    graph.replace(gone, Operation(GROUPED, last.name, tuple(names), last.outputs, attributes))


def is_plain(graph: OperationGraph, inner: Operation) -> bool:
    """Tell whether scale and shift of a normalisation are 1 and 0."""
    scale, shift = (graph.constants.get(inner.input(place)) for place in (1, 2))
    return scale is not None and shift is not None and bool(np.all(scale == 1)) and not np.any(shift)


def find_scaled_batch_norm(graph: OperationGraph, norm: Operation) -> None:
    """Find a batch norm whose scale and shift stand behind it, as Caffe has them in a layer of their own."""
    if norm.kind != "BatchNormalization" or any(name not in graph.constants for name in norm.inputs[1:]):
        return
    gone = [norm]
    factor, summand, last = find_scale_and_shift(graph, norm, gone)
    channels = graph.constants[norm.input(1)].size
    rank = len(graph.shapes[norm.input(0)])
    arrays = [per_channel(graph.constants[name], channels, rank) for name in (factor, summand) if name]
    if not arrays or any(array is None for array in arrays):
        return
    found = iter(arrays)
    scale, shift = graph.constants[norm.input(1)], graph.constants[norm.input(2)]
    if factor:
        multiplier = next(found)
        scale, shift = scale * multiplier, shift * multiplier
    if summand:
        shift = shift + next(found)
    names = (f"{last.output}/scale", f"{last.output}/shift")
    graph.constants |= {names[0]: np.asarray(scale), names[1]: np.asarray(shift)}
    inputs = (norm.input(0), *names, *norm.inputs[3:])
    graph.replace(gone, Operation(norm.kind, norm.name, inputs, last.outputs, norm.attributes))


def per_channel(array: Array, channels: int, rank: int) -> Array | None:
    """Give a constant as one number for each channel, if it is that."""
    fitted = array.reshape((1,) * max(0, rank - array.ndim) + array.shape)
    if fitted.ndim != rank or fitted.size not in (1, channels) or fitted.shape[1] != fitted.size:
        return None
    return np.broadcast_to(fitted.reshape(-1), (channels,))
