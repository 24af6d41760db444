"""Studies whose trainings execute iterations on the machine: what their tables say of cycles and energy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from small_trainings import EPOCHS, OPERANDS, PRUNING, TRAINING, write_training

from sim import read_training, train
from sim.step import values
from sim.step.verify import Verification, verify_step
from workloads.arrays import Float32Array
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.shapes import Step


def test_tables_have_cycles_and_energy_of_every_epoch_and_the_intervals_of_all(tmp_path: Path) -> None:
    found = train(write_training(tmp_path), out=tmp_path / "out", prune=[0, 0.5], simulate_images=4)
    machines, runs = found.machines, found.runs.set_index("rate")
    counts = machines.groupby(["rate", "policy"]).size().to_dict()
    assert counts == {
        (rate, policy): EPOCHS
        for rate, policies in ((0.0, ("dense", "mask", "natural")), (0.5, ("dense", "mask", "natural", "pruned")))
        for policy in policies
    }
    for rate, own in ((0.0, "mask"), (0.5, "pruned")):
        row, mine = runs.loc[rate], machines[(machines["rate"] == rate) & (machines["policy"] == own)]
        for figure, end in (("cycles", "cycles"), ("energy_pj", "energy")):
            assert row[f"{own}_{figure}"] == pytest.approx(mine[figure].sum(), rel=1e-9)
            assert row[f"{own}_{end}_low"] < row[f"{own}_{figure}"] < row[f"{own}_{end}_high"]
            # Epochs err by themselves in part, so that all of them are known better than their ends say.
            assert row[f"{own}_{end}_high"] < mine[f"{end}_high"].sum()
        assert row["speedup_low"] < row["speedup"] < row["speedup_high"]
        assert row["speedup_low"] == pytest.approx(row["dense_cycles"] / row[f"{own}_cycles_high"])
        assert row["dense_cycles_low"] == row["dense_cycles"] == row["dense_cycles_high"]
    assert math.isnan(runs.loc[0.0, "pruned_cycles"])  # type: ignore[arg-type]
    again = read_training(tmp_path / "out")
    assert again.machines["cycles"].tolist() == pytest.approx(machines["cycles"].tolist())


@pytest.mark.parametrize("baseline", ["none", "ideal-dense"])
def test_machines_that_are_all_dense_are_executed_once_whatever_is_pruned(tmp_path: Path, baseline: str) -> None:
    found = train(
        write_training(tmp_path), "dense", out=tmp_path / "out", prune=[0, 0.5], simulate_images=4, baseline=baseline
    )
    machines = found.machines
    assert set(machines["policy"]) == {"dense"}
    assert len(machines) == 2 * EPOCHS * (1 if baseline == "none" else 2)
    assert machines.groupby("machine")["cycles"].nunique().eq(1).all()
    assert machines["cycles"].equals(machines["cycles_low"])


@pytest.mark.parametrize(("scale", "is_wrong"), [(1.0, False), (1.5, True)])
def test_what_a_machine_computes_wrong_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float, is_wrong: bool
) -> None:
    def verify_scaled(operands: Operands, step: Step, output: Float32Array, *rest: float) -> Verification:
        return verify_step(operands, step, output * np.float32(scale), *rest)

    monkeypatch.setattr(values, "verify_step", verify_scaled)
    found = train(write_training(tmp_path), "ideal", out=tmp_path / "out", prune=[0], simulate_images=4)
    assert found.record["status"] == ("failed" if is_wrong else "done")
    told = list(found.failures.values())
    assert [words.partition(" is wrong: layer 'conv")[0] for words in told] == (
        ["what a machine computed of iteration 1"] if is_wrong else []
    )
    assert all(words.endswith(" further steps") for words in told)
    assert len(found.table) == 1
    assert read_training(tmp_path / "out").failures == found.failures


def test_a_study_that_goes_on_tells_of_machines_what_it_told(tmp_path: Path) -> None:
    workload = write_training(tmp_path)
    first, again = (train(workload, "ideal", out=tmp_path / "out", prune=[0.5]) for _ in range(2))
    assert again.machines.equals(first.machines)


def test_images_that_do_not_divide_the_batch_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    message = r"simulate_at.images must divide the 8 images of a batch, which the machine works in equal parts, got 3$"
    with pytest.raises(InputError, match=message):
        train(write_training(tmp_path), "ideal", out=tmp_path / "out", simulate_images=3)
    given = TRAINING + "  simulate_at: {every_epochs: 2, images: 3}\n"
    with pytest.raises(InputError, match=message):
        train(write_training(tmp_path, rest=OPERANDS + PRUNING + given), "ideal", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_batch_is_cut_into_parts_that_divide_it(tmp_path: Path) -> None:
    given = TRAINING + "  simulate_at: {every_epochs: 2, images: 4}\n"
    found = train(
        write_training(tmp_path, rest=OPERANDS + PRUNING + given), "ideal", out=tmp_path / "out", batch=10, epochs=2
    )
    (training,) = found.trainings
    assert {one["images"] for record in training.records for one in record.observations} == {2}
    assert [one["iteration"] for record in training.records for one in record.observations] == [0, 3, 7]


def test_numbers_that_overflow_are_told_as_that_where_the_machine_meets_them_first(tmp_path: Path) -> None:
    huge = TRAINING.replace("learning_rate: 0.1", "learning_rate: 1.0e+30")
    workload = write_training(tmp_path, rest=OPERANDS + "pruning: {rate: 0.5, fifo_depth: 1}\n" + huge)
    with pytest.raises(
        InputError, match=r"^the training diverges in iteration 2 of epoch 1: the loss of network 'small'"
    ):
        train(workload, "ideal", out=tmp_path / "out", simulate_images=4)
