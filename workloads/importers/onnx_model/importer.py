"""The importer of ONNX models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from workloads.errors import InputError
from workloads.importers.importer import ImportedNetwork, Importer, ImportRequest
from workloads.importers.names import name_workload
from workloads.importers.onnx_model.builder import NetworkBuilder, UnsupportedError
from workloads.importers.onnx_model.folding import fold_graph
from workloads.importers.onnx_model.model_file import load_model
from workloads.importers.onnx_model.operations import Operation, OperationGraph
from workloads.importers.onnx_model.operators.table import CONVERTERS
from workloads.importers.onnx_model.outputs import add_losses, choose_operands
from workloads.importers.onnx_model.patterns.activations import find_activations
from workloads.importers.onnx_model.patterns.normalisations import find_normalisations
from workloads.importers.onnx_model.patterns.parts import find_parts
from workloads.importers.onnx_model.patterns.structure import find_structure
from workloads.words import list_words

STATISTICS_NOTE = "batch norm takes its statistics of the batch, as in training; those of the model are kept beside"
IR_VERSIONS = range(1, 64)
# The first field is ir_version, a number; behind it come the producer's name, the graph or the operator sets.
VERSION_FIELD, FURTHER_FIELDS = 0x08, b"\x12\x1a\x22\x2a\x32\x3a\x42"


class OnnxImporter(Importer):
    """Makes a network, its loss and its weights of a model."""

    words: ClassVar[str] = "an ONNX model"

    def recognises(self, path: Path, beginning: bytes) -> bool:
        """Know the first fields of a model; what ends in .onnx is taken for one, too, so that its fault is told."""
        if len(beginning) > 3 and beginning[0] == VERSION_FIELD and beginning[1] in IR_VERSIONS:
            return beginning[2] in FURTHER_FIELDS
        return path.suffix.lower() == ".onnx"

    def read(self, request: ImportRequest) -> ImportedNetwork:
        """Fold constants, find patterns, and make every operation a layer."""
        graph = fold_graph(load_model(request), request)
        build = NetworkBuilder(graph)
        # What is no number any more is refused where the weights are loaded.
        with np.errstate(all="ignore"):
            for find in (find_parts, find_structure, find_activations, find_normalisations):
                find(graph)
            convert_all(graph, build, request)
        if not build.layers:
            raise InputError(f"{request.label}: holds no operator that becomes a layer")
        notes, has_classes = add_losses(graph, build)
        image = graph.shapes[graph.input][1:]
        size = dict(zip(("channels", "height", "width"), build_size(image), strict=True))
        if build.arrays:
            notes.append(
                "batch norm takes its statistics of the batch, as in training; those of the model are kept beside"
            )
        data: dict[str, Any] = {
            "name": name_workload(request.path.stem),
            "description": f"ONNX model {request.path.name}, operator set {graph.opset}",
            "batch": graph.batch,
            "input": size,
            "layers": build.layers,
            "operands": choose_operands(size, has_classes=has_classes),
        }
        return ImportedNetwork(data, build.weights, build.arrays, tuple(notes))


def build_size(image: tuple[int, ...]) -> tuple[int, ...]:
    """Give (channels, height, width) of the input; features are channels of one position, rows are of height 1."""
    return {1: (*image, 1, 1), 2: (*image[:1], 1, *image[1:])}.get(len(image), image)


def convert_all(graph: OperationGraph, build: NetworkBuilder, request: ImportRequest) -> None:
    """Convert every operation that an output needs.

    Raises:
        InputError: names all that cannot be converted, with their nodes.
    """
    problems: list[str] = []
    for operation in needed_operations(graph):
        converter = CONVERTERS.get(operation.kind)
        if converter is None:
            problems.append(f"{operation.label}, which is no layer")
        elif any(name in graph.unknown for name in operation.inputs):
            culprit = next(graph.unknown[name] for name in operation.inputs if name in graph.unknown)
            if culprit.partition(" ")[0] in CONVERTERS:
                problems.append(f"{operation.label}, whose shape depends on data")
        elif all(name in build.values or name in graph.constants for name in filter(None, operation.inputs)):
            try:
                converter(operation, build)
            except UnsupportedError as error:
                problems.append(f"{operation.label}: {error}")
            except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
                # The checker lets attributes through whose type is right and whose values are not.
                problems.append(f"{operation.label}: attributes or constants that it cannot have")
    if problems:
        counted = "an operator" if len(problems) == 1 else f"{len(problems)} operators"
        raise InputError(f"{request.label}: {counted} cannot be imported: {list_words(problems, 450)}")


def needed_operations(graph: OperationGraph) -> list[Operation]:
    """Give the operations that the outputs depend on, in their order."""
    wanted = set(graph.outputs)
    found = []
    for operation in reversed(graph.operations):
        if wanted.intersection(operation.outputs):
            found.append(operation)
            wanted.update(operation.inputs)
    return found[::-1]
