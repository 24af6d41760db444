"""What is said of a study of trainings follows from its tables; all numbers are made up."""

from __future__ import annotations

import dataclasses
import math
from statistics import fmean, stdev

import numpy as np
import pandas as pd
import pytest
from made_up_training import EPOCH_ITERATIONS, MadeUp

from reports.training_results import (
    TrainingResults,
    measure_aims,
    measure_kept,
    read_results,
)
from reports.training_words import (
    describe_accuracy,
    describe_gain,
    describe_interpolation,
    describe_iterations,
    describe_prediction,
    describe_rates,
    describe_study,
    describe_terms,
    describe_unpruned,
    describe_update,
    write_saving,
    write_seconds,
    write_speed,
    write_width,
)
from workloads.errors import InputError
from workloads.pruners.normal import share_left


def read(made: MadeUp) -> TrainingResults:
    return read_results(made.study())


@pytest.fixture(scope="module")
def results() -> TrainingResults:
    return read(MadeUp(rates=(0.0, 0.7, 0.9), epochs=4))


def set_accuracies(results: TrainingResults, unpruned: list[float], pruned: list[float]) -> TrainingResults:
    """Give the study with other test accuracies at rates 0 and 0.9, in the order of the seeds."""
    runs = results.tables["runs"].copy()
    runs.loc[runs["rate"] == 0, "test_accuracy"] = unpruned
    runs.loc[runs["rate"] == 0.9, "test_accuracy"] = pruned
    return TrainingResults(results.record, {**results.tables, "runs": runs})


def test_accuracies_are_compared_seed_by_seed(results: TrainingResults) -> None:
    found = set_accuracies(results, [0.80, 0.90, 0.85], [0.79, 0.888, 0.842])
    gaps = [-0.01, -0.012, -0.008]
    # 4.303 is Student's quantile of two degrees of freedom.
    width = 4.303 * stdev(gaps) / math.sqrt(3)
    assert describe_accuracy(found, 0.9) == (
        f"At rate 0.9, test accuracy is 84.00 %, −{-100 * fmean(gaps):.2f} ± {100 * width:.2f} points beside training "
        "without pruning."
    )
    assert describe_accuracy(found, 0.0) == (
        "Without pruning (rate 0), test accuracy is 85.00 % after 4 epochs, the mean over 3 seeds."
    )


def test_a_difference_within_its_interval_is_not_called_one(results: TrainingResults) -> None:
    found = set_accuracies(results, [0.80, 0.80, 0.80], [0.80, 0.79, 0.805])
    assert describe_accuracy(found, 0.9).endswith(
        " points beside training without pruning, which these seeds do not tell from no change."
    )


def test_one_seed_tells_no_interval() -> None:
    words = describe_accuracy(read(MadeUp(rates=(0.0, 0.9), seeds=(1,), epochs=2)), 0.9)
    assert words.endswith(" points beside training without pruning (one seed, so that there is no interval).")
    assert "±" not in words


def test_a_rate_without_its_counterpart_is_compared_with_nothing() -> None:
    words = describe_accuracy(read(MadeUp(rates=(0.9,), seeds=(1, 2), epochs=2)), 0.9)
    assert words.endswith(" % after 2 epochs, the mean over 2 seeds.")


def test_without_test_images_the_training_images_are_told() -> None:
    found = read(MadeUp(rates=(0.0,), seeds=(1,), epochs=2, tests=False, simulates=False))
    accuracy = found.tables["epochs"]["accuracy"].iloc[-1]
    assert describe_study(found) == [
        f"Without pruning (rate 0), accuracy on the training images is {100 * accuracy:.2f} %; there are no test "
        "images.",
        "No iteration was executed on a machine, so that nothing is said of cycles and energy.",
    ]


def test_where_there_is_no_accuracy_the_loss_is_told() -> None:
    found = read(MadeUp(rates=(0.0,), seeds=(1, 2), epochs=2))
    epochs, runs = found.tables["epochs"], found.tables["runs"]
    none = {
        "epochs": epochs.assign(accuracy=math.nan, test_accuracy=math.nan),
        "runs": runs.assign(test_accuracy=math.nan),
    }
    loss = epochs.loc[epochs["epoch"] == 2, "test_loss"].mean()
    assert describe_accuracy(TrainingResults(found.record, {**found.tables, **none}), 0.0) == (
        f"Without pruning (rate 0), the loss on the test images is {loss:.4g}; no accuracy is told."
    )
    none["epochs"] = none["epochs"].assign(test_loss=math.nan)
    loss = epochs.loc[epochs["epoch"] == 2, "loss"].mean()
    assert f"the loss on the training images is {loss:.4g};" in describe_accuracy(
        TrainingResults(found.record, {**found.tables, **none}), 0.0
    )


