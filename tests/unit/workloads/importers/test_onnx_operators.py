"""Operators of ONNX become the layers that they should, and these compute what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_models import LOSSES, import_model, last_values, make_model
from peers import import_peer
from unit.workloads.importers.onnx_cases import CASES, Case

from workloads.kinds.table import CLASSES

onnx = import_peer("onnx")
pytestmark = pytest.mark.peers

# Sums of at most some hundred products, in float32 here and there.
TOLERANCE = 2e-5
COMPUTED = {name: case for name, case in CASES.items() if all(layer["type"] in CLASSES for layer in case.layers)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_operator_becomes_its_layers(case: Case, tmp_path: Path) -> None:
    model = make_model(case.nodes, case.shape, case.constants, opset=case.opset)
    layers = import_model(model, tmp_path).data["layers"]
    found = [{name: value for name, value in layer.items() if name not in ("name", "inputs")} for layer in layers]
    assert [layer for layer in found if layer["type"] not in LOSSES] == [*case.layers]


@pytest.mark.parametrize("case", COMPUTED.values(), ids=COMPUTED)
def test_layers_compute_what_onnxruntime_computes(case: Case, tmp_path: Path) -> None:
    runtime = import_peer("onnxruntime")
    model = make_model(case.nodes, case.shape, case.constants, opset=case.opset)
    images = np.random.default_rng(3).normal(size=case.shape).astype(np.float32) * 2
    (expected,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": images})
    found = last_values(import_model(model, tmp_path), images)
    assert np.allclose(found.reshape(expected.shape), expected, rtol=TOLERANCE, atol=TOLERANCE)
