"""Paddings and biases that belong to their neighbours, shuffles of channels, scales of products."""

from __future__ import annotations

from workloads.importers.onnx_model.operations import Operation, OperationGraph
from workloads.importers.onnx_model.operators.layout import SHUFFLE
from workloads.importers.onnx_model.operators.products import LINEAR
from workloads.importers.onnx_model.patterns.activations import constant_of, variable_of
from workloads.importers.onnx_model.patterns.normalisations import per_channel


def find_structure(graph: OperationGraph) -> None:
    """Join what one layer does."""
    for finder in (find_channels_first, find_padding, find_bias, find_shuffle, find_product):
        for operation in list(graph.operations):
            if operation in graph.operations:
                finder(graph, operation)


def find_channels_first(graph: OperationGraph, turn: Operation) -> None:
    """Let the input of a model that begins by moving the channels to the front have them there."""
    if turn.kind != "Transpose" or turn.input(0) != graph.input or graph.sole_reader(graph.input) is not turn:
        return
    if list(turn.attributes.get("perm", ())) == [0, 3, 1, 2]:
        graph.shapes[graph.input] = graph.shapes[turn.output]
        graph.remove(turn, graph.input)


def find_padding(graph: OperationGraph, pad: Operation) -> None:
    """Join a padding with zeros with the convolutions, or the means that count it, that read it."""
    if pad.kind != "Pad" or pad.attributes.get("mode", b"constant") != b"constant":
        return
    pads = pad.attributes.get("pads")
    if pads is None and pad.input(1) in graph.constants:
        pads = graph.constants[pad.input(1)].tolist()
    value = graph.scalar(pad.input(2)) if pad.input(2) else pad.attributes.get("value", 0.0)
    readers = graph.readers(pad.output)
    if pads is None or value != 0 or pad.input(3) or not readers or pad.output in graph.outputs:
        return
    rank = len(pads) // 2
    if any(pads[:2]) or any(pads[rank : rank + 2]) or any(not can_pad(one, pad.output) for one in readers):
        return
    for reader in readers:
        own = list(reader.attributes.get("pads") or [0] * 2 * (rank - 2))
        added = [*pads[2:rank], *pads[rank + 2 :]]
        attributes = {**reader.attributes, "pads": [one + more for one, more in zip(own, added, strict=True)]}
        if reader.kind == "AveragePool":
            attributes["count_include_pad"] = 1
        graph.replace([reader], Operation(reader.kind, reader.name, reader.inputs, reader.outputs, attributes))
    graph.remove(pad, pad.input(0))


def can_pad(reader: Operation, name: str) -> bool:
    """Tell whether an operation could pad its image with zeros itself."""
    if reader.kind not in ("Conv", "AveragePool") or reader.input(0) != name:
        return False
    if reader.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return False
    is_counted = reader.attributes.get("count_include_pad") or not any(reader.attributes.get("pads", ()))
    return reader.kind == "Conv" or bool(is_counted and not reader.attributes.get("ceil_mode"))


def find_bias(graph: OperationGraph, product: Operation) -> None:
    """Join a convolution or a product with a constant matrix, and the sum with a constant vector."""
    weight = graph.constants.get(product.input(1))
    if product.kind == "Conv" and weight is not None and not product.input(2):
        join_bias(graph, product, weight.shape[0])
    if product.kind != "MatMul" or weight is None or weight.ndim != 2 or product.input(0) in graph.constants:
        return
    plus = graph.sole_reader(product.output)
    if plus is None or plus.kind != "Add":
        return
    bias = next((name for name in plus.inputs if name in graph.constants), "")
    if bias and graph.constants[bias].shape[-1:] == weight.shape[1:] and graph.constants[bias].size == weight.shape[1]:
        inputs = (*product.inputs, bias)
        graph.replace([product, plus], Operation(LINEAR, product.name, inputs, plus.outputs))


def join_bias(graph: OperationGraph, convolution: Operation, channels: int) -> None:
    """Give a convolution the constant of each channel that is added behind it."""
    plus = graph.sole_reader(convolution.output)
    if plus is None or plus.kind != "Add":
        return
    name = next((one for one in plus.inputs if one in graph.constants), "")
    rank = len(graph.shapes.get(plus.output, ()))
    bias = per_channel(graph.constants[name], channels, rank) if name else None
    if bias is not None:
        made = f"{plus.output}/bias"
        graph.constants[made] = bias
        inputs = (*convolution.inputs[:2], made)
        joined = Operation("Conv", convolution.name, inputs, plus.outputs, convolution.attributes)
        graph.replace([convolution, plus], joined)


def find_shuffle(graph: OperationGraph, turn: Operation) -> None:
    """Find (N, G, C / G, H, W) with its axes 1 and 2 exchanged between two reshapes."""
    if turn.kind != "Transpose" or list(turn.attributes.get("perm", ())) != [0, 2, 1, 3, 4]:
        return
    first, back = graph.made_by(turn.input(0), "Reshape"), graph.sole_reader(turn.output)
    if first is None or back is None or back.kind != "Reshape" or graph.sole_reader(first.output) is None:
        return
    shape, inside = graph.shapes[first.input(0)], graph.shapes[first.output]
    if len(shape) == 4 and graph.shapes[back.output] == shape and inside[3:] == shape[2:] and inside[0] == shape[0]:
        shuffle = Operation(SHUFFLE, turn.name, (first.input(0),), back.outputs, {"groups": inside[1]})
        graph.replace([first, turn, back], shuffle)


def find_product(graph: OperationGraph, product: Operation) -> None:
    """Give a product of two activations the scale before or behind it, and the transposition of its second."""
    if product.kind != "MatMul" or any(name in graph.constants for name in product.inputs):
        return
    gone, inputs, attributes = [product], list(product.inputs), dict(product.attributes)
    scale = 1.0
    turn = graph.made_by(inputs[1], "Transpose")
    if turn is not None and graph.sole_reader(turn.output) is product and swaps_last(turn):
        gone.append(turn)
        inputs[1] = turn.input(0)
        attributes["transpose_b"] = True
    for place in (0, 1):
        before = graph.made_by(inputs[place], "Mul", "Div")
        number = None if before is None else constant_of(graph, before)
        if (
            before is not None
            and number
            and len(graph.readers(before.output)) == 1
            and before.output not in graph.outputs
        ):
            scale *= 1 / number if before.kind == "Div" else number
            gone.append(before)
            inputs[place] = variable_of(graph, before)
    last = graph.sole_reader(product.output)
    number = None if last is None else constant_of(graph, last, product.output)
    if last is not None and last.kind in ("Mul", "Div") and number:
        scale *= 1 / number if last.kind == "Div" else number
        gone.append(last)
    else:
        last = product
    if len(gone) > 1:
        attributes["scale"] = float(f"{scale:.7g}")
        graph.replace(gone, Operation("MatMul", product.name, tuple(inputs), last.outputs, attributes))


def swaps_last(turn: Operation) -> bool:
    """Tell whether a transposition exchanges the last two axes alone."""
    axes = list(turn.attributes.get("perm", ()))
    return len(axes) > 2 and axes == [*range(len(axes) - 2), len(axes) - 1, len(axes) - 2]
