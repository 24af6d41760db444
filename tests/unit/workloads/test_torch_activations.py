"""Activations and their gradients equal torch's, on tensors of every rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from workloads.kinds import Layer
from workloads.kinds.execution import Place

torch = pytest.importorskip("torch")
functional: Any = torch.nn.functional

LAYER: TypeAdapter[Layer] = TypeAdapter(Layer)
PLACE = Place(needs_grad_input=True, output_is_kept=False, seed=1, iteration=0)
SHAPES = ((4, 6), (2, 5, 6), (2, 3, 4, 5))
CASES: dict[str, tuple[dict[str, Any], Callable[..., Any]]] = {
    "relu6": ({}, functional.relu6),
    "leaky_relu": ({"negative_slope": 0.2}, lambda x: functional.leaky_relu(x, 0.2)),
    "sigmoid": ({}, lambda x: x.sigmoid()),
    "tanh": ({}, lambda x: x.tanh()),
    "hard_sigmoid": ({}, lambda x: functional.hardsigmoid(x)),
    "hard_swish": ({}, lambda x: functional.hardswish(x)),
    "silu": ({}, lambda x: functional.silu(x)),
    "gelu": ({}, lambda x: functional.gelu(x)),
    "gelu tanh": ({"approximate": "tanh"}, lambda x: functional.gelu(x, approximate="tanh")),
    "softmax": ({}, lambda x: x.softmax(-1)),
    "softmax 1": ({"axis": 1}, lambda x: x.softmax(1)),
    "prelu": ({}, functional.prelu),
    "prelu channels": ({"per_channel": True}, functional.prelu),
}


# Some roundings of each dtype; torch's vectorised functions are within a few units in the last place.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_an_activation_equals_that_of_torch(case: str, shape: tuple[int, ...], dtype: Any, tolerance: float) -> None:
    fields, function = CASES[case]
    layer = LAYER.validate_python({"name": "one", "type": case.split()[0], **fields})
    rng = np.random.default_rng(3)
    input, gradient = (4 * rng.standard_normal(shape).astype(dtype) for _ in range(2))
    parameters = {
        name: rng.standard_normal(parameter.shape).astype(dtype)
        for name, parameter in layer.list_parameters(shape).items()
    }
    output, backward = layer.run([input], parameters, PLACE)
    handed = backward(gradient)
    leaves = [torch.from_numpy(array.copy()).requires_grad_() for array in (input, *parameters.values())]
    expected = function(*leaves)
    expected.backward(torch.from_numpy(gradient))
    np.testing.assert_allclose(output, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    # torch multiplies the gradient of a hard sigmoid by a sixth rounded to float32, in float64 too.
    tolerance = max(tolerance, 4e-8 if layer.type == "hard_sigmoid" else 0)
    for computed, leaf in zip([*handed.inputs, *handed.parameters.values()], leaves, strict=True):
        assert computed is not None
        np.testing.assert_allclose(computed, leaf.grad.numpy(), rtol=tolerance, atol=10 * tolerance)
