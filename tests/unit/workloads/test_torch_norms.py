"""Normalisations and their gradients equal torch's."""

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
IMAGES, FEATURES, TOKENS = (3, 4, 5, 6), (5, 8), (2, 5, 8)
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any], Callable[..., Any]]] = {
    "batch_norm": (IMAGES, {}, lambda x, *p: functional.batch_norm(x, None, None, *p, training=True)),
    "batch_norm features": (FEATURES, {}, lambda x, *p: functional.batch_norm(x, None, None, *p, training=True)),
    "layer_norm features": (FEATURES, {}, lambda x, *p: functional.layer_norm(x, (8,), *p)),
    "layer_norm tokens": (TOKENS, {"epsilon": 1e-6}, lambda x, *p: functional.layer_norm(x, (8,), *p, eps=1e-6)),
    "layer_norm images": (IMAGES, {"axes": 3}, lambda x, *p: functional.layer_norm(x, (4, 5, 6), *p)),
    "layer_norm plain": (IMAGES, {"axes": 2, "affine": False}, lambda x: functional.layer_norm(x, (5, 6))),
    "group_norm": (IMAGES, {"groups": 2}, lambda x, *p: functional.group_norm(x, 2, *p)),
    "group_norm features": (FEATURES, {"groups": 4}, lambda x, *p: functional.group_norm(x, 4, *p)),
    "instance_norm": (IMAGES, {}, lambda x: functional.instance_norm(x)),
    "instance_norm scaled": (IMAGES, {"affine": True}, lambda x, *p: functional.instance_norm(x, None, None, *p)),
    "local_response_norm": (
        IMAGES, {"size": 3, "alpha": 0.5}, lambda x: functional.local_response_norm(x, 3, alpha=0.5),
    ),
    "local_response_norm even": (
        IMAGES, {"size": 2, "alpha": 1.5, "beta": 1.25, "k": 2.0},
        lambda x: functional.local_response_norm(x, 2, alpha=1.5, beta=1.25, k=2.0),
    ),
    "local_response_norm wide": (
        IMAGES, {"size": 11, "alpha": 1.5}, lambda x: functional.local_response_norm(x, 11, alpha=1.5),
    ),
}  # fmt: skip


# Means and squares round: some units in the last place, grown by roots and by sums of some dozens of terms.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("case", CASES)
def test_a_normalisation_equals_that_of_torch(case: str, dtype: Any, tolerance: float) -> None:
    shape, fields, function = CASES[case]
    layer = LAYER.validate_python({"name": "one", "type": case.split()[0], **fields})
    assert layer.infer_output(("before",), (shape,)) == shape
    rng = np.random.default_rng(3)
    input, gradient = (3 * rng.standard_normal(shape).astype(dtype) + dtype(1) for _ in range(2))
    parameters = {
        name: rng.standard_normal(parameter.shape).astype(dtype)
        for name, parameter in layer.list_parameters(shape).items()
    }
    output, backward = layer.run([input], parameters, PLACE)
    handed = backward(gradient)
    leaves = [torch.from_numpy(array.copy()).requires_grad_() for array in (input, *parameters.values())]
    expected = function(*leaves)
    expected.backward(torch.from_numpy(gradient))
    assert output.dtype == dtype
    np.testing.assert_allclose(output, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    for computed, leaf in zip([*handed.inputs, *handed.parameters.values()], leaves, strict=True):
        assert computed is not None
        assert computed.dtype == dtype
        np.testing.assert_allclose(computed, leaf.grad.numpy(), rtol=tolerance, atol=10 * tolerance)
