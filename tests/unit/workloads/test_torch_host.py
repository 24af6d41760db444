"""The host torch trains as the numpy reference does."""

from __future__ import annotations

import numpy as np
import pytest
from host_training import RESIDUAL, build, draw_batch, make_plan
from peers import import_peer

from workloads.training.hosts.table import load_host
from workloads.training.record import BatchOutcome
from workloads.training.state import TrainingState

pytestmark = pytest.mark.peers
torch = import_peer("torch")


def train(host: str, steps: int, rate: float | None) -> tuple[list[BatchOutcome], TrainingState]:
    """Train the residual network for some steps."""
    plan = make_plan(build(RESIDUAL, (3, 8, 8), 8), rate=rate)
    opened = load_host(host).open(plan, plan.begin())
    outcomes = [opened.train_batch(draw_batch(plan.network, number)) for number in range(steps)]
    return outcomes, opened.state


@pytest.mark.parametrize("rate", [None, 0.7])
def test_five_steps_of_a_residual_network_equal_the_reference(rate: float | None) -> None:
    expected, state = train("numpy", 5, rate)
    found, torch_state = train("torch", 5, rate)
    for one, other in zip(expected, found, strict=True):
        # Sums of float32 in another order; pruned elements near their threshold may be drawn otherwise.
        assert other.loss == pytest.approx(one.loss, rel=1e-5)
        assert other.sites.keys() == one.sites.keys()
        assert other.densities.keys() == one.densities.keys()
        for key, density in one.densities.items():
            assert other.densities[key] == pytest.approx(density, abs=0.01)
    assert (torch_state.iteration, torch_state.optimiser.updates) == (5, 5)
    for name, values in state.parameters.items():
        np.testing.assert_allclose(torch_state.parameters[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    for name, values in state.statistics.items():
        np.testing.assert_allclose(torch_state.statistics[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
