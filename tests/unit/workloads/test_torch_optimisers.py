"""Optimisers against those of torch, update by update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimiser_cases import CASES, list_gradients, make_optimiser, run_updates, start
from peers import import_peer

torch = import_peer("torch")


@pytest.mark.peers
@pytest.mark.parametrize(("settings", "name", "arguments"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_twenty_updates_are_those_of_torch(settings: dict[str, Any], name: str, arguments: dict[str, Any]) -> None:
    parameter = torch.nn.Parameter(torch.from_numpy(start()))
    optimiser = getattr(torch.optim, name)([parameter], **arguments)
    for found, gradient in zip(run_updates(make_optimiser(settings)), list_gradients(), strict=True):
        parameter.grad = torch.from_numpy(gradient)
        optimiser.step()
        assert found.dtype == np.float32
        # Sums of 20 roundings of numbers up to about 10, and torch fuses a multiplication with an addition.
        np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-5, atol=1e-6)
