"""Profiles of trainings: rates and epochs of a table, and gradients that were measured behind pruning."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.workloads.profile_networks import PLAIN, make_profile, network, write

from sim.iteration.policies import AS_GIVEN, parse_policy
from workloads import profile as profile_module
from workloads.errors import InputError
from workloads.normal_pruning import thin_at_rate, thin_to
from workloads.opening import open_operands
from workloads.operand_choice import choose_operands
from workloads.profile import read_profile
from workloads.profile_table import ProfileRow, list_endings, write_profile
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruning import PruningKey, prune
from workloads.reference import run_gta
from workloads.settings import Clustering, GradientPruning
from workloads.sources.profile import ProfileOperands
from workloads.workload import Workload, make_workload
from workloads.yaml_file import dump_yaml, parse_yaml

MEASURED = {"conv1/input": 1.0, "conv2/input": 0.5, "fc1/input": 0.6, "fc2/input": 0.4}
GRADIENTS = {"conv1/grad_output": 0.2, "conv2/grad_output": 0.05, "fc1/grad_output": 0.1, "fc2/grad_output": 1.0}
SITES = {"relu1/grad_output": 0.2, "flat/grad_output": 0.15, "drop/grad_output": 0.1}
RESIDUAL = """\
name: residual
batch: 2
input: {channels: 3, height: 16, width: 16}
layers:
  - {name: conv1, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: add, type: add, inputs: [conv2, relu1]}
  - {name: relu2, type: relu}
  - {name: conv3, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: relu3, type: relu}
  - {name: gap, type: global_avg_pool}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
