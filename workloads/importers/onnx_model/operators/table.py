"""All operators that become layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from workloads.importers.onnx_model.builder import NetworkBuilder
from workloads.importers.onnx_model.operations import Operation
from workloads.importers.onnx_model.operators import elementwise, layout, normalisations, products, windows

CONVERTERS: Mapping[str, Callable[[Operation, NetworkBuilder], None]] = {
    **windows.OPERATORS,
    **products.OPERATORS,
    **elementwise.OPERATORS,
    **normalisations.OPERATORS,
    **layout.OPERATORS,
}
