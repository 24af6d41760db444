"""Tables from made-up records: means, deviations, the target accuracy, and what it takes to reach it."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import pandas as pd
import pytest

from reports.console import Console
from reports.training_tables import print_training_table
from sim.training.request import RunKey
from sim.training.tables import TARGET_MARGIN, RunRecord, make_tables
from workloads.training.evaluation import Score
from workloads.training.record import EpochRecord, SiteRecord, TensorRecord

POLICIES = ("dense", "natural", "mask", "pruned")
# What each policy takes in the first epoch; each later one takes a tenth more.
CYCLES = {"dense": 1000.0, "natural": 800.0, "mask": 500.0, "pruned": 250.0}
GROWTH = 1.1


def make_record(epoch: int, accuracy: float | None, density: float) -> EpochRecord:
    """Make the record of an epoch of two layers, whose gradients have this density on average."""
    tensors = [
        TensorRecord(layer, tensor, share)
        for layer, of_gradient in (("conv", density / 2), ("fc", density * 1.5))
        for tensor, share in (("input", 0.9), ("weight", 1.0), ("grad_output", of_gradient))
    ]
    site = SiteRecord("relu", "fc", "behind_mask", 0.25, 0.5, 0.75, 0.8, 0.4, 0.4, 0.1)
    test = None if accuracy is None else Score(20, 2 - epoch / 10, accuracy)
    return EpochRecord(epoch, 5 * epoch, 0.1 / epoch, 2.0 / epoch, 0.5, test, tuple(tensors), (site,))


def make_run(
    rate: float, seed: int, accuracies: Sequence[float | None], density: float = 0.4, **others: Any
) -> RunRecord:
    records = tuple(make_record(epoch, accuracy, density) for epoch, accuracy in enumerate(accuracies, 1))
    return RunRecord(RunKey(rate, seed), records, **others)


def list_machines(epochs: int, faster: float = 1.0) -> tuple[dict[str, Any], ...]:
    """Make the rows of a machine under every policy, and of another one that is dense."""
    return tuple(
        {
            "epoch": epoch, "policy": policy, "machine": machine,
            "cycles": size, "energy_pj": 10 * size, "conv_cycles": size / 2, "conv_energy_pj": 4 * size,
        }
        for policy, machine in (*((one, "mine") for one in POLICIES), ("dense", "other"))
        for epoch in range(1, epochs + 1)
        for size in [CYCLES[policy] * GROWTH ** (epoch - 1) / (faster if machine == "mine" else 1e6)]
    )  # fmt: skip


def sum_cycles(policy: str, epochs: int) -> float:
    return sum(CYCLES[policy] * GROWTH**epoch for epoch in range(epochs))


def row_of(frame: pd.DataFrame, **keys: Any) -> dict[str, Any]:
    """Give the one row with these keys."""
    for name, value in keys.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_rows_are_ordered_by_rates_and_seeds_whatever_order_they_come_in() -> None:
    runs = [make_run(rate, seed, [0.5, 0.6]) for rate in (0.9, 0.0, 0.5) for seed in (2, 1)]
    tables = make_tables(runs)
    keys = [(rate, seed) for rate in (0.0, 0.5, 0.9) for seed in (1, 2)]
    assert list(tables["runs"][["rate", "seed"]].itertuples(index=False, name=None)) == keys
    assert list(tables["epochs"][["rate", "seed", "epoch"]].itertuples(index=False, name=None)) == [
        (*key, epoch) for key in keys for epoch in (1, 2)
    ]
    assert len(tables["tensors"]) == len(keys) * 2 * 6
    assert len(tables["sites"]) == len(keys) * 2
    for name, frame in make_tables(runs[::-1]).items():
        pd.testing.assert_frame_equal(frame, tables[name], check_exact=True)


def test_rows_of_epochs_tensors_and_gradients_are_what_is_recorded() -> None:
    tables = make_tables([make_run(0.5, 7, [0.25, None])])
    assert row_of(tables["epochs"], epoch=1) == {
        "rate": 0.5, "seed": 7, "epoch": 1, "iterations": 5, "learning_rate": 0.1, "loss": 2.0, "accuracy": 0.5,
        "test_loss": 1.9, "test_accuracy": 0.25, "gradient_density": pytest.approx(0.4),
    }  # fmt: skip
    assert pd.isna(row_of(tables["epochs"], epoch=2)["test_accuracy"])
    assert row_of(tables["tensors"], epoch=2, layer="fc", tensor="grad_output")["density"] == pytest.approx(0.6)
    site = row_of(tables["sites"], epoch=1)
    assert [site[name] for name in ("node", "writer", "place")] == ["relu", "fc", "behind_mask"]
    assert [site[name] for name in ("threshold", "own_threshold", "sigma", "pruned", "snapped")] == [
        0.25, 0.5, 0.75, 0.4, 0.1
    ]  # fmt: skip


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_a_test_loss_that_overflows_is_left_empty(loss: float) -> None:
    record = dataclasses.replace(make_record(1, 0.25, 0.4), test=Score(20, loss, 0.25))
    row = row_of(make_tables([RunRecord(RunKey(0.0, 1), (record, make_record(2, 0.5, 0.4)))])["epochs"], epoch=1)
    assert pd.isna(row["test_loss"])
    assert row["test_accuracy"] == 0.25


def test_means_and_deviations_are_those_over_the_seeds() -> None:
    accuracies, densities = [0.5, 0.75, 0.875], [0.25, 0.5, 0.125]
    runs = [
        make_run(0.5, seed, [0.1, accuracy], density)
        for seed, (accuracy, density) in enumerate(zip(accuracies, densities, strict=True))
    ]
    row = row_of(make_tables([*runs, make_run(0.9, 0, [0.1, 0.625])])["table"], rate=0.5)
    assert row["seeds"] == 3
    assert row["test_accuracy"] == pytest.approx(fmean(accuracies))
    assert row["test_accuracy_deviation"] == pytest.approx(stdev(accuracies))
    assert row["gradient_density"] == pytest.approx(fmean(densities))
    assert row["gradient_density_deviation"] == pytest.approx(stdev(densities))
    alone = row_of(make_tables([*runs, make_run(0.9, 0, [0.1, 0.625])])["table"], rate=0.9)
    assert (alone["seeds"], alone["test_accuracy"]) == (1, 0.625)
    assert pd.isna(alone["test_accuracy_deviation"])


def test_the_target_is_half_a_point_below_the_mean_without_pruning() -> None:
    runs = [make_run(0.0, 1, [0.2, 0.7]), make_run(0.0, 2, [0.6, 0.8]), make_run(0.9, 1, [0.76, 0.1, 0.9])]
    tables = make_tables(runs)
    assert TARGET_MARGIN == 0.005
    assert tables["runs"]["target_accuracy"].tolist() == [pytest.approx(0.745)] * 3
    reached = tables["runs"]["epochs_to_target"].tolist()
    assert pd.isna(reached[0])
    # The first epoch behind which it is reached counts, whatever follows.
    assert reached[1:] == [2, 1]
    assert tables["table"]["reached"].tolist() == [1, 1]
    assert tables["table"]["epochs_to_target"].tolist() == [2, 1]


def test_an_accuracy_that_is_the_target_reaches_it() -> None:
    runs = [make_run(0.0, 1, [0.75]), make_run(0.5, 1, [0.75 - TARGET_MARGIN]), make_run(0.6, 1, [0.7449])]
    reached = make_tables(runs)["runs"]["epochs_to_target"].tolist()
    assert reached[:2] == [1, 1]
    assert pd.isna(reached[2])


def test_without_a_training_that_is_not_pruned_or_not_tested_there_is_no_target() -> None:
    for runs in ([make_run(0.5, 1, [0.5])], [make_run(0.0, 1, [None]), make_run(0.5, 1, [0.5])]):
        tables = make_tables(runs)
        assert tables["runs"]["target_accuracy"].isna().all()
        assert tables["runs"]["epochs_to_target"].isna().all()
        assert set(tables["table"]["reached"]) == {0}


def test_figures_of_machines_are_totals_and_to_the_target_sums_of_the_first_epochs() -> None:
    runs = [
        make_run(0.0, 1, [0.5, 0.5, 0.5], machines=list_machines(3)),
        make_run(0.9, 1, [0.1, 0.6, 0.1], machines=list_machines(3)),
        make_run(0.9, 2, [0.1, 0.1, 0.1], machines=list_machines(3, faster=2)),
    ]
    tables = make_tables(runs)
    pruned = row_of(tables["runs"], rate=0.9, seed=1)
    for policy in POLICIES:
        assert pruned[f"{policy}_cycles"] == pytest.approx(sum_cycles(policy, 3))
        assert pruned[f"{policy}_energy_pj"] == pytest.approx(10 * sum_cycles(policy, 3))
        assert pruned[f"{policy}_conv_cycles"] == pytest.approx(sum_cycles(policy, 3) / 2)
        assert pruned[f"{policy}_conv_energy_pj"] == pytest.approx(4 * sum_cycles(policy, 3))
        assert pruned[f"{policy}_energy_to_target_pj"] == pytest.approx(10 * sum_cycles(policy, 2))
    assert pruned["energy_to_target_pj"] == pruned["pruned_energy_to_target_pj"]
    for name in ("speedup", "energy_ratio", "conv_speedup", "conv_energy_ratio"):
        assert pruned[name] == pytest.approx(CYCLES["dense"] / CYCLES["pruned"])
    # Without pruning nothing but the masks is left to skip.
    plain = row_of(tables["runs"], rate=0.0)
    assert plain["speedup"] == pytest.approx(CYCLES["dense"] / CYCLES["mask"])
    assert plain["energy_to_target_pj"] == pytest.approx(10 * CYCLES["mask"])
    # The seed that does not reach the target costs nothing to it, and is counted.
    row = row_of(tables["table"], rate=0.9)
    assert (row["seeds"], row["reached"]) == (2, 1)
    assert row["energy_to_target_pj"] == pytest.approx(10 * sum_cycles("pruned", 2))
    assert pd.isna(row["energy_to_target_pj_deviation"])
    assert row["speedup_deviation"] == pytest.approx(0, abs=1e-12)
    assert len(tables["machines"]) == 3 * 5 * 3


def test_a_training_that_did_not_end_is_a_row_and_part_of_no_mean() -> None:
    whole = [make_run(0.0, 1, [0.5, 0.75]), make_run(0.9, 1, [0.5, 0.7])]
    cut = [make_run(0.0, 2, [0.25], has_ended=False), make_run(0.9, 2, [0.3], has_ended=False),
           make_run(0.99, 1, [0.1], has_ended=False)]  # fmt: skip
    tables, expected = make_tables([*whole, *cut]), make_tables(whole)
    assert tables["runs"]["epochs"].tolist() == [2, 1, 2, 1, 1]
    pd.testing.assert_frame_equal(tables["table"].iloc[:2], expected["table"], check_exact=True)
    assert set(tables["runs"]["target_accuracy"]) == {0.75 - TARGET_MARGIN}
    last = row_of(tables["table"], rate=0.99)
    assert (last["seeds"], last["reached"]) == (0, 0)
    assert pd.isna(last["test_accuracy"])


def test_a_rate_at_which_no_training_ended_can_be_printed() -> None:
    runs = [make_run(0.0, 1, [0.5], machines=list_machines(1)), make_run(0.9, 1, [0.1], has_ended=False)]
    out = io.StringIO()
    print_training_table(Console(file=out, width=140), make_tables(runs)["table"], 140)
    (row,) = [line for line in out.getvalue().splitlines() if " 0.9 " in line]
    assert row.replace("│", " ").split() == ["0.9", "0", *["-"] * 8, "0", "of", "0"]
