"""The ends of a model: losses in the place of its last functions, and the operands of a training iteration."""

from __future__ import annotations

from math import prod
from typing import Any

from workloads.importers.onnx_model.builder import NetworkBuilder, Value
from workloads.importers.onnx_model.operations import OperationGraph

# The images that are there without a download, and as what they are normalised.
FASHION = {"mean": 0.2860, "std": 0.3530}
CLASSES = 10
LAST_FUNCTIONS = {"softmax": "softmax_cross_entropy", "sigmoid": "binary_cross_entropy"}
SYNTHETIC = {"source": "synthetic", "seed": 1, "density": {"input": 0.5, "grad_output": 0.5}}


def add_losses(graph: OperationGraph, build: NetworkBuilder) -> tuple[list[str], bool]:
    """End every output in a loss, where all are scores; a softmax or sigmoid there is part of the loss.

    Returns:
        What was assumed, and whether every loss takes the class of an image, as the images that are there have it.
    """
    names = [name for name in dict.fromkeys(graph.outputs) if name in build.values]
    ends = [find_scores(build, build.values[name]) for name in names]
    if not ends or any(kind is None for _, kind in ends):
        return ["the outputs are no scores of classes, so that there is no loss; add one to train the network"], False
    notes = []
    for number, (value, kind) in enumerate(ends):
        name = "loss" if number == 0 else f"loss{number + 1}"
        if len(value.held) == 3 and value.held[1:] == (1, 1):
            value = build.reshape(value, value.held[:1])
        build.add(str(kind), name, [value], ())
    if len(ends) > 1:
        notes.append(f"each of the {len(ends)} outputs ends in a loss, all of weight 1")
    has_classes = all(
        kind == "softmax_cross_entropy" and prod(value.held) == value.held[0] >= CLASSES for value, kind in ends
    )
    return notes, has_classes


def find_scores(build: NetworkBuilder, value: Value) -> tuple[Value, str | None]:
    """Give the scores behind which a loss stands, and its kind; the function that it has in it is left out."""
    place = next((number for number, layer in enumerate(build.layers) if layer["name"] == value.layer), 0)
    layer = build.layers[place]
    following = build.layers[place + 1 : place + 2]
    is_read = any(value.layer in one.get("inputs", ()) for one in build.layers) or any(
        "inputs" not in one for one in following
    )
    is_over_classes = layer["type"] == "sigmoid" or len(value.held) == 1 or layer.get("axis") == 1
    if layer["type"] in LAST_FUNCTIONS and is_over_classes and not is_read and place:
        source = layer.get("inputs", [build.layers[place - 1]["name"]])[0]
        build.layers.remove(layer)
        return Value(source, value.held), LAST_FUNCTIONS[layer["type"]]
    return value, "softmax_cross_entropy" if len(value.held) in (1, 3) else None


def choose_operands(size: dict[str, int], *, has_classes: bool) -> dict[str, Any]:
    """Let the host train on the images that are there, where they fit; random tensors otherwise."""
    if not has_classes or size["channels"] not in (1, 3):
        return SYNTHETIC
    images = {"resize": [size["height"], size["width"]], "channels": size["channels"], **FASHION}
    return {"source": "host", "dataset": "fashion_mnist", "seed": 1, "images": images}
