"""Pruning in torch's own numbers, as for a graphics card, decides on every element as the reference does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from host_training import RESIDUAL, build, draw_batch, make_plan
from numpy.typing import NDArray
from peers import import_peer

from workloads.host import NotFiniteError
from workloads.pruners.site import make_site_pruner
from workloads.pruning import PruningKey, PruningState, prune
from workloads.pruning_sites import PruningPlace, PruningSite
from workloads.settings import GradientPruning
from workloads.training.hosts.table import load_host
from workloads.training.iteration import Pruner
from workloads.training.record import BatchOutcome
from workloads.training.state import TrainingState

pytestmark = pytest.mark.peers
torch = import_peer("torch")

SITE = PruningSite("conv1", "conv2", PruningPlace.BATCH_NORM)
TAU = float(np.float32(0.7))


def draw_gradient(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw normal numbers, a fifth of them zero, one of them the threshold."""
    draw = np.random.default_rng(5)
    values = draw.standard_normal(shape, dtype=np.float32) * (draw.random(shape) < 0.8).astype(np.float32)
    values.reshape(-1)[3] = -TAU
    return values


@pytest.mark.parametrize("block", [1, 100, 2**22])
@pytest.mark.parametrize("shape", [(3, 4, 7, 5), (2, 9), (300, 1, 2)])
def test_the_same_elements_are_pruned(shape: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from workloads.training.hosts import torch_pruning

    monkeypatch.setattr(torch_pruning, "BLOCK", block)
    gradient, key = draw_gradient(shape), PruningKey(11, "conv1", 40)
    found = torch_pruning.prune_tensor(torch.from_numpy(gradient), TAU, key).numpy()
    expected = prune(gradient, TAU, key)
    assert 0 < np.count_nonzero(expected) < np.count_nonzero(gradient)
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_nothing_is_pruned_without_a_threshold() -> None:
    from workloads.training.hosts.torch_pruning import prune_tensor

    gradient = torch.from_numpy(draw_gradient((2, 9)))
    assert prune_tensor(gradient, 0.0, PruningKey(1, "conv1", 0)) is gradient


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("threshold", ["own_batch", "fifo"])
def test_what_is_told_of_a_site_is_what_the_reference_tells(threshold: Any, is_masked: bool) -> None:
    from workloads.training.hosts.torch_pruning import prune_site

    gradient = draw_gradient((3, 4, 6, 6))
    mask = gradient > 0 if is_masked else None
    gradient = gradient if mask is None else gradient * mask
    pruning = GradientPruning(rate=0.8, threshold=threshold, fifo_depth=2)
    key, state = PruningKey(2, "conv1", 9), PruningState(2, {"conv1": (0.5, 0.25)})
    expected, told = make_site_pruner(pruning).prune(SITE, gradient, mask, state, key)
    torch_mask = None if mask is None else torch.from_numpy(mask)
    found, torch_told = prune_site(pruning, SITE, torch.from_numpy(gradient), torch_mask, state, key)
    # The sums are of float64 in both; what is left of their order is lost in float32.
    assert torch_told == told
    np.testing.assert_array_equal(found.numpy(), expected)


def test_a_gradient_that_overflowed_is_told_as_such() -> None:
    from workloads.training.hosts.torch_pruning import prune_site

    gradient = torch.tensor([[1.0, float("inf")]])
    with pytest.raises(NotFiniteError, match=r"^the gradient to the output of 'conv1' is not finite;"):
        prune_site(GradientPruning(rate=0.5), SITE, gradient, None, PruningState(5), PruningKey(1, "conv1", 0))


def test_only_the_normal_models_thresholds_are_found_where_a_gradient_lies() -> None:
    from workloads.training.hosts.torch_pruning import prunes_in_place

    card, processor = torch.device("cuda"), torch.device("cpu")
    assert prunes_in_place(GradientPruning(rate=0.5), card)
    assert not prunes_in_place(GradientPruning(rate=0.5), processor)
    assert not prunes_in_place(GradientPruning(rate=0.5, model="quantile"), card)
    assert not prunes_in_place(None, card)


@pytest.mark.parametrize("feeds", ["both", "gta"])
def test_a_training_that_prunes_where_gradients_lie_is_the_same_to_the_bit(
    feeds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workloads.training.hosts import torch_hooks

    plan = make_plan(build(RESIDUAL, (3, 8, 8), 8), rate=0.8, threshold="own_batch", feeds=feeds)

    def train() -> tuple[list[BatchOutcome], TrainingState]:
        opened = load_host("torch").open(plan, plan.begin())
        return [opened.train_batch(draw_batch(plan.network, number)) for number in range(2)], opened.state

    expected, state = train()
    monkeypatch.setattr(torch_hooks, "prunes_in_place", lambda *_: True)
    monkeypatch.setattr(Pruner, "__call__", None)
    found, other = train()
    assert found == expected
    assert other.pruning == state.pruning
    for name, values in state.parameters.items():
        np.testing.assert_array_equal(other.parameters[name], values)
