"""Cycles of a whole training from some of its iterations, on records that are made up so that the answer is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from sim.training.interpolation import Estimate, MachineTraining, find_target, interpolate, list_rows
from sim.training.observed import LEAST_SHARE, Row
from workloads.training.evaluation import Score
from workloads.training.record import EpochRecord, TensorRecord

PER_EPOCH = 10
LAYERS = ("conv", "fc")
KINDS = {"conv": "conv2d", "fc": "linear"}
Densities = Callable[[int], Mapping[str, float]]
Cost = Callable[[Mapping[str, float], str], float]


def constant(_: int) -> Mapping[str, float]:
    return {"input": 0.5, "weight": 1.0, "grad_output": 0.4}


def falling(number: int) -> Mapping[str, float]:
    return {"input": 0.5, "weight": 1.0, "grad_output": 0.8 - 0.02 * number}


def in_proportion(densities: Mapping[str, float], step: str) -> float:
    """Give what a machine takes whose cycles are in proportion to what the interpolation takes them to follow."""
    left = {"forward": densities["input"], "gta": densities["grad_output"] * densities["input"]}
    return 1000 * (0.02 + left.get(step, densities["grad_output"] * densities["input"]))


def level(_densities: Mapping[str, float], _step: str) -> float:
    return 700.0


def make_rows(densities: Mapping[str, float], cost: Cost, priced: bool) -> list[dict[str, Any]]:
    steps = [
        {
            "layer": layer, "kind": KINDS[layer], "step": step, "cycles": cost(densities, step),
            "energy_pj": 3 * cost(densities, step) if priced else None,
        }
        for layer in LAYERS
        for step in ("forward", "gta", "gtw")
    ]  # fmt: skip
    return [
        *steps,
        {"layer": "pool", "kind": "max_pool", "step": "forward", "cycles": 50, "energy_pj": 7.0 if priced else None},
        {"layer": "fc", "kind": "update", "step": "update", "cycles": 9, "energy_pj": 2.0 if priced else None},
    ]


def observe(number: int, densities: Mapping[str, float], cost: Cost, policy: str, priced: bool) -> dict[str, Any]:
    layers = {layer: dict(densities) for layer in LAYERS}
    return {
        "iteration": number,
        "densities": {"unpruned": layers} if policy in ("dense", "mask", "natural") else {"as_trained": layers},
        "gradient_sources": {},
        "machines": [{"policy": policy, "machine": "m", "rows": make_rows(densities, cost, priced)}],
        "failures": [],
    }


def make_records(
    epochs: int,
    observed: Sequence[int],
    densities: Densities = constant,
    cost: Cost = in_proportion,
    *,
    policy: str = "mask",
    priced: bool = False,
) -> list[EpochRecord]:
    records = []
    for epoch in range(epochs):
        numbers = range(epoch * PER_EPOCH, (epoch + 1) * PER_EPOCH)
        met = [densities(number) for number in numbers]
        means = {tensor: sum(one[tensor] for one in met) / PER_EPOCH for tensor in met[0]}
        records.append(
            EpochRecord(
                epoch=epoch + 1, iterations=numbers.stop, learning_rate=0.1, loss=1.0, accuracy=0.5,
                test=Score(10, 1.0, 0.5 + 0.1 * epoch),
                tensors=tuple(TensorRecord(layer, tensor, means[tensor]) for layer in LAYERS for tensor in means),
                sites=(),
                observations=tuple(
                    observe(number, densities(number), cost, policy, priced)
                    for number in observed if number in numbers
                ),
            )
        )  # fmt: skip
    return records


def sum_truth(epochs: int, densities: Densities, cost: Cost) -> float:
    return sum(
        row["cycles"]
        for number in range(epochs * PER_EPOCH)
        for row in make_rows(densities(number), cost, False)
        if row["kind"] != "update"
    )


def interpolate_one(records: Sequence[EpochRecord], **options: Any) -> MachineTraining:
    (found,) = interpolate(records, record_every=1, **options)
    return found


@pytest.mark.parametrize("cost", [in_proportion, level])
def test_where_nothing_changes_the_total_is_exact(cost: Cost) -> None:
    found = interpolate_one(make_records(3, (0, 10, 20, 29), cost=cost)).whole.network.cycles
    assert found.value == pytest.approx(sum_truth(3, constant, cost), rel=1e-12)
    assert found.half_width == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("cost", [in_proportion, level])
def test_what_densities_do_between_two_iterations_is_known_from_the_records(cost: Cost) -> None:
    """Cycles that follow densities do so within an epoch, and those that do not follow them stay."""
    found = interpolate_one(make_records(3, (0, 10, 20, 29), falling, cost)).whole.network.cycles
    assert found.value == pytest.approx(sum_truth(3, falling, cost), rel=1e-9)


def test_a_drift_of_the_cost_itself_is_interpolated_and_widens_the_interval() -> None:
    def drifting(densities: Mapping[str, float], step: str) -> float:
        return in_proportion(constant(0), step) * (1 + densities["weight"])

    def densities(number: int) -> Mapping[str, float]:
        return {**constant(number), "weight": 1 - 0.02 * number}

    found = interpolate_one(make_records(3, (0, 10, 20, 29), densities, drifting)).whole.network.cycles
    assert found.value == pytest.approx(sum_truth(3, densities, drifting), rel=1e-3)
    assert found.half_width is not None
    assert 0.01 < found.half_width / found.value < 0.5


def test_updates_are_told_apart() -> None:
    found = interpolate_one(make_records(2, (0, 10, 19), priced=True)).whole.update
    assert (found.cycles.value, found.cycles.half_width) == (20 * 9, 0.0)
    assert found.energy_pj is not None
    assert found.energy_pj.value == pytest.approx(20 * 2.0)


def test_convolutions_are_summed_alone_and_energy_as_cycles_are() -> None:
    found = interpolate_one(make_records(2, (0, 10, 19), priced=True)).whole
    assert found.network.energy_pj is not None
    assert found.convolutions.energy_pj is not None
    convolutions = sum(in_proportion(constant(0), step) for step in ("forward", "gta", "gtw"))
    assert found.convolutions.cycles.value == pytest.approx(20 * convolutions, rel=1e-12)
    assert found.convolutions.energy_pj.value == pytest.approx(60 * convolutions, rel=1e-12)
    assert found.network.energy_pj.value == pytest.approx(20 * (6 * convolutions + 7), rel=1e-12)


def test_without_prices_there_are_cycles_alone() -> None:
    found = interpolate_one(make_records(2, (0, 10, 19)))
    assert found.whole.network.energy_pj is None
    assert list_rows([found])[0]["energy_pj"] is None


def test_iterations_before_the_fifo_is_full_are_not_pruned() -> None:
    """Their cost is told by the first iteration, and that of the others by those behind the border."""

    def steep(number: int) -> Mapping[str, float]:
        return {**constant(number), "grad_output": 0.6 if number < 4 else 0.1}

    def cost(densities: Mapping[str, float], step: str) -> float:
        # Not in proportion: interpolated across the border it would be wrong.
        return 100 + 5000 * (densities["grad_output"] > 0.5) + in_proportion(densities, step)

    records = make_records(2, (0, 4, 10, 19), steep, cost, policy="pruned")
    truth = sum_truth(2, steep, cost)
    assert interpolate_one(records, fifo_depth=4).whole.network.cycles.value == pytest.approx(truth, rel=1e-9)
    assert interpolate_one(records).whole.network.cycles.value != pytest.approx(truth, rel=0.02)


def test_unpruned_gradients_follow_what_the_next_layer_reads() -> None:
    """Of a training that prunes, the recorded gradients are not those that `mask` meets."""
    records = make_records(1, (0, 9))
    for one in records[0].observations:
        one["densities"]["as_trained"] = one["densities"]["unpruned"]
        one["gradient_sources"]["conv"] = {"layer": "fc", "ratio": 0.3}
    found = interpolate_one(records).whole.convolutions.cycles.value
    met = {**constant(0), "grad_output": 0.3 * 0.5}
    assert found == pytest.approx(PER_EPOCH * sum(in_proportion(met, step) for step in ("forward", "gta", "gtw")))


def test_the_dense_machine_follows_no_densities() -> None:
    found = interpolate_one(make_records(3, (0, 10, 20, 29), falling, level, policy="dense")).whole.network.cycles
    assert found.low == found.value == found.high == pytest.approx(sum_truth(3, falling, level), rel=1e-12)


def test_one_iteration_tells_no_interval_of_a_training_of_more() -> None:
    found = interpolate_one(make_records(1, (0,))).whole.network.cycles
    assert (found.low, found.high, found.half_width) == (None, None, None)
    assert found.holds(1.0)


def test_without_executed_iterations_nothing_is_told() -> None:
    assert interpolate(make_records(2, ()), record_every=1) == ()


def test_epochs_sum_to_the_whole() -> None:
    found = interpolate_one(make_records(3, (0, 10, 20, 29), falling))
    assert sum(one.network.cycles.value for one in found.epochs) == pytest.approx(found.whole.network.cycles.value)
    assert [round(one.network.cycles.value) for one in found.sums] == [
        round(sum(one.network.cycles.value for one in found.epochs[: number + 1])) for number in range(3)
    ]


def test_rows_of_the_table_have_the_ends_of_intervals() -> None:
    rows = list_rows(interpolate(make_records(2, (0, 10, 19), falling, level, priced=True), record_every=1))
    assert [(row["epoch"], row["policy"], row["machine"]) for row in rows] == [(1, "mask", "m"), (2, "mask", "m")]
    assert set(rows[0]) == {"epoch", "policy", "machine"} | {
        f"{prefix}{name}"
        for prefix in ("", "conv_")
        for name in ("cycles", "cycles_low", "cycles_high", "energy_pj", "energy_low", "energy_high")
    } | {"update_cycles", "update_energy_pj"}
    assert all(row["cycles_low"] <= row["cycles"] <= row["cycles_high"] for row in rows)


def test_the_first_epoch_that_reaches_an_accuracy_is_found() -> None:
    records = make_records(3, (0, 10, 20, 29), falling)
    trainings = interpolate(records, record_every=1)
    target = find_target(records, trainings, 0.6)
    assert target is not None
    assert target.epochs == 2
    assert target.machines["mask", "m"] == trainings[0].sums[1]
    assert find_target(records, trainings, 0.9) is None


def test_time_follows_from_the_clock() -> None:
    found = interpolate_one(make_records(2, (0, 10, 19))).whole
    assert found.seconds(800.0).value == pytest.approx(found.network.cycles.value / 8e8)


def test_an_estimate_holds_its_ends() -> None:
    one = Estimate(10.0, 9.0, 11.0)
    assert [one.holds(value) for value in (8.9, 9.0, 11.0, 11.1)] == [False, True, True, False]


def test_gradients_that_are_not_recorded_widen_the_interval() -> None:
    """Noise of theirs is none that the records tell of, so that it counts as any other."""

    def noisy(number: int) -> Mapping[str, float]:
        return {**constant(number), "grad_output": 0.4 + 0.1 * (number % 20 == 0)}

    recorded, derived = (make_records(6, (0, 10, 20, 30, 40, 50, 59), noisy) for _ in range(2))
    for record in derived:
        for one in record.observations:
            one["densities"]["as_trained"] = one["densities"]["unpruned"]
    widths = [interpolate_one(records).whole.network.cycles.half_width for records in (recorded, derived)]
    assert widths[0] is not None
    assert widths[1] is not None
    assert widths[1] > 2 * widths[0]


def test_gta_follows_the_copy_of_a_gradient_that_is_pruned_for_it_alone() -> None:
    densities = {"conv": {"input": 0.5, "weight": 1.0, "grad_output": 0.4, "grad_output_for_gta": 0.1}}
    shares = {
        (step, policy): Row("conv", "conv2d", step).share(densities, policy) - LEAST_SHARE
        for step in ("gta", "gtw")
        for policy in ("pruned", "natural")
    }
    assert shares == pytest.approx(
        {("gta", "pruned"): 0.05, ("gta", "natural"): 0.1, ("gtw", "pruned"): 0.2, ("gtw", "natural"): 0.2}
    )


@pytest.mark.parametrize("policy", ["dense", "mask"])
def test_what_a_sample_leaves_open_widens_the_interval_of_all_iterations(policy: str) -> None:
    records = make_records(3, [0, 10, 20, 29], densities=falling, cost=level, policy=policy)
    for record in records:
        for one in record.observations:
            (machine,) = one["machines"]
            cycles = sum(row["cycles"] for row in machine["rows"] if row["kind"] != "update")
            machine["network"] = {"cycles": cycles, "cycles_ci95": 0.1 * cycles}
            machine["convolutions"] = {"cycles": 3 * 700.0}
    (found,) = interpolate(records, record_every=1)
    whole = found.whole.network.cycles
    assert whole.half_width == pytest.approx(0.1 * whole.value)
    assert found.whole.convolutions.cycles.half_width == pytest.approx(0.0, abs=1e-6)
    assert found.whole.update.cycles.half_width == pytest.approx(0.0, abs=1e-9)
