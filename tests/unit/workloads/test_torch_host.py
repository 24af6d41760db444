"""The host torch trains as the numpy reference does."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from host_cases import OPTIMISERS, STORED, digest, make_case, run_case
from host_training import LENET, RESIDUAL, build, draw_batch, make_plan
from numpy.typing import NDArray
from peers import import_peer
from random_graphs import make_random_network

from workloads.errors import InputError
from workloads.host import NotFiniteError, initial_parameters
from workloads.kinds import KINDS
from workloads.network import Network
from workloads.training.hosts.table import load_host
from workloads.training.plan import TrainingPlan
from workloads.training.record import BatchOutcome
from workloads.training.state import Arrays, TrainingState

pytestmark = pytest.mark.peers
torch = import_peer("torch")

RANDOM_SEEDS = range(24)


def train(host: str, plan: TrainingPlan, steps: int) -> tuple[list[BatchOutcome], TrainingState]:
    """Train for some steps from the beginning."""
    opened = load_host(host).open(plan, plan.begin())
    return [opened.train_batch(draw_batch(plan.network, number)) for number in range(steps)], opened.state


def assert_near(found: Arrays, expected: Arrays, tolerance: float) -> None:
    """Compare arrays by name; each may miss by a share of its own largest magnitude."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        largest = float(np.abs(values).max())
        np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance * largest + 1e-6, err_msg=name)


def make_residual_plan(rate: float | None = 0.8, **form: Any) -> TrainingPlan:
    return make_plan(build(RESIDUAL, (3, 8, 8), 8), rate=rate, **form)


@pytest.mark.parametrize("seed", RANDOM_SEEDS)
def test_a_step_of_a_random_network_equals_the_reference(seed: int) -> None:
    network = make_random_network(seed)
    plan = make_plan(network, rate=0.7 if seed % 2 else None, threshold="own_batch")
    (expected,), state = train("numpy", plan, 1)
    (found,), torch_state = train("torch", plan, 1)
    # Float32 sums in another order, through norms of rows that are nearly constant.
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert found.sites.keys() == expected.sites.keys()
    assert found.densities.keys() == expected.densities.keys()
    start = plan.begin().parameters
    for name, values in state.parameters.items():
        moved, torch_moved = values - start[name], torch_state.parameters[name] - start[name]
        largest = float(np.abs(moved).max())
        np.testing.assert_allclose(torch_moved, moved, rtol=0, atol=2e-3 * largest + 1e-7, err_msg=name)
    for name, values in state.statistics.items():
        np.testing.assert_allclose(torch_state.statistics[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_random_networks_have_most_kinds_and_the_others_are_compared_by_themselves() -> None:
    used = {node.layer.type for seed in RANDOM_SEEDS for node in make_random_network(seed).nodes}
    assert len(KINDS.keys() - used) < 6


@pytest.mark.parametrize("name", OPTIMISERS)
def test_twenty_steps_end_where_the_references_do(name: str) -> None:
    expected, state = run_case(name, "numpy")
    found, torch_state = run_case(name, "torch")
    # Float32 sums in another order move a loss by some 1e-6 in twenty steps, and an element by as much of its way.
    assert found == pytest.approx(expected, rel=1e-5)
    start = initial_parameters(make_case(name), 3)
    for parameter, values in state.parameters.items():
        moved, apart = values - start[parameter], np.abs(torch_state.parameters[parameter] - values)
        # Adam moves an element whose gradient is a rounding alone either way.
        slots = state.optimiser.slots[parameter]
        is_moved = np.sqrt(slots["second_moment"]) > 1e-5 if "second_moment" in slots else np.ones(values.shape, bool)
        assert (apart[is_moved] <= 1e-2 * np.abs(moved).max() + 1e-6).all(), parameter


@pytest.mark.parametrize("name", ["lenet", "residual"])
def test_the_stored_values_of_twenty_steps_are_torchs(name: str) -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))[name]
    losses, state = run_case(name, "torch")
    assert losses == pytest.approx(stored["losses"], rel=1e-5)
    assert digest(state) == {one: pytest.approx(pair, rel=1e-4, abs=1e-5) for one, pair in stored["means"].items()}


def test_what_is_told_of_a_pruned_training_is_what_the_reference_tells() -> None:
    plan = make_residual_plan()
    expected, state = train("numpy", plan, 4)
    found, torch_state = train("torch", plan, 4)
    assert list(expected[-1].sites) == ["relu4", "flat", "conv2", "conv1"]
    for one, other in zip(expected, found, strict=True):
        for node, site in one.sites.items():
            # An element whose number lies within a rounding of its magnitude may be drawn otherwise.
            for field in dataclasses.fields(site):
                value = getattr(site, field.name)
                assert getattr(other.sites[node], field.name) == pytest.approx(value, rel=0.02, abs=1e-6), (node, field)
        assert other.densities == pytest.approx(one.densities, abs=0.01)
    assert found[-1].sites["conv2"].density_after < 0.5 < found[-1].sites["conv2"].density_before
    assert state.pruning is not None
    assert torch_state.pruning is not None
    assert {node: pytest.approx(taus, rel=0.02) for node, taus in state.pruning.taus.items()} == (
        torch_state.pruning.taus
    )


def test_gradients_are_pruned_for_gta_alone_where_that_is_asked_for() -> None:
    plan = make_residual_plan(threshold="own_batch", feeds="gta")
    (expected,), state = train("numpy", plan, 1)
    (found,), torch_state = train("torch", plan, 1)
    assert list(found.sites) == list(expected.sites) == ["fc1", "conv3", "conv2"]
    assert found.densities == pytest.approx(expected.densities, abs=0.01)
    assert found.densities["conv3", "grad_output_for_gta"] < 0.6 < found.densities["conv2", "grad_output"]
    # Where an element is drawn otherwise, the layers before get another gradient.
    assert_near(torch_state.parameters, state.parameters, 1e-4)


