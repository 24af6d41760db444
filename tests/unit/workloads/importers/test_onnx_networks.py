"""The ImageNet networks inside the onnx package import; parameters and MACs are those of an independent count."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import save
from peers import import_peer

from sim import simulate
from workloads.document import YamlDocument
from workloads.importers.reading import import_network
from workloads.weights import load_weights
from workloads.workload import load_workload, make_workload

onnx = import_peer("onnx")
pytestmark = pytest.mark.peers

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
# Parameters as torchvision's documentation gives them, and for those that it has not, as the models' own weights say.
PARAMETERS = {
    "bvlc_alexnet": 60_965_224,
    "densenet121": 7_978_856,
    "inception_v1": 6_998_552,
    "inception_v2": 11_194_984,
    "resnet50": 25_557_032,
    "shufflenet": 1_393_320,
    "squeezenet": 1_235_496,
    "vgg19": 143_667_240,
    "zfnet512": 87_250_536,
}
WHOLE_PIXELS, REDUCED_PIXELS = 224, 64


def load_light(name: str) -> Any:
    """Load one of the models."""
    return onnx.load(LIGHT / f"light_{name}.onnx")


def find_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Give the shape of every tensor, as the library infers it for the model as a whole."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    for one in (*graph.value_info, *graph.input, *graph.output):
        shapes.setdefault(one.name, tuple(size.dim_value for size in one.type.tensor_type.shape.dim))
    return shapes


def count_by_hand(model: Any) -> tuple[int, int]:
    """Count parameters and multiplications from a model's nodes."""
    shapes = find_shapes(model)
    parameters = macs = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            parameters += sum(prod(shapes[name]) for name in node.input[1:])
            # Every output is a sum over the weight's other axes; of Gemm's, (M, C), over the second.
            macs += prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
        elif node.op_type == "BatchNormalization":
            parameters += sum(prod(shapes[name]) for name in node.input[1:3])
    return parameters, macs


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_macs_are_those_of_the_model(name: str) -> None:
    path = LIGHT / f"light_{name}.onnx"
    workload = load_workload(path)
    network = workload.network
    macs = sum(network.layer_shape(node.name).nominal_macs for node in network.compute_nodes())
    weights = load_weights(path, network)
    found = sum(array.size for array in weights.values())
    assert (found, macs) == count_by_hand(load_light(name))
    assert found == PARAMETERS[name]


def reduce_size(model: Any) -> Any:
    """Give a model smaller images; the last pooling and the first fully connected layer follow."""
    image = next(one for one in model.graph.input if len(one.type.tensor_type.shape.dim) == 4
                 and one.name not in {array.name for array in model.graph.initializer})  # fmt: skip
    for size in image.type.tensor_type.shape.dim[2:]:
        size.dim_value = REDUCED_PIXELS
    del model.graph.value_info[:]
    nodes = model.graph.node
    for shuffle in (node for node in nodes if node.op_type == "Reshape" and len(shape_of(model, node)) > 2):
        *front, height, width = (int(size) for size in shape_of(model, shuffle))
        sizes = [size * REDUCED_PIXELS // WHOLE_PIXELS for size in (height, width)]
        set_array(model, shuffle.input[1], [*front, *sizes])
    pool = next((node for node in reversed(nodes) if node.op_type in ("AveragePool", "MaxPool")), None)
    if pool is not None and pool.op_type == "AveragePool" and get(pool, "kernel_shape") == [7, 7]:
        before = find_shapes(model)[pool.input[0]]
        pads = get(pool, "pads") or [0, 0, 0, 0]
        kernel = [size + pads[axis] + pads[axis + 2] for axis, size in enumerate(before[2:])]
        next(one for one in pool.attribute if one.name == "kernel_shape").ints[:] = kernel
        return model
    reshape = next((node for node in nodes if node.op_type == "Reshape" and len(shape_of(model, node)) == 2), None)
    first = next((node for node in nodes if node.op_type == "Gemm"), None)
    if reshape is not None and first is not None:
        features = prod(find_shapes(model)[reshape.input[0]])
        set_array(model, reshape.input[1], [1, features])
        maker = next(node for node in nodes if first.input[1] in node.output)
        set_array(model, maker.input[0], [int(read_array(model, maker.input[0])[0]), features])
    return model


def get(node: Any, name: str) -> Any:
    """Give an attribute."""
    return next((onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name), None)


def read_array(model: Any, name: str) -> Any:
    """Give a constant, of an initializer or a node."""
    return onnx.numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == name))


def shape_of(model: Any, reshape: Any) -> Any:
    """Give what a reshape makes, if it is a constant."""
    names = {one.name for one in model.graph.initializer}
    return read_array(model, reshape.input[1]) if reshape.input[1] in names else ()


def set_array(model: Any, name: str, values: list[int]) -> None:
    """Put other numbers into a constant."""
    place = next(one for one in model.graph.initializer if one.name == name)
    place.CopyFrom(onnx.numpy_helper.from_array(np.array(values, np.int64), name))


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_of_reduced_size_is_verified(name: str, tmp_path: Path) -> None:
    path = save(reduce_size(load_light(name)), tmp_path / f"{name}.onnx")
    data = import_network(path).data
    # The weights are all one number there, which no training would meet: the host draws its own.
    workload = make_workload(YamlDocument(name, data), tmp_path)
    assert simulate(workload, "sparsetrain", baseline="none").is_correct