def test_gains_are_those_of_the_totals_of_the_runs(results: TrainingResults) -> None:
    runs = results.tables["runs"]
    row = runs[runs["rate"] == 0.9].mean()
    assert describe_gain(results, 0.9) == (
        f"Over the whole training, convolutions run {row['conv_speedup']:.2f} times faster with "
        f"{row['conv_energy_ratio']:.2f} times less energy than on the dense machine; the whole network "
        f"{row['speedup']:.2f} times faster with {row['energy_ratio']:.2f} times less energy."
    )


def test_a_loss_is_told_as_one() -> None:
    assert write_speed(1.25) == "1.25 times faster"
    assert write_speed(0.8) == "1.25 times slower"
    assert write_saving(0.996) == "1.00 times less energy"
    assert write_saving(0.994) == "1.01 times more energy"
    assert write_saving(0.5) == "2.00 times more energy"


def test_terms_are_explained_where_they_occur(results: TrainingResults) -> None:
    assert describe_terms(results) == [
        "± is the 95 % interval of the mean difference between trainings of the same seed (3 seeds); the dense machine "
        "is the same one, skipping nothing."
    ]
    assert describe_terms(read(MadeUp(rates=(0.0,), seeds=(1,), epochs=2, simulates=False))) == []


def test_a_dense_machine_of_another_kind_is_named_and_one_that_is_not_there_is_not_told_of() -> None:
    results = read(MadeUp(rates=(0.0, 0.9), seeds=(1,), epochs=2))
    machines, runs = results.tables["machines"], results.tables["runs"]
    other = machines.replace({"machine": {"sparsetrain-dense": "eyeriss"}})
    named = dataclasses.replace(results, tables={**results.tables, "machines": other})
    assert describe_terms(named) == ["The dense machine is eyeriss, which skips nothing."]
    without = {
        "machines": machines[machines["policy"] != "dense"],
        "runs": runs.drop(columns=[name for name in runs if "speedup" in name or "energy_ratio" in name]),
    }
    assert describe_terms(dataclasses.replace(results, tables={**results.tables, **without})) == []


def test_an_iteration_costs_the_total_over_all_iterations(results: TrainingResults) -> None:
    total = results.total(0.9, "pruned", "cycles")
    assert total is not None
    cycles = total.value / (4 * EPOCH_ITERATIONS)
    assert results.iterations(0.9) == 4 * EPOCH_ITERATIONS
    (words,) = describe_iterations(results)
    assert words.startswith(
        "On average, one training iteration of 64 images takes, on the dense machine: 3,500,000 cycles "
    )
    assert f"at rate 0.9: {cycles:,.0f} cycles ({cycles / 8e8 * 1e3:.3g} ms)" in words


def test_the_interval_of_the_whole_training_is_told(results: TrainingResults) -> None:
    assert describe_interpolation(results) == [
        "The machine executed the first iteration of the first epoch, the first that is pruned, and the last of all, "
        "with the tensors of the training; cycles and energy of all other iterations are interpolated from the "
        "densities that the host counted. The interval of the whole training's cycles at rate 0.9: −2.0 % to +2.0 %."
    ]


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        (1, "the first iteration of the epoch, the first that"),
        (7, "the first iteration of epochs 1 and 6, the first that"),
        (16, "the first iteration of epochs 1, 6, 11 and 16, the first that"),
        (40, "the first iteration of epochs 1, 6, 11 and so on, the first that"),
    ],
)
def test_epochs_that_a_training_has_are_told_as_executed(epochs: int, words: str) -> None:
    (found,) = describe_interpolation(read(MadeUp(rates=(0.0, 0.9), seeds=(1,), epochs=epochs)))
    assert words in found


def test_a_training_that_ends_before_its_fifo_is_full_is_told(results: TrainingResults) -> None:
    epochs = results.tables["epochs"]
    few = TrainingResults(results.record, {**results.tables, "epochs": epochs.assign(iterations=5)})
    assert describe_unpruned(few, 0.9) == (
        "Nothing was pruned: the FIFO of thresholds is full after 5 iterations, and the training has 5."
    )
    assert describe_unpruned(few, 0.0) == ""
    assert "the first that is pruned" not in describe_interpolation(few)[0]
    more = TrainingResults(results.record, {**results.tables, "epochs": epochs.assign(iterations=6)})
    assert describe_unpruned(more, 0.9) == ""


