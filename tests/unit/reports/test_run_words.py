"""What the terminal says of a run: gains and losses, kinds of sparsity, and where the operands are from."""

from __future__ import annotations

import dataclasses

import pytest

from reports.ablation import describe_policy
from reports.tables import describe_ratios
from sim.run import RunResult, simulate
from workloads.operand_choice import choose_operands
from workloads.settings import GradientPruning
from workloads.workload import load_workload

LAYER = "layer4.2.conv2"


def make_ratios(speedup: float, energy: float | None, dynamic: float | None) -> dict[str, dict[str, float | None]]:
    found = {"speedup": speedup, "energy_ratio": energy, "dynamic_energy_ratio": dynamic}
    return {"convolutions": {**found, "speedup": None}, "network": found}


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ((2.5, 1.5, 1.25), "whole network 2.50x faster, 1.50x less energy (1.25x without leakage)"),
        ((1.0, 1.0, 1.0), "whole network 1.00x faster, 1.00x less energy (1.00x without leakage)"),
        ((0.62, 0.88, 0.8), "whole network speed 0.62x, energy ratio 0.88x (0.80x without leakage)"),
        ((1.2, 0.88, 0.8), "whole network speed 1.20x, energy ratio 0.88x (0.80x without leakage)"),
        ((0.62, 1.1, 1.2), "whole network speed 0.62x, energy ratio 1.10x (1.20x without leakage)"),
        ((1.2, 1.01, 0.97), "whole network speed 1.20x, energy ratio 1.01x (0.97x without leakage)"),
        ((2.0, None, None), "whole network 2.00x faster"),
        ((0.5, None, None), "whole network speed 0.50x"),
    ],
)
def test_a_loss_is_not_called_a_gain(ratios: tuple[float, float | None, float | None], words: str) -> None:
    assert describe_ratios(make_ratios(*ratios)) == words


@pytest.fixture(scope="module")
def profiled() -> RunResult:
    """Simulate one layer of a profile, pruned in its workload, beside policies."""
    loaded = choose_operands(load_workload("resnet34"), operands="profile")
    form = loaded.form.model_copy(update={"pruning": GradientPruning(rate=0.9)})
    return simulate(
        dataclasses.replace(loaded, form=form),
        "ideal",
        baseline=["skipping-off", "natural", "mask", "pruning@0.7"],
        layers=LAYER,
        steps=["gta"],
        verify=False,
    )


def test_the_rate_of_pruning_is_told_of_profile_operands_too(profiled: RunResult) -> None:
    told = {machine.name: describe_policy(profiled, machine.name) for machine in profiled.machines}
    assert told == {
        "ideal": "zeros, mask, pruning 0.9",
        "ideal-dense": "none: dense",
        "ideal-natural": "zeros",
        "ideal-mask": "zeros, mask",
        "ideal-pruning-0.7": "zeros, mask, pruning 0.7",
    }


def test_every_row_names_the_source_of_its_machines_operands(profiled: RunResult) -> None:
    start = "synthetic tensors with the densities of the profile resnet34.csv (zeros_last), clustered zeros"
    assert dict(zip(profiled.frame["machine"], profiled.frame["operands"], strict=True)) == {
        "ideal": f"{start}, gradients pruned at 0.9 as normal numbers are, seed 1",
        "ideal-dense": f"{start}, gradients pruned at 0.9 as normal numbers are, seed 1",
        "ideal-natural": f"{start}, gradients not pruned, seed 1",
        "ideal-mask": f"{start}, gradients not pruned, seed 1",
        "ideal-pruning-0.7": f"{start}, gradients pruned at 0.7 as normal numbers are, seed 1",
    }


def test_passes_name_the_source_too() -> None:
    result = simulate("lenet5", baseline=None, verify=False)
    assert set(result.frame["operands"]) == {result.operand_source}
    assert set(result.frame["kind"]) == {"conv2d", "linear", "max_pool", "softmax_cross_entropy"}
