"""The machine in the loop executes the very iterations of a training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from trainings import plan_tiny

from sim.architecture import Architecture, load_architecture
from sim.iteration.findings import Findings
from sim.iteration.policies import choose_contenders
from sim.iteration.progress import Teller
from sim.iteration.simulation import execute_plan
from sim.training.contenders import list_observed
from sim.training.interpolation import interpolate
from sim.training.observation import UNPRUNED, MachineObserver
from sim.training.observed import Row
from workloads.arrays import Float32Array
from workloads.errors import InputError
from workloads.host import Iteration, run_iteration
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.iteration import PrunedIteration
from workloads.training.loop import Training
from workloads.training.plan import TrainingPlan
from workloads.training.state import TrainingState
from workloads.workload import Workload

Given = tuple[Workload, TrainingPlan]


def make_observer(given: Given, arch: str | Architecture = "ideal", **options: Any) -> MachineObserver:
    workload, plan = given
    return MachineObserver(plan, workload, choose_contenders(arch, "skipping-off", ()), **options)


def train(plan: TrainingPlan, iterations: int) -> TrainingState:
    opened = NumpyHost().open(plan, plan.begin())
    for number in range(iterations):
        opened.train_batch(plan.load_batch(number))
    return opened.state


def observe(given: Given, observer: MachineObserver, iterations: int) -> Mapping[str, Any]:
    return observer.observe(train(given[1], iterations), given[1].load_batch(iterations))


def cycles(found: Mapping[str, Any]) -> dict[str, int]:
    return {one["policy"]: one["network"]["cycles"] for one in found["machines"]}


@pytest.mark.parametrize(("rate", "expected"), [(0.0, [0, 16, 32, 39]), (0.9, [0, 5, 16, 32, 39])])
def test_first_iterations_of_epochs_the_first_pruned_one_and_the_last_are_executed(
    rate: float, expected: list[int]
) -> None:
    given = plan_tiny(rate=rate, epochs=5, images=64, simulate_at={"every_epochs": 2, "images": 4})
    observer = make_observer(given)
    assert [number for number in range(given[1].iterations) if observer.wants(number)] == expected


def test_without_being_asked_for_nothing_is_executed() -> None:
    given = plan_tiny(simulate_at=None)
    assert not any(make_observer(given).wants(number) for number in range(given[1].iterations))


def test_what_is_found_stands_in_the_records_as_json_holds_it() -> None:
    given = plan_tiny(epochs=2, images=32)
    records = Training(given[1], NumpyHost(), observer=make_observer(given)).run().records
    found = [one for record in records for one in record.observations]
    assert [one["iteration"] for one in found] == [0, 4, 5, 7]
    assert json.loads(json.dumps(found)) == [dict(one) for one in found]


def test_each_policy_skips_more_than_the_one_before_it() -> None:
    given = plan_tiny()
    found = observe(given, make_observer(given), 12)
    assert list(cycles(found)) == ["pruned", "dense", "mask", "natural"]
    assert cycles(found)["dense"] > cycles(found)["natural"] > cycles(found)["mask"] > cycles(found)["pruned"]
    assert all(one["verified"] for one in found["machines"])
    assert found["failures"] == []


def test_rows_sum_to_what_is_told_of_convolutions_and_of_all_without_and_with_updates() -> None:
    given = plan_tiny()
    for one in observe(given, make_observer(given, "sparsetrain"), 9)["machines"]:
        convolutions = [row for row in one["rows"] if row["kind"] == "conv2d"]
        assert 0 < len(convolutions) < len(one["rows"])
        network = [row for row in one["rows"] if row["kind"] != "update"]
        scopes = (
            (convolutions, one["convolutions"]), (network, one["network"]), (one["rows"], one["network_with_update"])
        )  # fmt: skip
        assert len(network) < len(one["rows"])
        for rows, told in scopes:
            assert sum(row["cycles"] for row in rows) == told["cycles"]
            assert sum(row["energy_pj"] for row in rows) == pytest.approx(told["energy_pj"], rel=1e-12)


def test_without_prices_there_is_no_energy() -> None:
    given = plan_tiny()
    for one in observe(given, make_observer(given), 0)["machines"]:
        assert one["network"]["energy_pj"] is None


def test_before_the_fifo_is_full_pruned_is_mask() -> None:
    given = plan_tiny()
    found = cycles(observe(given, make_observer(given), 3))
    assert found["pruned"] == found["mask"]


def test_a_training_without_pruning_has_no_pruned() -> None:
    given = plan_tiny(rate=0.0)
    found = observe(given, make_observer(given), 6)
    assert list(cycles(found)) == ["mask", "dense", "natural"]
    assert found["densities"].keys() == {UNPRUNED}


def test_the_unpruned_iteration_is_that_of_a_host_without_pruning() -> None:
    given = plan_tiny()
    plan, state, batch = given[1], train(given[1], 12), given[1].load_batch(12)
    done, unpruned = make_observer(given).compute(state, batch)
    assert isinstance(done, PrunedIteration)
    expected = run_iteration(
        plan.network, state.parameters, batch.images, batch.targets, seed=plan.seed, iteration=12,
        options=plan.host_options,
    )  # fmt: skip
    assert unpruned.grads.keys() == expected.grads.keys()
    assert all(np.array_equal(unpruned.grads[name], expected.grads[name]) for name in expected.grads)


@pytest.mark.parametrize("arch", ["ideal", "sparsetrain"])
def test_the_dense_machine_meets_no_values_and_is_executed_once(arch: str) -> None:
    given = plan_tiny()
    observer = make_observer(given, arch)
    first, later = observe(given, observer, 0), observe(given, observer, 13)
    afresh = observe(given, make_observer(given, arch), 13)
    for found in (later, afresh):
        assert [one for one in found["machines"] if one["policy"] == "dense"] == [
            one for one in first["machines"] if one["policy"] == "dense"
        ]
    assert later == afresh


def test_gradients_without_pruning_are_related_to_what_the_next_layer_reads() -> None:
    given = plan_tiny()
    sources = observe(given, make_observer(given), 12)["gradient_sources"]
    assert {layer: one["layer"] for layer, one in sources.items()} == {
        "conv1": "conv2",
        "conv2": "conv3",
        "conv3": "fc",
    }
    # A gradient to a pool's output becomes one of four times its elements.
    assert sources["conv2"]["ratio"] == pytest.approx(0.25, rel=0.2)
    assert sources["conv1"]["ratio"] == pytest.approx(1.0, rel=0.1)


def test_host_and_machine_prune_the_same_elements_in_the_middle_of_a_training() -> None:
    given = plan_tiny(simulate_at={"every_epochs": 1, "images": 8})
    state, batch = train(given[1], 13), given[1].load_batch(13)
    observer = make_observer(given)
    done, unpruned = observer.compute(state, batch)
    assert isinstance(done, PrunedIteration)
    assert all(one.threshold for one in done.prunings.values())
    written = write_outputs(observer, done, unpruned)["conv2/gta"]
    pruned, before = (found.tensors["conv1"].grad_output for found in (done.iteration, unpruned))
    assert 0 < np.count_nonzero(pruned) < 0.8 * np.count_nonzero(before)
    assert np.array_equal(written != 0, pruned != 0)
    assert np.allclose(written, pruned, rtol=1e-4, atol=1e-7)


def write_outputs(observer: MachineObserver, done: PrunedIteration, unpruned: Iteration) -> Mapping[str, Float32Array]:
    """Execute an iteration on the pruning machine, and keep what it writes."""
    observer._work.look_at(done, unpruned)
    plan = observer.plan_run(observer.machines)
    keeping = dataclasses.replace(plan, options=dataclasses.replace(plan.options, keeps_output=True))
    findings = Findings(plan.request.machines, None)
    execute_plan(keeping, findings, Teller(1, None))
    return findings.outputs


def test_a_part_of_the_batch_counts_for_all_of_it() -> None:
    """Parts take more than the batch at once: weights and latencies come with each, and gradients are summed."""
    whole, part = (plan_tiny(simulate_at={"every_epochs": 1, "images": images}) for images in (8, 2))
    found = [observe(given, make_observer(given, "sparsetrain"), 11) for given in (whole, part)]
    assert [one["images"] for one in found] == [8, 2]
    assert all(one["verified"] for told in found for one in told["machines"])
    sums = [[row for row in one["machines"][0]["rows"] if row["step"] == "accumulate"] for one in found]
    assert [len(rows) for rows in sums] == [0, 4]
    updates = [[row for row in one["machines"][0]["rows"] if row["step"] == "update"] for one in found]
    assert updates[0] == updates[1]
    assert 1.0 < cycles(found[1])["pruned"] / cycles(found[0])["pruned"] < 4.0


def test_what_is_computed_again_is_executed_with_the_training() -> None:
    workload, plan = plan_tiny(rate=0.9)
    again = dataclasses.replace(workload, form=workload.form.model_copy(update={"recompute": "conv*"}))
    stored, found = (observe((one, plan), make_observer((one, plan), "sparsetrain"), 11) for one in (workload, again))
    for before, after in zip(stored["machines"], found["machines"], strict=True):
        rows = [row for row in after["rows"] if row["step"] == "recompute"]
        assert rows
        assert after["network"]["cycles"] == before["network"]["cycles"] + sum(row["cycles"] for row in rows)
        for row in rows:
            density = {row["layer"]: {"input": 0.5, "weight": 1.0, "grad_output": 0.25}}
            shares = [
                Row(row["layer"], row["kind"], step).share(density, after["policy"])
                for step in ("forward", row["step"])
            ]
            assert shares[0] == shares[1]


def test_a_batch_that_is_not_cut_into_equal_parts_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"tiny: training.simulate_at.images must divide the 8 images of a batch.*got 3"
    ):
        make_observer(plan_tiny(simulate_at={"every_epochs": 1, "images": 3}))


def test_more_images_than_a_batch_has_are_those_of_the_batch() -> None:
    given = plan_tiny(simulate_at={"every_epochs": 1, "images": 100})
    assert observe(given, make_observer(given), 0)["images"] == 8


def test_a_sampled_machine_tells_its_interval_and_is_not_verified() -> None:
    given = plan_tiny(batch=32, images=128, simulate_at={"every_epochs": 1, "images": 32})
    found = observe(given, make_observer(given, sample=0.3), 7)
    pruned = found["machines"][0]
    assert not pruned["verified"]
    assert 0 < pruned["network"]["cycles_ci95"] < pruned["network"]["cycles"]


def test_intervals_of_sampled_trainings_hold_what_whole_steps_take() -> None:
    given = plan_tiny(batch=32, images=96, epochs=2, simulate_at={"every_epochs": 1, "images": 32})
    found = {}
    for sample in (None, 0.3):
        records = Training(given[1], NumpyHost(), observer=make_observer(given, sample=sample)).run().records
        told = interpolate(records, record_every=1, fifo_depth=5)
        found[sample] = {one.policy: one.whole.network.cycles for one in told}
    for policy in ("pruned", "mask", "natural"):
        whole, sampled = found[None][policy], found[0.3][policy]
        assert (sampled.half_width or 0) > (whole.half_width or 0) > 0
        assert sampled.value != whole.value
        assert sampled.holds(whole.value)


def test_a_baseline_with_a_rate_of_its_own_is_refused() -> None:
    workload, plan = plan_tiny()
    with pytest.raises(InputError, match=r"a training prunes at one rate, its own; --prune"):
        MachineObserver(plan, workload, choose_contenders("ideal", "pruning@0.5", ()))


def test_policies_of_the_machine_bear_its_name() -> None:
    contenders = choose_contenders("sparsetrain", "natural,skipping-off,ideal", ())
    found = [one.key for one in list_observed(contenders, prunes=True)]
    assert found == [
        ("pruned", "sparsetrain"), ("natural", "sparsetrain"), ("dense", "sparsetrain-dense"), ("pruned", "ideal"),
        ("mask", "sparsetrain"),
    ]  # fmt: skip
    assert list_observed((), prunes=True) == ()


def test_a_machine_that_skips_nothing_has_no_further_policies() -> None:
    dense = load_architecture("dense", ())
    assert [one.key for one in list_observed(choose_contenders(dense, None, ()), prunes=True)] == [("dense", "dense")]