@pytest.mark.parametrize("method", ["adam", "adamw"])
def test_the_moments_of_an_optimiser_follow_the_references(method: str) -> None:
    plan = make_residual_plan(None, optimiser={"method": method, "learning_rate": 1e-3, "weight_decay": 0.01})
    _, state = train("numpy", plan, 3)
    _, torch_state = train("torch", plan, 3)
    for name, slots in state.optimiser.slots.items():
        assert_near(torch_state.optimiser.slots[name], slots, 1e-2)
    # Where a gradient vanishes but for its rounding, a step of Adam has either sign.
    moved = [np.abs(torch_state.parameters[name] - values) for name, values in state.parameters.items()]
    assert np.mean(np.concatenate([one.reshape(-1) for one in moved]) > 1e-4) < 0.02
    assert torch_state.optimiser.updates == 3


def test_evaluation_has_running_statistics_and_drops_nothing() -> None:
    plan = make_residual_plan(None)
    _, state = train("numpy", plan, 3)
    batches = [draw_batch(plan.network, number) for number in (7, 8)]
    expected, found = (load_host(name).open(plan, state).evaluate(batches) for name in ("numpy", "torch"))
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    assert (found.images, found.accuracy) == (16, expected.accuracy)


def test_a_training_that_goes_on_ends_with_the_same_bits() -> None:
    plan = make_residual_plan()
    _, straight = train("torch", plan, 6)
    opened = load_host("torch").open(plan, plan.begin())
    for number in range(3):
        opened.train_batch(draw_batch(plan.network, number))
    opened.end_epoch()
    resumed = load_host("torch").open(plan, opened.state)
    for number in range(3, 6):
        resumed.train_batch(draw_batch(plan.network, number))
    assert (resumed.state.epoch, resumed.state.iteration) == (1, 6)
    for name, values in straight.parameters.items():
        np.testing.assert_array_equal(resumed.state.parameters[name], values)
        np.testing.assert_array_equal(
            resumed.state.optimiser.slots[name]["momentum"], straight.optimiser.slots[name]["momentum"]
        )
    assert resumed.state.pruning == straight.pruning


def test_a_state_that_was_given_out_stays_as_it_was() -> None:
    plan = make_residual_plan(None)
    begun = plan.begin()
    opened = load_host("torch").open(plan, begun)
    opened.train_batch(draw_batch(plan.network, 0))
    first = opened.state
    kept = {name: values.copy() for name, values in first.parameters.items()}
    opened.train_batch(draw_batch(plan.network, 1))
    for name, values in kept.items():
        np.testing.assert_array_equal(first.parameters[name], values)
        assert not np.array_equal(opened.state.parameters[name], values)
    np.testing.assert_array_equal(begun.parameters["conv1/weight"], plan.begin().parameters["conv1/weight"])


@pytest.mark.parametrize("host", ["numpy", "torch"])
@pytest.mark.parametrize("rate", [None, 0.8])
def test_numbers_that_overflow_are_told_and_leave_the_state(host: str, rate: float | None) -> None:
    steep = {"method": "sgd", "learning_rate": 1e30}
    plan = make_plan(build(LENET, (3, 12, 12), 8), rate=rate, threshold="own_batch", optimiser=steep)
    opened = load_host(host).open(plan, plan.begin())
    opened.train_batch(draw_batch(plan.network, 0))
    before = opened.state
    with pytest.raises(NotFiniteError, match=r"^the loss of network 'net' is nan; its weights or images are too large"):
        opened.train_batch(draw_batch(plan.network, 1))
    after = opened.state
    assert (after.iteration, after.pruning) == (1, before.pruning)
    for name, values in before.parameters.items():
        np.testing.assert_array_equal(after.parameters[name], values)


def test_masked_weights_stay_zero() -> None:
    plan = make_residual_plan()
    mask: NDArray[np.float32] = (np.arange(8 * 8 * 9).reshape(8, 8, 3, 3) % 3 == 0).astype(np.float32)
    plan = dataclasses.replace(plan, masks={"conv2/weight": mask})
    _, state = train("torch", plan, 2)
    assert not state.parameters["conv2/weight"][mask == 0].any()
    assert state.parameters["conv2/weight"][mask == 1].all()


def test_the_threads_and_algorithms_of_before_come_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        train("torch", make_residual_plan(None, threads=1), 1)
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (3, False)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("given", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_torchs_threads_sleep_while_they_wait(given: dict[str, str], expected: str) -> None:
    code = "import os; from workloads.training.hosts.table import load_host; load_host('torch')"
    code += "; print(os.environ.get('OMP_WAIT_POLICY'))"
    unset = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment = {**unset, "OMP_DISPLAY_ENV": "TRUE", **given}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == str(given.get("OMP_WAIT_POLICY"))
    assert f"OMP_WAIT_POLICY = '{expected}'" in done.stderr


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(InputError) as caught:
        load_host(f"torch:{device}")
    assert str(caught.value) == f"--host torch:{device}: torch finds no such device; torch alone takes the processor"


def test_images_of_another_shape_are_refused() -> None:
    plan = make_residual_plan()
    opened = load_host("torch").open(plan, plan.begin())
    other: Network = build(RESIDUAL, (3, 8, 8), 4)
    with pytest.raises(InputError, match=r"^network 'net' takes images of shape \(8, 3, 8, 8\), got \(4, 3, 8, 8\)"):
        opened.train_batch(draw_batch(other, 0))