"""


def make_rows(rates: Iterable[float] = (0.0, 0.9), epochs: Iterable[int] = (1, 2, 3)) -> list[ProfileRow]:
    """Make rows whose densities tell their rate and their epoch."""
    return [
        ProfileRow(*name.split("/"), rate, epoch, density * (1 - rate / 2) * (1 - epoch / 100))
        for rate in rates
        for epoch in epochs
        for name, density in {**MEASURED, **GRADIENTS, **SITES}.items()
    ]  # type: ignore[arg-type]


def load(folder: Path, more: str = "", operands: str = "", text: str = PLAIN) -> Workload:
    write_profile(folder / "own.csv", make_rows(), "Made up.")
    written = f"{text}operands: {{source: profile, path: own.csv, seed: 1{operands}}}\n{more}"
    return make_workload(parse_yaml(written, "net.yaml"), folder)


def measured(figures: dict[str, float], text: str = PLAIN, **options: Any) -> ProfiledNetwork:
    return ProfiledNetwork(network(text), make_profile(figures), 1, pruning_rate=0.9, **options)


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    write_profile(
        path, [ProfileRow("conv1", "input", 0.9, 3, 1 / 3), ProfileRow("a.b", "weight", 0.0, 3, 1)], "One.\nTwo."
    )
    assert path.read_text() == (
        "# One.\n# Two.\nlayer,tensor,rate,epoch,density\nconv1,input,0.9,3,0.3333\na.b,weight,0,3,1\n"
    )
    profile = read_profile(path, rate=0.9)
    assert profile.densities == {("conv1", "input"): 0.3333}
    assert (profile.choice, profile.has_rates) == ("density at rate 0.9, epoch 3", True)


@pytest.mark.parametrize("rate", [0.0, 0.123456789, 1 - 2**-30, 1e-7])
def test_each_rate_is_read_back_as_itself(tmp_path: Path, rate: float) -> None:
    path = tmp_path / "own.csv"
    rows = [ProfileRow("conv1", "input", other, 1, density) for other, density in ((rate, 0.5), (rate + 1e-10, 0.25))]
    write_profile(path, rows, "Made up.")
    assert read_profile(path, rate=rate).densities == {("conv1", "input"): 0.5}


@pytest.mark.parametrize(
    ("epoch", "factor", "choice"),
    [
        (None, 0.97, "density at rate 0.9, epoch 3"), ("last", 0.97, "density at rate 0.9, epoch 3"),
        ("first", 0.99, "density at rate 0.9, epoch 1"), (2, 0.98, "density at rate 0.9, epoch 2"),
        ("mean", 0.98, "density at rate 0.9, mean of 3 epochs"),
    ],
)  # fmt: skip
def test_an_epoch_is_a_number_the_first_the_last_or_the_mean(
    tmp_path: Path, epoch: Any, factor: float, choice: str
) -> None:
    write_profile(tmp_path / "own.csv", make_rows(), "Made up.")
    profile = read_profile(tmp_path / "own.csv", rate=0.9, epoch=epoch)
    # Four digits are written.
    assert profile.density("conv2", "input") == pytest.approx(0.5 * 0.55 * factor, rel=1e-3)
    assert len(profile.densities) == len({**MEASURED, **GRADIENTS, **SITES})
    assert profile.choice == choice


@pytest.mark.parametrize(
    ("text", "rate", "epoch", "message"),
    [
        ("layer,tensor,rate,epoch,density\na,input,0,1,1\na,input,0.9,1,1\na,input,0.7,1,1\n", 0.8, None,
         ": has no rows of rate 0.8; its rates of pruning are 0, 0.7, 0.9"),
        ("layer,tensor,rate,epoch,density\na,input,0,1,1\na,input,0,4,1\na,input,0.9,2,1\n", 0.0, 2,
         ": has no rows of epoch 2 of rate 0; its epochs are 1, 4, and first, last and mean"),
        ("layer,tensor,epoch,density\na,input,1,1\n", 0.0, 2,
         ": has no rows of epoch 2; its epochs are 1, and first, last and mean"),
        ("layer,tensor,rate,density\na,input,0,1\n", 0.0, "last",
         ": has no column 'epoch', so that epoch last cannot be chosen"),
        ("layer,tensor,epoch,density\na,input,1,1\nb,input,1,1\na,input,2,1\n", 0.0, "mean",
         ": 'b' input has no row of epoch 2, so that the mean of all epochs cannot be taken"),
        ("layer,tensor,rate,epoch,density\na,input,0,1,1\na,input,0.5,1,1\na,input,0,1,1\n", 0.0, None,
         ", line 4: 'a' input of rate 0 in epoch 1 stands in line 2 already"),
        ("layer,tensor,rate,density\na,input,1,1\n", 0.0, None,
         ", line 2: rate must be a number of at least 0 and below 1, got '1'"),
        ("layer,tensor,rate,density\na,input,high,1\n", 0.0, None,
         ", line 2: rate must be a number of at least 0 and below 1, got 'high'"),
        ("layer,tensor,epoch,density\na,input,1.5,1\n", 0.0, None,
         ", line 2: epoch must be a whole number of at least 0, got '1.5'"),
        ("layer,tensor,rate,epoch,density\n", 0.0, None, ": has no rows, and so neither rates nor epochs"),
    ],
)  # fmt: skip
def test_rows_that_are_not_there_are_refused_with_those_that_are(
    tmp_path: Path, text: str, rate: float, epoch: Any, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_profile(path, rate=rate, epoch=epoch)
    assert str(error.value) == f"{path}{message}"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ProfileRow("a", "input", None, 1, 0.5)], "'a' input in epoch 1 needs a rate, an epoch"),
        ([ProfileRow("a", "input", 0.0, 1, 1.5)], "and a density from 0 to 1, got 1.5"),
        ([ProfileRow("a", "input", 0.0, 1, 0.5)] * 2, "'a' input of rate 0 in epoch 1 stands twice"),
    ],
)
def test_rows_that_could_not_be_read_back_are_not_written(tmp_path: Path, rows: list[ProfileRow], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_profile(tmp_path / "own.csv", rows, "")
    assert list(tmp_path.iterdir()) == []


def test_the_rate_of_the_operands_is_the_workloads_rate_of_pruning(tmp_path: Path) -> None:
    loaded = load(tmp_path, operands=", rate: 0.9, epoch: first")
    assert loaded.form.pruning == GradientPruning(rate=0.9, threshold="own_batch")
    stream = open_operands(loaded)
    assert stream.headline == (
        "synthetic tensors with the densities of the profile own.csv (density at rate 0.9, epoch 1), independent "
        "zeros, gradients pruned at 0.9 as they were measured, seed 1"
    )
    assert stream.pruned == {"relu1", "flat", "drop"}
    again = make_workload(parse_yaml(dump_yaml(loaded.resolved()), "again.yaml"), tmp_path)
    assert again.resolved() == loaded.resolved()
    assert open_operands(again).headline == stream.headline
    assert load(tmp_path, operands=", rate: 0").form.pruning is None
    assert load(tmp_path, "pruning: {rate: 0.9}\n", ", rate: 0.9").form.pruning == GradientPruning(rate=0.9)


def test_without_a_rate_the_rows_of_the_workloads_pruning_are_taken(tmp_path: Path) -> None:
    for more, rate in (("", 0.0), ("pruning: {rate: 0.9}\n", 0.9)):
        rows = open_operands(load(tmp_path, more)).facts["densities"]
        found = next(row["density"] for row in rows if (row["layer"], row["tensor"]) == ("conv1", "grad_output"))
        assert found == pytest.approx(0.2 * (1 - rate / 2) * 0.97, rel=1e-3)
    with pytest.raises(InputError, match=r"own.csv: has no rows of rate 0.5; its rates of pruning are 0, 0.9$"):
        open_operands(load(tmp_path, "pruning: {rate: 0.5}\n"))


def test_two_rates_in_one_workload_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, "pruning: {rate: 0.7}\n", ", rate: 0.9")
    assert str(error.value) == (
        "net.yaml, line 16: operands.rate: must be pruning.rate, 0.7, got 0.9; leave one of them out"
    )


def test_a_rate_of_a_table_without_rates_is_refused(tmp_path: Path) -> None:
    loaded = load(tmp_path, operands=", rate: 0.9")
    path = write(tmp_path, "layer,tensor,density\nconv2,input,0.5\n")
    with pytest.raises(InputError) as error:
        open_operands(loaded)
    assert str(error.value) == (
        f"{path}: has no column 'rate', so that operands.rate 0.9 cannot be chosen; pruning: {{rate: ...}} prunes its "
        "gradients as normal numbers are"
    )


@pytest.mark.parametrize(("policy", "rate"), [("natural", 0.0), ("mask", 0.0), ("pruning@0.9", 0.9)])
@pytest.mark.parametrize("operands", ["", ", rate: 0.9", ", rate: 0"])
def test_a_policy_takes_the_rows_of_its_own_rate(tmp_path: Path, policy: str, rate: float, operands: str) -> None:
    loaded = load(tmp_path, operands=operands)
    assert AS_GIVEN.apply(loaded).form == loaded.form
    chosen = parse_policy(policy)
    assert chosen is not None
    applied = chosen.apply(loaded)
    assert f"density at rate {rate:g}, epoch 3" in open_operands(applied).headline
    source = applied.form.operands
    assert source is not None
    assert source.stated_rate in (None, rate)


def test_measured_gradients_are_drawn_with_their_densities_and_pruned_no_further() -> None:
    for clustering in (None, Clustering(image_variance=0.0)):
        made = measured({**MEASURED, **GRADIENTS, **SITES}, clustering=clustering)
        for name in ("conv1", "conv2", "fc1", "fc2"):
            shares = []
            for seed in range(40):
                other = ProfiledNetwork(made.network, made.profile, seed, clustering, 0.9)
                values = other.image_gradient(name, 0)
                shares.append(np.count_nonzero(values) / values.size)
            expected = GRADIENTS[f"{name}/grad_output"]
            # Five standard errors of the mean over independent seeds; dense tensors have none.
            assert abs(np.mean(shares) - expected) <= 5 * np.std(shares) / sqrt(40) + 1e-12


def test_the_ppu_prunes_what_it_writes_to_the_measured_density() -> None:
    made = measured({**MEASURED, **GRADIENTS, **SITES, "conv2/grad_output": 1.0})
    finish = {operands.layer: operands.finish for operands in made.operands()}
    assert [name for name in finish if finish[name].tau] == ["conv2", "fc1", "fc2"]
    operands = made.layer("conv2")
    pruned = prune(run_gta(operands), operands.finish.tau, PruningKey(1, "relu1", 0))
    # Masked by an input of density 0.5; 2048 elements of sums of 72 products know a share to 0.02.
    assert np.count_nonzero(np.where(operands.mask, pruned, 0)) / pruned.size == pytest.approx(0.2, abs=0.02)


def test_where_nothing_was_pruned_away_the_pruning_unit_still_works() -> None:
    made = measured({**MEASURED, **GRADIENTS, "relu1/grad_output": 0.5})
    operands = made.layer("conv2")
    assert operands.finish.tau > 0
    assert operands.finish.key is not None
    pruned = prune(run_gta(operands), operands.finish.tau, operands.finish.key)
    # The mask, of density 0.5, is all that makes zeros; a threshold of a thousandth of a deviation hardly does.
    assert np.count_nonzero(pruned) / np.count_nonzero(run_gta(operands)) > 0.995


def test_a_gradient_that_a_branch_has_stored_is_as_dense_as_it_was_measured() -> None:
    text = RESIDUAL
    figures = {"conv2/input": 0.5, "conv3/input": 0.4, "relu3": 0.5, "fc/input": 1.0, "relu2/grad_output": 0.1}
    gradients = {f"{name}/grad_output": 0.3 for name in ("conv1", "conv2", "conv3", "fc")}
    (summed,) = measured(figures | gradients, text).layer("conv2").summed
    # 4096 elements of density 0.1: five standard deviations.
    assert np.count_nonzero(summed) / summed.size == pytest.approx(0.1, abs=5 * sqrt(0.1 * 0.9 / summed.size))


def test_the_output_of_a_relu_is_as_dense_as_the_input_of_the_layer_that_reads_it() -> None:
    figures = {"conv2/input": 0.5, "conv3/input": 0.4, "fc/input": 1.0}
    gradients = {f"{name}/grad_output": 0.3 for name in ("conv1", "conv2", "conv3", "fc")}
    made = measured(figures | gradients, RESIDUAL)
    read = made.image_input("conv3", 0)
    (summed,) = made.layer("conv2", (0,)).summed
    assert not summed[0][read == 0].any()


@pytest.mark.parametrize("left", [1e-4, 0.01, 0.2, 0.46, 0.9, 0.999])
def test_the_threshold_that_leaves_a_share_leaves_it(left: float) -> None:
    numbers = np.random.default_rng(1).standard_normal(400_000, dtype=np.float32)
    tau = thin_to(left).deviations
    uniform = np.random.default_rng(2).random(numbers.shape)
    share = float(np.mean((np.abs(numbers) >= tau) | (uniform * tau < np.abs(numbers))))
    assert share == pytest.approx(left, abs=5 * sqrt(left * (1 - left) / numbers.size))


def test_a_rate_and_the_share_that_it_leaves_give_one_threshold() -> None:
    for rate in (0.1, 0.7, 0.9, 0.99):
        aimed = thin_at_rate(rate)
        assert thin_to(aimed.left).deviations == pytest.approx(aimed.deviations, rel=1e-9)
    assert thin_to(1.7).left == 1.0


def test_the_shipped_profile_of_a_training_is_chosen_by_its_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_module, "PROFILE_DIRECTORY", tmp_path)
    write_profile(tmp_path / "plain.csv", make_rows(), "Made up.")
    assert list_endings(tmp_path / "plain.csv") == ()
    chosen = choose_operands(load(tmp_path), operands="profile")
    expected = ProfileOperands(source="profile", name="plain", seed=1, clustering=Clustering())
    assert chosen.form.operands == expected
    assert "plain.csv (density at rate 0, epoch 3)" in open_operands(chosen).headline
