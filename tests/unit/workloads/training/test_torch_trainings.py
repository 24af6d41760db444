"""Twenty iterations of a training against torch's own modules and optimisers: batch norm in both modes, dropout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from normalised_trainings import OPTIMISERS, evaluate, open_plans, run_iterations
from peers import import_peer

from workloads.training.plan import TrainingPlan

torch = import_peer("torch")

NAMES = {
    "0.weight": "conv1/weight", "1.weight": "bn1/scale", "1.bias": "bn1/shift", "3.weight": "conv2/weight",
    "3.bias": "conv2/bias", "8.weight": "fc/weight", "8.bias": "fc/bias",
}  # fmt: skip


def make_module(plan: TrainingPlan) -> Any:
    """Make the network of torch's modules, with the training's first weights."""
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Dropout(0.25), torch.nn.Linear(4, 3),
    )  # fmt: skip
    start = plan.begin().parameters
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(start[NAMES[name]]))
    return module


@pytest.mark.peers
@pytest.mark.parametrize("name", OPTIMISERS)
def test_twenty_iterations_and_an_evaluation_are_those_of_torch(tmp_path: Path, name: str) -> None:
    plan, evaluated = open_plans(tmp_path, name)
    module = make_module(plan)
    _, optimiser_name, arguments = OPTIMISERS[name]
    optimiser = getattr(torch.optim, optimiser_name)(module.parameters(), lr=1.0, **arguments)
    for number, (loss, state) in enumerate(run_iterations(plan)):
        batch = plan.load_batch(number)
        module.train()
        module[7].eval()
        optimiser.param_groups[0]["lr"] = plan.learning_rate(number)
        optimiser.zero_grad()
        score = torch.nn.functional.cross_entropy(
            module(torch.from_numpy(batch.images)), torch.from_numpy(batch.targets.labels)
        )
        score.backward()
        optimiser.step()
        # Sums of float32 in another order, whose differences twenty updates carry on.
        assert loss == pytest.approx(score.item(), rel=1e-4)
        for ours, theirs in (("mean", module[1].running_mean), ("variance", module[1].running_var)):
            np.testing.assert_allclose(state.statistics[f"bn1/{ours}"], theirs.numpy(), rtol=1e-4, atol=1e-5)
        for theirs, parameter in module.named_parameters():
            found = state.parameters[NAMES[theirs]]
            np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-4, atol=1e-5)
    module.eval()
    assert evaluated.test is not None
    (test,) = evaluated.test.list_all()
    with torch.no_grad():
        scores, labels = module(torch.from_numpy(test.images)), torch.from_numpy(test.targets.labels)
    loss, accuracy = evaluate(evaluated, state)
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(scores, labels).item(), rel=1e-4)
    assert accuracy == (scores.argmax(1) == labels).double().mean().item()
