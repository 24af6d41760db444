"""The rows that a pass says it needs are those on which its values depend, for every kind of layer with a pass."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from workloads.arrays import BoolArray
from workloads.kinds import KINDS, Layer, LayerBase
from workloads.kinds.execution import Place
from workloads.kinds.layer import SAME_ELEMENT, WHOLE_TENSOR
from workloads.kinds.loss import LossLayer
from workloads.shapes import Shape

LAYER: TypeAdapter[LayerBase] = TypeAdapter(Layer)
IMAGE = (2, 4, 6, 5)
PLACE = Place(needs_grad_input=True, output_is_kept=False, seed=1, iteration=0)
EPSILON = 1e-6

# A layer, and what it reads. Where rows of one image depend on those of another, all are needed.
CASES: dict[str, tuple[dict[str, Any], tuple[Shape, ...]]] = {
    "relu's like": ({"type": "leaky_relu"}, (IMAGE,)),
    "prelu": ({"type": "prelu"}, (IMAGE,)),
    "sigmoid": ({"type": "sigmoid"}, (IMAGE,)),
    "tanh": ({"type": "tanh"}, (IMAGE,)),
    "hard_sigmoid": ({"type": "hard_sigmoid"}, (IMAGE,)),
    "hard_swish": ({"type": "hard_swish"}, (IMAGE,)),
    "silu": ({"type": "silu"}, (IMAGE,)),
    "gelu": ({"type": "gelu"}, (IMAGE,)),
    "softmax": ({"type": "softmax", "axis": 1}, (IMAGE,)),
    "batch_norm": ({"type": "batch_norm"}, (IMAGE,)),
    "layer_norm": ({"type": "layer_norm", "axes": 3}, (IMAGE,)),
    "group_norm": ({"type": "group_norm", "groups": 2}, (IMAGE,)),
    "instance_norm": ({"type": "instance_norm"}, (IMAGE,)),
    "local_response_norm": ({"type": "local_response_norm", "size": 3, "alpha": 0.5}, (IMAGE,)),
    "local_response_norm over all": ({"type": "local_response_norm", "size": 7, "alpha": 0.5}, (IMAGE,)),
    "max_pool": ({"type": "max_pool", "kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True}, (IMAGE,)),
    "max_pool dilated": ({"type": "max_pool", "kernel": 2, "stride": 1, "dilation": 2}, (IMAGE,)),
    "avg_pool": ({"type": "avg_pool", "kernel": 3, "stride": 2, "padding": 1}, (IMAGE,)),
    "avg_pool of whole images": ({"type": "avg_pool", "kernel": [8, 1], "stride": 1, "padding": [1, 0]}, (IMAGE,)),
    "global_avg_pool": ({"type": "global_avg_pool"}, (IMAGE,)),
    "adaptive_avg_pool": ({"type": "adaptive_avg_pool", "output": [4, 3]}, (IMAGE,)),
    "adaptive_avg_pool upwards": ({"type": "adaptive_avg_pool", "output": [9, 3]}, (IMAGE,)),
    "upsample": ({"type": "upsample", "scale": 3}, (IMAGE,)),
    "upsample bilinear": ({"type": "upsample", "scale": 2, "mode": "bilinear"}, (IMAGE,)),
    "upsample aligned": ({"type": "upsample", "scale": 3, "mode": "bilinear", "align_corners": True}, (IMAGE,)),
    "upsample of one row": ({"type": "upsample", "scale": 2, "mode": "bilinear"}, ((1, 2, 1, 3),)),
    "transpose": ({"type": "transpose", "axes": [3, 1, 2]}, (IMAGE,)),
    "transpose of rows": ({"type": "transpose", "axes": [2, 1, 3]}, (IMAGE,)),
    "transpose of channels": ({"type": "transpose", "axes": [2, 3, 1]}, (IMAGE,)),
    "channel_shuffle": ({"type": "channel_shuffle", "groups": 2}, (IMAGE,)),
    "pixel_shuffle": ({"type": "pixel_shuffle", "upscale": 2}, (IMAGE,)),
    "add": ({"type": "add"}, (IMAGE, IMAGE)),
    "subtract": ({"type": "subtract"}, (IMAGE, IMAGE)),
    "subtract what is spread": ({"type": "subtract"}, (IMAGE, (2, 1, 6, 5))),
    "multiply": ({"type": "multiply"}, (IMAGE, IMAGE)),
    "multiply by a gate": ({"type": "multiply"}, ((2, 4, 1, 1), IMAGE)),
    "softmax_cross_entropy": ({"type": "softmax_cross_entropy"}, ((3, 5),)),
    "softmax_cross_entropy of places": ({"type": "softmax_cross_entropy"}, ((2, 4, 3, 2),)),
    "mean_squared_error": ({"type": "mean_squared_error"}, ((2, 4, 3),)),
    "binary_cross_entropy": ({"type": "binary_cross_entropy"}, ((2, 4, 3),)),
}  # fmt: skip
# A maximum hands its gradient to one element of its window, so that not every row of windows has to meet; rows that are
# spread over channels are held until the last channel.
AT_MOST = {"max_pool", "max_pool dilated", "subtract what is spread"}


def make(case: str) -> tuple[LayerBase, tuple[Shape, ...], list[NDArray[np.float64]]]:
    fields, shapes = CASES[case]
    rng = np.random.default_rng(3)
    return LAYER.validate_python({"name": "odd", **fields}), shapes, [rng.standard_normal(shape) for shape in shapes]


def run(layer: LayerBase, inputs: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], Any]:
    rng = np.random.default_rng(4)
    shapes = layer.list_parameters(inputs[0].shape)
    parameters = {name: 0.5 + rng.random(one.shape) for name, one in shapes.items()}
    output, backward = layer.run(inputs, parameters, PLACE)
    return np.asarray(output, np.float64), backward


def depend_forward(layer: LayerBase, inputs: list[NDArray[np.float64]], which: int) -> BoolArray:
    """Tell which elements of the output (columns) change with each element of an input (rows)."""

    def compute(tensors: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        if isinstance(layer, LossLayer):
            labels = np.zeros(len(tensors[0]), dtype=np.int64)
            return np.asarray(layer.evaluate(tensors[0], layer.spread_labels(labels, tensors[0].shape)).grad_scores)
        return run(layer, tensors)[0]

    before, rows = compute(inputs), []
    for place in np.ndindex(inputs[which].shape):
        changed = [tensor.copy() for tensor in inputs]
        changed[which][place] = 20.0
        rows.append((compute(changed) != before).reshape(-1))
    return np.array(rows)


def depend_backward(layer: LayerBase, inputs: list[NDArray[np.float64]], output: Shape, which: int) -> BoolArray:
    """Tell which elements of the gradient to an input change with each element of that to the output."""
    _, backward = run(layer, inputs)
    rows = []
    for place in np.ndindex(output):
        grad = np.zeros(output)
        grad[place] = 1.0
        rows.append((np.abs(backward(grad).inputs[which]) > EPSILON).reshape(-1))
    return np.array(rows)


def count_window(changes: BoolArray, read: Shape, written: Shape) -> int:
    """Count the most rows of what is read, from the first to the last, on which a row of what is written depends."""
    in_rows = changes.reshape(prod(read[:-1]), read[-1], prod(written[:-1]), written[-1]).any(axis=(1, 3))
    spans = [np.flatnonzero(needed) for needed in in_rows.T]
    return max(int(found[-1] - found[0]) + 1 for found in spans if found.size)


def check(case: str, said: int | None, changes: BoolArray, read: Shape, written: Shape) -> None:
    if said is WHOLE_TENSOR:
        return
    if said == SAME_ELEMENT:
        assert not (changes & ~np.eye(len(changes), dtype=np.bool_)).any()
        return
    found = count_window(changes, read, written)
    assert found <= said if case in AT_MOST else found == said


@pytest.mark.parametrize("case", CASES)
def test_a_forward_pass_needs_the_rows_that_it_says(case: str) -> None:
    layer, shapes, inputs = make(case)
    output = layer.infer_output(("one", "two")[: len(shapes)], shapes)
    work = layer.forward_work(shapes, output)
    assert work is not None
    written = shapes[0] if isinstance(layer, LossLayer) else output
    spread = [place for place, shape in enumerate(shapes) if shape != output and layer.traits.reads_several]
    which = spread[0] if spread else 0
    check(case, work.window_rows, depend_forward(layer, inputs, which), shapes[which], written)


@pytest.mark.parametrize("case", CASES)
def test_a_backward_pass_needs_the_rows_of_the_gradient_that_it_says(case: str) -> None:
    layer, shapes, inputs = make(case)
    output = layer.infer_output(("one", "two")[: len(shapes)], shapes)
    work = layer.backward_work(shapes, output)
    if work is None:
        return
    # A gradient that is summed over where a tensor was spread is made element by element.
    which = next(place for place, shape in enumerate(shapes) if shape == output or not layer.traits.reads_several)
    changes = depend_backward(layer, inputs, output, which)
    check(case, work.window_rows, changes, output, shapes[which])


def test_every_kind_with_a_pass_is_asked() -> None:
    asked = {fields["type"] for fields, _ in CASES.values()}
    without = {kind for kind, made in KINDS.items() if made.traits.is_computed or made.traits.rides_along}
    # These are stored in their places, and a parameter's gradient is read and goes nowhere.
    assert set(KINDS) - asked - without == {"concat", "split", "parameter"}


@pytest.mark.parametrize("case", ["batch_norm", "layer_norm", "group_norm", "instance_norm", "softmax"])
def test_what_takes_statistics_needs_the_whole_tensor_each_way(case: str) -> None:
    layer, shapes, _ = make(case)
    for work in (layer.forward_work(shapes, shapes[0]), layer.backward_work(shapes, shapes[0])):
        assert work is not None
        assert work.window_rows is WHOLE_TENSOR
