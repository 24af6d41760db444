"""The options of `simulate` that change where operands come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli.command import SMALL, Outcome, run_command, write_small

from workloads.host import initial_parameters
from workloads.workload import load_workload

QUICK = (
    "--arch",
    "ideal",
    "--baseline",
    "none",
    "--layers",
    "conv1",
    "--steps",
    "forward",
    "--no-verify",
    "--out",
    "run",
)
PROFILE = "layer,tensor,density\nrelu1,output,0.5\nfc,grad_output,1\n"


def source_of(outcome: Outcome) -> str:
    assert outcome.exit_code == 0, outcome.stderr
    return next(line for line in outcome.stdout.splitlines() if line.startswith("Operands: "))


def test_synthetic_operands_take_the_place_of_the_workloads(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", "lenet5", "--operands", "synthetic", "--seed", "5", *QUICK)
    assert source_of(outcome) == "Operands: synthetic normal values (unrepresentative: random zeros), seed 5."
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["workload"]["operands"]["density"] == {"input": 0.5, "grad_output": 0.5, "weight": 1.0}


def test_the_shipped_profile_of_a_preset_is_taken(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", "resnet34", "--operands", "profile", *QUICK)
    assert source_of(outcome) == (
        "Operands: synthetic tensors with the densities of the profile resnet34.csv (zeros_last), clustered zeros, "
        "gradients not pruned, seed 1."
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["operand_facts"]["densities"][0] == {
        "layer": "conv1", "tensor": "input", "density": 1.0, "rule": "network input"
    }  # fmt: skip


def test_a_profile_of_ones_own_is_simulated_and_verified(tmp_path: Path) -> None:
    text = SMALL.partition("operands:")[0]
    (tmp_path / "net.yaml").write_text(
        text.replace("  - {name: flat", "  - {name: relu2, type: relu}\n  - {name: flat")
        + "operands: {source: profile, path: own.csv, seed: 1, clustering: {}}\n"
    )
    (tmp_path / "own.csv").write_text(PROFILE + "relu2,output,0.4\n")
    outcome = run_command(tmp_path, "simulate", "net.yaml", "--out", "run")
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["verdict"] == "verified"
    again = run_command(tmp_path, "simulate", "run/workload.yaml", "--out", "again")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "again" / "steps.csv").read_bytes() == (tmp_path / "run" / "steps.csv").read_bytes()


def test_other_data_and_weights_are_taken(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", train_images=images, train_labels=np.arange(6))
    np.savez(tmp_path / "w.npz", **initial_parameters(load_workload("lenet5").network, 3))  # type: ignore[arg-type]
    outcome = run_command(tmp_path, "simulate", "lenet5", "--data", "npz:own.npz", "--weights", "w.npz", *QUICK)
    assert source_of(outcome) == "Operands: one host training iteration on 4 images of own, weights of w.npz, seed 1."
    operands = json.loads((tmp_path / "run" / "run.json").read_text())["workload"]["operands"]
    assert operands["dataset"] == f"npz:{tmp_path.resolve() / 'own.npz'}"
    assert operands["weights"] == str(tmp_path.resolve() / "w.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--operands", "host"),
         "operands must be synthetic or profile, got 'host'; other sources are named in the workload's file"),
        (("--data", "cifar:x"),
         "dataset 'cifar:x' has the unknown kind 'cifar' (allowed are a name (fashion_mnist), "
         "a path, or KIND:PATH with one of the kinds cifar10, cifar100, idx, images, npz)"),
        (("--weights", "none.npz"),
         "small.yaml: weights cannot be changed: the operands are synthetic, not the host's"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_end_in_one_sentence(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), *options)
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: {message}\n")
    assert outcome.files == ("small.yaml",)


def test_a_baseline_that_moves_the_iteration_is_told_on_stderr(tmp_path: Path) -> None:
    steps = ("--arch", "ideal", "--layers", "fc3", "--steps", "gtw", "--no-verify", "--out", "run")
    chosen = ("--baseline", "mask,pruning@0.9", "--weights", "random")
    outcome = run_command(tmp_path, "simulate", "lenet5", *chosen, *steps)
    assert outcome.exit_code == 0
    assert outcome.stderr == (
        "sparsetrain: a baseline fills its FIFO of thresholds in 6 warm-up iterations, so all machines simulate "
        "iteration 6 and its images, not 0; without that baseline figures differ\n"
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["operand_facts"]["iteration"] == 6
