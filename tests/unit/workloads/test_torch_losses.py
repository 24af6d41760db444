"""Losses have the values and gradients of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peers import import_peer
from pydantic import TypeAdapter

from workloads.kinds import Layer
from workloads.kinds.loss import LossLayer

torch = import_peer("torch")
functional = torch.nn.functional
pytestmark = pytest.mark.peers

LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])


def draw_targets(layer: LossLayer, shape: tuple[int, ...]) -> NDArray[Any]:
    rng = np.random.default_rng(2)
    if layer.type == "softmax_cross_entropy":
        return rng.integers(0, shape[1], (shape[0], *shape[2:]))
    return rng.random(shape)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 5), (3, 4, 6)])
@pytest.mark.parametrize(
    ("kind", "fields", "compute"),
    [
        ("softmax_cross_entropy", {}, functional.cross_entropy),
        ("softmax_cross_entropy", {"label_smoothing": 0.1}, functional.cross_entropy),
        ("mean_squared_error", {}, functional.mse_loss),
        ("binary_cross_entropy", {}, functional.binary_cross_entropy_with_logits),
    ],
)
def test_a_loss_has_the_value_and_the_gradient_of_torch(
    kind: str, fields: dict[str, Any], compute: Callable[..., Any], shape: tuple[int, ...]
) -> None:
    (layer,) = LAYERS.validate_python([{"name": "loss", "type": kind, **fields}])
    assert isinstance(layer, LossLayer)
    scores = 3 * np.random.default_rng(1).standard_normal(shape)
    targets = layer.check_targets(draw_targets(layer, shape), shape)
    leaf = torch.from_numpy(scores).requires_grad_()
    expected = compute(leaf, torch.from_numpy(targets), **fields)
    expected.backward()
    found = layer.evaluate(scores, targets)
    # Both compute in float64 and sum in orders of their own.
    assert found.value == pytest.approx(float(expected.detach()), rel=1e-12)
    np.testing.assert_allclose(found.grad_scores, leaf.grad.numpy(), rtol=1e-11, atol=1e-15)
