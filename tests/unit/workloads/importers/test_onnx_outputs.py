"""The ends of a model become losses, and the operands are those that its losses can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx_models import import_model, make_model, node
from peers import import_peer

onnx = import_peer("onnx")
pytestmark = pytest.mark.peers

IMAGE = (2, 3, 8, 8)
FLAT = [node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "f")]
HOST = {
    "source": "host", "dataset": "fashion_mnist", "seed": 1,
    "images": {"resize": [8, 8], "channels": 3, "mean": 0.286, "std": 0.353},
}  # fmt: skip
SYNTHETIC = {"source": "synthetic", "seed": 1, "density": {"input": 0.5, "grad_output": 0.5}}
# Nodes behind the features, classes, the last layers, the operands.
ENDS: dict[str, tuple[list[Any], int, list[str], dict[str, Any]]] = {
    "scores": ([node("Gemm", "f w", "y")], 12, ["linear", "softmax_cross_entropy"], HOST),
    "probabilities": (
        [node("Gemm", "f w", "z"), node("Softmax", "z", "y", axis=1)], 12, ["linear", "softmax_cross_entropy"], HOST,
    ),
    "fewer classes than the images have": (
        [node("Gemm", "f w", "y")], 4, ["linear", "softmax_cross_entropy"], SYNTHETIC,
    ),
    "sigmoids": (
        [node("Gemm", "f w", "z"), node("Sigmoid", "z", "y")], 12, ["linear", "binary_cross_entropy"], SYNTHETIC,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
def test_the_end_of_a_model_is_a_loss(case: tuple[list[Any], int, list[str], dict[str, Any]], tmp_path: Path) -> None:
    nodes, classes, kinds, operands = case
    data = import_model(make_model([*FLAT, *nodes], IMAGE, {"w": (3, classes)}), tmp_path).data
    assert [layer["type"] for layer in data["layers"]][-2:] == kinds
    assert data["operands"] == operands


def test_scores_of_one_position_are_flattened(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("GlobalAveragePool", "c", "g"), node("Softmax", "g", "y", axis=1)]
    data = import_model(make_model(nodes, IMAGE, {"w": (12, 3, 1, 1)}), tmp_path).data
    assert [layer["type"] for layer in data["layers"]] == [
        "conv2d", "global_avg_pool", "flatten", "softmax_cross_entropy"
    ]  # fmt: skip
    assert data["operands"] == HOST


def test_scores_at_each_pixel_have_a_loss_at_each_and_no_images(tmp_path: Path) -> None:
    data = import_model(make_model([node("Conv", "x w", "y")], IMAGE, {"w": (12, 3, 1, 1)}), tmp_path).data
    assert [layer["type"] for layer in data["layers"]] == ["conv2d", "softmax_cross_entropy"]
    assert data["operands"] == SYNTHETIC


@pytest.mark.parametrize("lacking", ["shape", "type", "dimensions"])
def test_an_output_without_a_shape_has_the_one_that_inference_finds(lacking: str, tmp_path: Path) -> None:
    nodes = [*FLAT, node("Gemm", "f w", "y")]
    whole = make_model(nodes, IMAGE, {"w": (3, 12)})
    model = make_model(nodes, IMAGE, {"w": (3, 12)})
    output = model.graph.output[0].type
    if lacking == "type":
        output.Clear()
    else:
        output.tensor_type.ClearField("shape")
    if lacking == "dimensions":
        output.tensor_type.shape.dim.add()
        output.tensor_type.shape.dim.add()
    assert import_model(model, tmp_path).data == import_model(whole, tmp_path).data


def test_every_output_has_a_loss(tmp_path: Path) -> None:
    nodes = [*FLAT, node("Gemm", "f w", "a"), node("Softmax", "a", "y"), node("Gemm", "f v", "z")]
    model = make_model(nodes, IMAGE, {"w": (3, 12), "v": (3, 11)}, outputs=("y", "z"))
    found = import_model(model, tmp_path)
    ends = [layer for layer in found.data["layers"] if layer["type"] == "softmax_cross_entropy"]
    assert [layer["name"] for layer in ends] == ["loss", "loss2"]
    assert [layer.get("inputs") for layer in ends] == [["n2"], ["n4"]]
    assert found.notes == ("each of the 2 outputs ends in a loss, all of weight 1",)


def test_outputs_that_are_no_scores_have_no_loss(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x s", "r"), node("Transpose", "r", "t", perm=[0, 2, 1]), node("MatMul", "t w", "y")]
    shape = onnx.numpy_helper.to_array(onnx.helper.make_tensor("s", onnx.TensorProto.INT64, [3], [0, 3, 64]))
    found = import_model(make_model(nodes, IMAGE, {"s": shape, "w": (3, 5)}), tmp_path)
    assert found.data["layers"][-1]["type"] == "linear"
    assert found.data["operands"] == SYNTHETIC
    assert found.notes == (
        "the outputs are no scores of classes, so that there is no loss; add one to train the network",
    )
