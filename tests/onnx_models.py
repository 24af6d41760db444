"""Small ONNX models, and what their networks compute in inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.form_network import build_declared
from workloads.importers.importer import ImportedNetwork
from workloads.importers.reading import import_network
from workloads.kinds.execution import Place
from workloads.network import INPUT, Network
from workloads.reference.arrays import keep_in_memory
from workloads.schema import WorkloadForm

Array = NDArray[Any]
IR_VERSION = 8
OPSET = 17
LOSSES = ("softmax_cross_entropy", "binary_cross_entropy", "mean_squared_error")


def node(kind: str, inputs: str, output: str, **attributes: Any) -> tuple[str, list[str], list[str], dict[str, Any]]:
    """Say a node; inputs and outputs are names that blanks separate, - stands for one that is left out."""
    return kind, ["" if name == "-" else name for name in inputs.split()], output.split(), attributes


def make_model(
    nodes: Sequence[Any],
    shape: Sequence[int | str],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = OPSET,
    outputs: Sequence[str] = ("y",),
) -> Any:
    """Make a model that reads `x` of this shape. Constants are arrays, or shapes (tuples) to be filled at random."""
    import onnx

    random = np.random.default_rng(7)
    arrays = {
        name: random.normal(size=value).astype(np.float32) if isinstance(value, tuple) else np.asarray(value)
        for name, value in (constants or {}).items()
    }
    body = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, inputs, names, name=f"n{number}", **given)
         for number, (kind, inputs, names, given) in enumerate(nodes)],
        "net",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(shape))],
        [onnx.helper.make_empty_tensor_value_info(name) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    kept = {one.name: one for one in inferred.graph.output}
    for one in model.graph.output:
        is_known = kept[one.name].type.tensor_type.elem_type
        one.CopyFrom(kept[one.name] if is_known else onnx.helper.make_tensor_value_info(one.name, 1, list(shape)))
    return model


def save(model: Any, path: Path) -> Path:
    """Write a model."""
    path.write_bytes(model.SerializeToString())
    return path


def import_model(model: Any, folder: Path, batch: int | None = None) -> ImportedNetwork:
    """Import a model."""
    return import_network(save(model, folder / "net.onnx"), batch=batch)


def build(found: ImportedNetwork) -> Network:
    """Make the network that was imported, up to its losses."""
    layers = [layer for layer in found.data["layers"] if layer["type"] not in LOSSES]
    return build_declared(WorkloadForm(**{**found.data, "layers": layers, "operands": None}))


def infer(found: ImportedNetwork, images: Array) -> dict[str, Array]:
    """Compute what every layer gives out in inference: nothing is dropped, batch norm has the model's statistics."""
    network = build(found)
    values: dict[str, Array] = {INPUT: images.reshape(network.input_shape)}
    for one in network.nodes:
        read = [values[name] for name in one.inputs]
        parameters = {
            name: found.weights[f"{one.name}/{name}"] for name in one.layer.list_parameters(one.input_shapes[0])
        }
        if one.layer.type == "dropout":
            values[one.name] = read[0]
        elif one.layer.type == "batch_norm":
            axes = (1, -1) + (1,) * (read[0].ndim - 2)
            mean, variance = (found.arrays[f"{one.name}/{name}"].reshape(axes) for name in ("mean", "variance"))
            scale, shift = (parameters[name].reshape(axes) for name in ("scale", "shift"))
            values[one.name] = (read[0] - mean) / np.sqrt(variance + one.layer.epsilon) * scale + shift
        else:
            place = Place(needs_grad_input=True, output_is_kept=True, seed=1, iteration=0, keep=keep_in_memory)
            values[one.name] = one.layer.run(read, parameters, place)[0]
    return values


def last_values(found: ImportedNetwork, images: Array) -> Array:
    """Compute what the layer gives out that stands before the loss, or last."""
    return infer(found, images)[build(found).nodes[-1].name]
