"""An ONNX file, read and checked as far as the library can."""

from __future__ import annotations

from typing import Any

from workloads.errors import InputError
from workloads.extras import import_extra
from workloads.importers.importer import ImportRequest
from workloads.user_file import FileForm, read_file

FORM = FileForm("an ONNX model", limit_bytes=2**31)
OLDEST_OPSET = 7
STANDARD_DOMAINS = ("", "ai.onnx")


def load_model(request: ImportRequest) -> Any:
    """Read a model, its external data and its functions resolved.

    Raises:
        InputError: the library is not installed, the file is damaged or no model, or its operator set is unknown.
    """
    onnx = import_extra("onnx", "onnx", request.label)
    raw = read_file(request.path, FORM, request.label)
    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf raises errors of several packages of its own.
        raise InputError(f"{request.label}: is damaged, or no ONNX model: {first_line(error)}") from None
    if not model.graph.node:
        raise InputError(f"{request.label}: is no ONNX model, or one without a node")
    check_names(model.graph, request.label)
    check_opset(model, request.label, onnx.defs.onnx_opset_version())
    try:
        if any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer):
            onnx.load_external_data_for_model(model, str(request.path.absolute().parent))
        if model.functions:
            model = import_extra("onnx.inliner", "onnx", request.label).inline_local_functions(model)
        complete_outputs(model, import_extra("onnx.shape_inference", "onnx", request.label))
        onnx.checker.check_model(model)
    except Exception as error:  # The checker's errors, and those of files of external data.
        raise InputError(f"{request.label}: is no valid ONNX model: {first_line(error)}") from None
    return model


def complete_outputs(model: Any, shape_inference: Any) -> None:
    """Give outputs without a type or a shape, which the checker refuses, those that inference finds.

    Args:
        shape_inference: The library's module.
    """
    lacking = [one for one in model.graph.output if not one.type.tensor_type.HasField("shape")]
    if not lacking:
        return
    found = {one.name: one for one in shape_inference.infer_shapes(model, data_prop=True).graph.output}
    for one in lacking:
        one.type.CopyFrom(found[one.name].type)


def check_names(graph: Any, label: str) -> None:
    """Refuse names that are no text, which protobuf hands over as bytes.

    Raises:
        InputError: there is one.
    """
    names = [one.name for one in (*graph.input, *graph.output, *graph.initializer, *graph.value_info)]
    for node in graph.node:
        names += [
            node.name,
            node.op_type,
            node.domain,
            *node.input,
            *node.output,
            *(one.name for one in node.attribute),
        ]
    wrong = next((name for name in names if not isinstance(name, str)), None)
    if wrong is not None:
        raise InputError(f"{label}: is damaged: the name {wrong!r} is not UTF-8 text")


def check_opset(model: Any, label: str, newest: int) -> None:
    """Refuse operator sets whose operators are not known here.

    Raises:
        InputError: names the set.
    """
    versions = [one.version for one in model.opset_import if one.domain in STANDARD_DOMAINS]
    if not versions:
        raise InputError(f"{label}: names no version of ONNX's operator set; {OLDEST_OPSET} to {newest} are known")
    if not OLDEST_OPSET <= versions[0] <= newest:
        raise InputError(
            f"{label}: has the operator set {versions[0]}; {OLDEST_OPSET} to {newest} are known to the onnx here"
        )


def first_line(error: Exception) -> str:
    """Give an error's first words, which are the ones that say what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
