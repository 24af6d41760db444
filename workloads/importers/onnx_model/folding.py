"""A model's graph with every shape known and everything computed that does not depend on the input."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from workloads.errors import InputError
from workloads.extras import import_extra
from workloads.importers.importer import ImportRequest
from workloads.importers.onnx_model.model_file import STANDARD_DOMAINS, first_line
from workloads.importers.onnx_model.operations import AnyShape, Array, Operation, OperationGraph
from workloads.words import list_words

# Constants beyond this are not computed: no model has such, and a shape alone can ask for any size.
LARGEST_CONSTANT = 2**28
# Shape inference is given the values of small constants alone: those that can say a shape.
LARGEST_SHAPE_VALUE = 4096
NEVER_FOLDED = frozenset(
    {"Dropout", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}
)


def fold_graph(model: Any, request: ImportRequest) -> OperationGraph:
    """Walk a model's nodes: fold constants, infer shapes; what is left are the operations on its one input.

    Raises:
        InputError: it has no input or several, its batch or its size is open, or its nodes do not fit one another.
    """
    return _Folder(model, request).fold()


class _Folder:
    """Walks the nodes of one model."""

    def __init__(self, model: Any, request: ImportRequest) -> None:
        self._onnx = import_extra("onnx", "onnx", request.label)
        self._evaluate = import_extra("onnx.reference", "onnx", request.label).ReferenceEvaluator
        self._model = model
        self._label = request.label
        self._opsets = {one.domain: one.version for one in model.opset_import}
        self._opset = next(self._opsets[domain] for domain in STANDARD_DOMAINS if domain in self._opsets)
        self._types: dict[str, Any] = {}
        self._data: dict[str, Any] = {}
        constants = {one.name: self._read_tensor(one) for one in model.graph.initializer}
        name, shape = self._find_input(constants, request.batch)
        outputs = tuple(one.name for one in model.graph.output)
        self._graph = OperationGraph(name, outputs, self._opset, shape[0])
        for constant, array in constants.items():
            self._keep_constant(constant, array)
        self._keep_shape(name, shape, self._onnx.TensorProto.FLOAT)

    def fold(self) -> OperationGraph:
        for number, node in enumerate(self._model.graph.node):
            name = node.name or next(filter(None, node.output), f"#{number}")
            attributes = {one.name: self._onnx.helper.get_attribute_value(one) for one in node.attribute}
            kind = node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"
            operation = Operation(kind, name, tuple(node.input), tuple(node.output), attributes)
            self._visit(operation, node)
        self._graph.index()
        return self._graph

    def _visit(self, operation: Operation, node: Any) -> None:
        graph = self._graph
        unknown = next((name for name in operation.inputs if name in graph.unknown), None)
        if unknown is not None:
            graph.operations.append(operation)
            graph.unknown.update(dict.fromkeys(filter(None, operation.outputs), graph.unknown[unknown]))
            return
        if operation.kind == "Shape" and operation.inputs[0] in graph.shapes:
            shape = graph.shapes[operation.inputs[0]]
            start, end = operation.attributes.get("start", 0), operation.attributes.get("end", len(shape))
            self._keep_constant(operation.output, np.array(shape[start:end], np.int64))
            return
        if operation.kind == "Size" and operation.inputs[0] in graph.shapes:
            self._keep_constant(operation.output, np.array(prod(graph.shapes[operation.inputs[0]]), np.int64))
            return
        is_constant = all(name in graph.constants for name in filter(None, operation.inputs))
        self._infer(operation, node)
        if is_constant and operation.kind not in NEVER_FOLDED and self._fold_constant(operation, node):
            return
        graph.operations.append(operation)

    def _infer(self, operation: Operation, node: Any) -> None:
        """Find the shapes of a node's outputs; those of unknown operators are unknown."""
        wanted = [name for name in operation.outputs if name]
        inputs = [name for name in operation.inputs if name]
        try:
            schema = self._onnx.defs.get_schema(node.op_type, self._opset, "")
            if node.domain not in STANDARD_DOMAINS:
                raise self._onnx.defs.SchemaError(operation.kind)
        except self._onnx.defs.SchemaError:
            self._graph.unknown.update(dict.fromkeys(wanted, operation.label))
            return
        missing = [name for name in inputs if name not in self._types]
        if missing:
            raise InputError(f"{self._label}: {operation.label} reads '{missing[0]}', which nothing computes")
        try:
            found = self._onnx.shape_inference.infer_node_outputs(
                schema, node, {name: self._types[name] for name in inputs},
                {name: self._data[name] for name in inputs if name in self._data},
                opset_imports=list(self._model.opset_import), ir_version=self._model.ir_version,
            )  # fmt: skip
        except Exception as error:  # The library's inference error, and those of the types it meets.
            raise InputError(f"{self._label}: {operation.label}: {first_line(error)}") from None
        for name in wanted:
            shape = read_shape(found[name]) if name in found else None
            if shape is None:
                self._graph.unknown[name] = operation.label
            else:
                self._types[name] = found[name]
                self._graph.shapes[name] = shape

    def _fold_constant(self, operation: Operation, node: Any) -> bool:
        """Compute a node whose inputs are constants; tell whether it could be."""
        graph = self._graph
        if operation.kind == "ConstantOfShape":
            value = operation.attributes.get("value")
            number = np.zeros(1, np.float32) if value is None else self._read_tensor(value)
            shape = tuple(int(size) for size in graph.constants[operation.inputs[0]].reshape(-1))
            self._keep_constant(operation.output, np.broadcast_to(number.reshape(()), shape))
            return True
        if any(prod(graph.shapes.get(name, ())) > LARGEST_CONSTANT for name in operation.outputs):
            return False
        helper = self._onnx.helper
        given = [name for name in operation.inputs if name]
        body = helper.make_graph(
            [node], "node",
            [helper.make_value_info(name, self._types[name]) for name in dict.fromkeys(given)],
            [self._onnx.ValueInfoProto(name=name) for name in operation.outputs if name],
        )  # fmt: skip
        model = helper.make_model(body, opset_imports=list(self._model.opset_import))
        try:
            values = self._evaluate(model).run(None, {name: graph.constants[name] for name in given})
        except Exception:  # An operator that the library cannot compute stays one, and is refused by name.
            return False
        for name, value in zip(filter(None, operation.outputs), values, strict=True):
            self._keep_constant(name, np.asarray(value))
        return True

    def _keep_constant(self, name: str, array: Array) -> None:
        helper = self._onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self._graph.constants[name] = array
        self._graph.unknown.pop(name, None)
        self._keep_shape(name, array.shape, kind)
        if array.size <= LARGEST_SHAPE_VALUE and array.dtype.kind in "fiub":
            self._data[name] = self._onnx.numpy_helper.from_array(
                np.ascontiguousarray(array).reshape(array.shape), name
            )

    def _keep_shape(self, name: str, shape: AnyShape, kind: int) -> None:
        self._graph.shapes[name] = shape
        self._types[name] = self._onnx.helper.make_tensor_type_proto(kind, shape)

    def _read_tensor(self, tensor: Any) -> Array:
        try:
            array: Array = self._onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # Damaged tensors raise errors of numpy, struct and the library.
            raise InputError(f"{self._label}: the tensor '{tensor.name}' is damaged: {first_line(error)}") from None
        return array

    def _find_input(self, constants: dict[str, Array], batch: int | None) -> tuple[str, AnyShape]:
        found = [one for one in self._model.graph.input if one.name not in constants]
        if len(found) != 1:
            names = list_words(f"'{one.name}'" for one in found) or "none"
            raise InputError(f"{self._label}: has {len(found)} inputs, {names}; a workload has one")
        (value,) = found
        tensor = value.type.tensor_type
        if tensor.elem_type not in (1, 10, 11):
            kinds = self._onnx.TensorProto.DataType
            kind = kinds.Name(tensor.elem_type).lower() if tensor.elem_type in kinds.values() else "no known type"
            raise InputError(f"{self._label}: the input '{value.name}' holds {kind}; images or features are expected")
        sizes = [size.dim_value or size.dim_param or "?" for size in tensor.shape.dim]
        if len(sizes) not in (2, 3, 4):
            raise InputError(
                f"{self._label}: the input '{value.name}' has the shape {sizes}; (batch, features), (batch, channels, "
                "length) or (batch, channels, height, width) is expected"
            )
        if not isinstance(sizes[0], int):
            if batch is None:
                raise InputError(f"{self._label}: the batch of the input '{value.name}' is open; --batch says it")
            sizes[0] = batch
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise InputError(
                f"{self._label}: the input '{value.name}' has the shape {sizes}; all sizes but the batch must be fixed"
            )
        return value.name, tuple(int(size) for size in sizes)


def read_shape(kind: Any) -> AnyShape | None:
    """Give the shape that a type says; None where a size is open, or it is no tensor."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    sizes = [size.dim_value if size.HasField("dim_value") else -1 for size in kind.tensor_type.shape.dim]
    return tuple(sizes) if all(size >= 0 for size in sizes) else None