def test_without_a_dense_machine_nothing_is_said_of_it(results: TrainingResults) -> None:
    machines = results.tables["machines"]
    without = TrainingResults(results.record, {**results.tables, "machines": machines[machines["policy"] != "dense"]})
    assert not any("dense" in words for words in describe_terms(without))
    is_dense = machines["policy"] == "dense"
    other = machines.assign(machine=machines["machine"].where(~is_dense, "ideal-dense"))
    found = TrainingResults(results.record, {**results.tables, "machines": other})
    assert describe_terms(found)[0].endswith("; the dense machine is ideal-dense, which skips nothing.")


def test_one_epoch_is_one() -> None:
    words = describe_accuracy(read(MadeUp(rates=(0.0,), seeds=(1,), epochs=1)), 0.0)
    assert words.endswith(" % after 1 epoch, the mean over 1 seed.")


def test_without_prices_no_energy_is_interpolated(results: TrainingResults) -> None:
    machines = results.tables["machines"].assign(energy_pj=None)
    found = TrainingResults(results.record, {**results.tables, "machines": machines})
    assert "; cycles of all other iterations are" in describe_interpolation(found)[0]
    # A dense machine without prices takes none from the others.
    machines = results.tables["machines"]
    priced = machines.assign(energy_pj=machines["energy_pj"].where(machines["policy"] != "dense"))
    found = TrainingResults(results.record, {**results.tables, "machines": priced})
    assert "; cycles and energy of all other iterations are" in describe_interpolation(found)[0]


def test_the_interval_of_the_whole_is_that_of_the_runs_where_they_tell_one(results: TrainingResults) -> None:
    """Ends of epochs, summed, are wider: their errors are not all alike."""
    total = results.total(0.9, "pruned", "cycles")
    assert total is not None
    ends = {"pruned_cycles_low": 0.99 * total.value, "pruned_cycles_high": 1.01 * total.value}
    found = TrainingResults(results.record, {**results.tables, "runs": results.tables["runs"].assign(**ends)})
    told = found.total(0.9, "pruned", "cycles")
    assert told is not None
    assert write_width(told) == "−1.0 % to +1.0 %"
    unknown = ends | {"pruned_cycles_low": [*[ends["pruned_cycles_low"]] * (len(results.tables["runs"]) - 1), None]}
    found = TrainingResults(results.record, {**results.tables, "runs": results.tables["runs"].assign(**unknown)})
    assert found.total(0.9, "pruned", "cycles") == total


def test_an_interval_that_is_not_known_is_not_told_as_one(results: TrainingResults) -> None:
    machines = results.tables["machines"].copy()
    machines.loc[machines["epoch"] == 2, [name for name in machines if name.endswith(("_low", "_high"))]] = None
    found = TrainingResults(results.record, {**results.tables, "machines": machines})
    total = found.total(0.9, "pruned", "cycles")
    assert total is not None
    assert (total.low, total.high) == (None, None)
    assert write_width(total) == "not known"
    assert describe_interpolation(found)[0].endswith("is not told, as no two iterations can be compared.")


def test_what_was_executed_whole_is_exact(results: TrainingResults) -> None:
    total = results.total(0.9, "dense", "cycles")
    assert total is not None
    assert total.is_exact
    assert write_width(total) == "exact"


def test_of_several_machines_under_a_policy_the_first_is_read(results: TrainingResults) -> None:
    machines = results.tables["machines"]
    other = machines.assign(machine="another", cycles=1.0, conv_cycles=1.0)
    found = TrainingResults(results.record, {**results.tables, "machines": pd.concat([machines, other])})
    assert found.total(0.9, "pruned", "cycles") == results.total(0.9, "pruned", "cycles")


def test_updates_of_the_weights_are_told_apart(results: TrainingResults) -> None:
    assert describe_update(results) == (
        f"The updates of the weights take {1000 * 4 * EPOCH_ITERATIONS:,} cycles and 37.6 uJ more over a whole "
        "training; they are in no other figure."
    )


@pytest.mark.parametrize(("rate", "kept"), [(0.0, 1.0), (0.7, 0.62), (0.8, 0.55), (0.9, 0.46), (0.99, 0.31)])
def test_the_expected_share_is_that_of_pruned_normal_values(rate: float, kept: float) -> None:
    assert share_left(rate) == pytest.approx(kept, abs=0.005)


