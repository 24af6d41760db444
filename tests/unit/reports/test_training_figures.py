"""The charts of a study of trainings show the means of its tables; all numbers are made up."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_training import EVIL, MadeUp

from reports.page import is_quantity
from reports.training_figures import (
    color_of,
    plot_accuracy,
    plot_densities,
    plot_kept,
    plot_loss,
    plot_threshold_ratios,
    plot_thresholds,
)
from reports.training_gain_figures import average_spent, list_spent, measure_ratios, plot_front, plot_ratios
from reports.training_page import build_training_page
from reports.training_results import TrainingResults, read_results

RATES = (0.0, 0.7, 0.9)


def read(made: MadeUp) -> TrainingResults:
    return read_results(made.study())


@pytest.fixture(scope="module")
def results() -> TrainingResults:
    return read(MadeUp(rates=RATES, seeds=(1, 2), epochs=3))


def find(figure: Any, part: str) -> list[Any]:
    return [trace for trace in figure.data if trace.meta["part"] == part]


def test_each_rate_has_one_colour_in_every_chart(results: TrainingResults) -> None:
    for figure in (plot_accuracy(results), plot_loss(results), plot_ratios(results, "cycles")):
        lines = [trace for trace in figure.data if trace.meta["part"] != "band"]
        assert {trace.name: trace.line.color for trace in lines} == {
            f"rate {rate:g}": color_of(results, rate) for rate in RATES
        }


def test_the_learning_curves_are_means_over_the_seeds_with_a_band_of_the_deviation(results: TrainingResults) -> None:
    epochs = results.tables["epochs"]
    figure = plot_accuracy(results)
    for rate, line in zip(RATES, find(figure, "test"), strict=True):
        scores = epochs[epochs["rate"] == rate].groupby("epoch")["test_accuracy"]
        assert list(line.x) == [1, 2, 3]
        assert list(line.y) == pytest.approx(scores.mean().tolist())
        (band,) = (one for one in find(figure, "band") if one.name == line.name)
        assert list(band.y[:3]) == pytest.approx((scores.mean() + scores.std()).tolist())
        assert list(band.y[3:][::-1]) == pytest.approx((scores.mean() - scores.std()).tolist())


def test_one_seed_has_lines_without_bands() -> None:
    figure = plot_accuracy(read(MadeUp(rates=RATES, seeds=(1,), epochs=2)))
    assert find(figure, "band") == []
    assert len(find(figure, "test")) == len(RATES)


def test_a_heat_map_holds_the_mean_density_of_each_layer_and_epoch(results: TrainingResults) -> None:
    tensors = results.tables["tensors"]
    figure = plot_densities(results, "grad_output")
    assert [trace.meta["choice"] for trace in figure.data] == ["0", "0.7", "0.9"]
    assert [trace.visible for trace in figure.data] == [True, False, False]
    for rate, trace in zip(RATES, figure.data, strict=True):
        rows = tensors[(tensors["rate"] == rate) & (tensors["tensor"] == "grad_output")]
        means = rows.groupby(["layer", "epoch"])["density"].mean()
        for place, layer in enumerate(trace.y):
            assert [value**2 for value in trace.z[place]] == pytest.approx(means[layer].tolist())
            assert list(trace.text[place]) == [f"{mean:.1%}" for mean in means[layer]]
    assert list(figure.data[0].y) == list(MadeUp().layers)


def test_thresholds_stand_beside_what_the_batches_give(results: TrainingResults) -> None:
    sites = results.tables["sites"]
    rows = sites[(sites["rate"] == 0.9) & (sites["node"] == "relu2")]
    figure = plot_thresholds(results)
    for part, column in (("predicted", "threshold"), ("the batch's own", "own_threshold")):
        (line,) = (one for one in find(figure, part) if one.meta["choice"] == "relu2" and one.name == "rate 0.9")
        assert list(line.y) == pytest.approx(rows.groupby("epoch")[column].mean().tolist())
        assert line.visible is False
    quotients = find(plot_threshold_ratios(results), "predicted over own")
    (line,) = (one for one in quotients if one.meta["choice"] == "relu2" and one.name == "rate 0.9")
    expected = (rows["threshold"] / rows["own_threshold"]).groupby(rows["epoch"]).mean()
    assert list(line.y) == pytest.approx(expected.tolist())


def test_what_was_aimed_at_stands_beside_what_is_left(results: TrainingResults) -> None:
    sites = results.tables["sites"]
    rows = sites[(sites["rate"] == 0.9) & (sites["epoch"] == 3)]
    figure = plot_kept(results)
    for part, column in (("aimed at", "aimed_density"), ("left", "density_after")):
        (marks,) = (one for one in find(figure, part) if one.name == "rate 0.9")
        means = rows.groupby("node", sort=False)[column].mean()
        assert dict(zip(marks.x, marks.y, strict=True)) == pytest.approx(means.to_dict())


def test_pruning_without_thresholds_has_no_charts_of_them() -> None:
    page = build_training_page(MadeUp(rates=(0.0, 0.5), seeds=(1,), epochs=2, has_thresholds=False).study())
    assert "No threshold decided on what was pruned." in page
    assert 'data-figure="kept"' in page
    assert 'data-figure="thresholds"' not in page
    assert "left of normal values" not in page


def test_the_front_leaves_out_what_is_less_accurate_for_more_energy(results: TrainingResults) -> None:
    spent = list_spent(results)
    assert len(spent) == 6
    spent.loc[spent["rate"] == 0.7, "accuracy"] = 0.1
    means = average_spent(spent).set_index("rate")
    assert means["is_front"].to_dict() == {0.0: True, 0.7: False, 0.9: True}


def test_the_front_marks_every_rate_and_the_dense_machine(results: TrainingResults) -> None:
    figure = plot_front(results)
    runs = results.tables["runs"]
    means = {trace.name: (trace.x[0], trace.y[0]) for trace in find(figure, "mean")}
    for rate in RATES:
        own = runs[runs["rate"] == rate]
        energy = own["pruned_energy_pj" if rate else "mask_energy_pj"].mean()
        assert means[f"rate {rate:g}"] == pytest.approx((energy / 1e9, own["test_accuracy"].mean()))
    assert [len(trace.x) for trace in find(figure, "training")] == [2, 2, 2]
    (dense,) = find(figure, "dense")
    assert dense.x[0] == pytest.approx(runs["dense_energy_pj"].iloc[0] / 1e9)


def test_ratios_by_epoch_lie_within_their_interval(results: TrainingResults) -> None:
    machines = results.tables["machines"]
    last = machines[(machines["rate"] == 0.9) & (machines["seed"] == 1) & (machines["epoch"] == 3)]
    cycles = last.set_index("policy")
    found = measure_ratios(results, 0.9, "conv_", "cycles").set_index("epoch").loc[3]
    assert found["mean"] == pytest.approx(cycles.loc["dense", "conv_cycles"] / cycles.loc["pruned", "conv_cycles"])
    assert found["low"] == pytest.approx(cycles.loc["dense", "conv_cycles"] / cycles.loc["pruned", "conv_cycles_high"])
    assert found["low"] < found["mean"] < found["high"]


def test_a_study_without_a_machine_says_so_and_has_no_charts_of_one() -> None:
    made = MadeUp(rates=(0.0,), seeds=(1,), epochs=2, simulates=False)
    page = build_training_page(made.study())
    for words in (
        "No iteration was executed on a machine",
        "Nothing was pruned, so that there are no thresholds.",
        "No chart of accuracy against energy: no iteration was executed on a machine with prices.",
        "No chart of speed-up: no iteration was executed on a machine.",
    ):
        assert words in page
    assert 'data-figure="accuracy"' in page
    assert 'data-figure="front"' not in page
    assert 'data-figure="thresholds"' not in page


def test_trainings_that_are_missing_are_told() -> None:
    made = MadeUp(rates=(0.0, 0.9), seeds=(1,), epochs=2)
    failed = {"rate0.9-seed2": "the training diverges"}
    record = {**made.record(), "rates": [0.0, 0.9], "seeds": [1, 2], "failures": failed}
    page = build_training_page(TrainingResults(record, made.tables()))
    assert "2 of 4 trainings have not ended: this page is of the others." in page
    assert "rate0.9-seed2: the training diverges" in page


def test_names_are_words_and_no_markup() -> None:
    made = MadeUp(rates=(0.0, 0.9), seeds=(1,), epochs=2, name=EVIL, layers=("conv1", EVIL, "fc"))
    assert "<img" not in build_training_page(made.study())


@pytest.mark.parametrize(
    ("cell", "is_number"),
    [("87.69 ±0.21", True), ("1.39 ±0.02x", True), ("33.0 ±2.4 mJ", True), ("1.5 J", True), ("-", True),
     ("62.0 %", True), ("any", False), ("3 of 3", False), ("−2.0 % to +2.0 %", False)],
)  # fmt: skip
def test_figures_with_what_they_may_be_off_by_stand_right(cell: str, is_number: bool) -> None:
    assert is_quantity(cell) is is_number