def test_the_expected_share_is_what_drawing_normal_values_gives() -> None:
    generator = np.random.default_rng(1)
    values = np.abs(generator.standard_normal(200_000))
    bound = np.quantile(values, 0.9)
    stays = (values >= bound) | (generator.random(values.size) < values / bound)
    # Five standard deviations of a share of 200,000 draws.
    assert stays.mean() == pytest.approx(share_left(0.9), abs=5 * 0.5 / math.sqrt(values.size))


def test_what_pruning_leaves_is_counted_of_the_nonzeros_before(results: TrainingResults) -> None:
    sites = results.tables["sites"]
    last = sites[(sites["rate"] == 0.7) & (sites["epoch"] == 4)]
    expected = (last["density_after"] / last["density_before"]).groupby(last["node"], sort=False).mean()
    found = measure_kept(results, 0.7)
    assert found["node"].tolist() == expected.index.tolist()
    assert found["kept"].tolist() == pytest.approx(expected.tolist())
    aim = measure_aims(results)[0]
    assert aim.rate == 0.7
    for name in ("density_before", "aimed_density", "density_after"):
        assert getattr(aim, {"aimed_density": "aimed"}.get(name, name[8:])) == pytest.approx(last[name].mean())
    assert aim.kept == pytest.approx(expected.mean())
    below = (last["pruned"] + last["snapped"]) / last["density_before"]
    assert aim.below == pytest.approx(below.mean())


def test_groups_of_neighbours_have_no_threshold_to_be_below() -> None:
    found = read(MadeUp(rates=(0.0, 0.5), seeds=(1,), epochs=2, has_thresholds=False))
    assert measure_aims(found)[0].below is None
    assert describe_rates(found).startswith("Of every so many neighbours in a row of a gradient, ")
    assert describe_rates(read(MadeUp(rates=(0.0,), seeds=(1,), epochs=1))).startswith("The rate of pruning is ")


@pytest.mark.parametrize(
    ("pruning", "words"),
    [
        (None, "the sparsity that results is smaller than the rate."),
        ({"model": "normal", "for": "both"}, "the sparsity that results is smaller than the rate."),
        ({"model": "quantile", "for": "both"}, "rate. Thresholds are those of the model quantile."),
        ({"model": "normal", "for": "gta"}, "rate. GTA alone reads pruned gradients; GTW reads them as they were."),
    ],
)
def test_what_of_the_pruning_is_not_as_by_default_is_said(
    results: TrainingResults, pruning: dict[str, str] | None, words: str
) -> None:
    inputs = results.record["inputs"]
    workload = {**inputs["workload"], "pruning": pruning}
    told = dataclasses.replace(results, record={**results.record, "inputs": {**inputs, "workload": workload}})
    assert describe_rates(told).endswith(words)


def test_the_prediction_is_judged_after_the_first_epoch(results: TrainingResults) -> None:
    sites = results.tables["sites"]
    ratios = (sites["threshold"] / sites["own_threshold"])[sites["epoch"] > 1]
    assert describe_prediction(results) == (
        f"After the first epoch, the predicted threshold is {ratios.min():.2f} to {ratios.max():.2f} times the batch's "
        f"own, {ratios.median():.2f} times in the median (means of epochs, over all rates, seeds and gradients)."
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(2e-6, "2 us"), (3.5e-3, "3.5 ms"), (12.0, "12 s"), (119.0, "119 s"), (600.0, "10 min"), (7200.0, "2 h")],
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert write_seconds(seconds) == words


def test_a_folder_without_an_ended_training_is_refused(results: TrainingResults) -> None:
    with pytest.raises(InputError, match=r"^runs\.csv: holds no rows: no training of this folder has ended$"):
        read_results(TrainingResults(results.record, {**results.tables, "runs": pd.DataFrame()}))


def test_a_table_without_a_column_is_refused(results: TrainingResults) -> None:
    tables = {**results.tables, "sites": results.tables["sites"].drop(columns=["threshold", "snapped"])}
    with pytest.raises(
        InputError, match=r"^sites\.csv: has no column threshold, snapped; 'sparsetrain train' writes them$"
    ):
        read_results(TrainingResults(results.record, tables))


def test_what_the_threshold_model_expects_may_not_be_told(results: TrainingResults) -> None:
    sites = results.tables["sites"].assign(aimed_density=math.nan)
    aim = measure_aims(TrainingResults(results.record, {**results.tables, "sites": sites}))[0]
    assert (aim.rate, aim.aimed) == (0.7, None)
    assert aim.after > 0
