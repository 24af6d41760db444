"""Recordings that torch made, stored, are what the host computes from the same weights and images, without torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim import simulate
from sim.results.rows import make_frame
from workloads.host import FLOAT64, run_iteration
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.pruning import PruningKey, prune
from workloads.recorded import save_recorded
from workloads.workload import Workload, load_workload

STORED = Path(__file__).parent / "stored"
NAMES = sorted(path.stem for path in STORED.glob("*.yaml"))
PLAIN = [name for name in NAMES if not name.endswith("_pruned")]
# Torch and the host compute in float64; what is stored is rounded to float32 once.
RELATIVE, ABSOLUTE = 2.0**-23, 1e-12


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored recording, and what it was made from."""

    workload: Workload
    arrays: dict[str, Any]

    def list_arrays(self, kind: str) -> dict[str, Any]:
        """Give the parameters, or autograd's gradients to them, in float64."""
        start = f"{kind}/"
        return {
            name.removeprefix(start): values.astype(np.float64)
            for name, values in self.arrays.items()
            if name.startswith(start)
        }


def load(name: str) -> Stored:
    with np.load(STORED / f"{name}-inputs.npz") as arrays:
        return Stored(load_workload(STORED / f"{name}.yaml"), dict(arrays))


def run_host(stored: Stored) -> Any:
    """Run the host's iteration, pruning as the recording says that the training did."""
    pruning = getattr(stored.workload.form.operands, "pruning", None)

    def hook(node: str, gradient: Any, _: Any) -> Any:
        tau = 0.0 if pruning is None else pruning.thresholds.get(node, 0.0)
        return prune(gradient, tau, PruningKey(pruning.seed, node, pruning.iteration)) if tau else gradient

    return run_iteration(
        stored.workload.network, stored.list_arrays("parameter"), stored.arrays["images"].astype(np.float64),
        stored.arrays["labels"], seed=1, options=FLOAT64, hook=hook,
    )  # fmt: skip


def list_operands(workload: Workload) -> list[Operands]:
    return list(open_operands(workload).layers)


def test_recordings_of_four_networks_and_of_a_pruned_training_are_stored() -> None:
    assert NAMES == ["mobilenetv2", "resnet18", "small", "small_pruned", "transformer"]


@pytest.mark.parametrize("name", NAMES)
def test_operands_are_those_of_the_host(name: str) -> None:
    stored = load(name)
    for ours, theirs in zip(list_operands(stored.workload), run_host(stored).operands(), strict=True):
        assert (ours.layer, ours.shape, ours.steps) == (theirs.layer, theirs.shape, theirs.steps)
        assert (ours.mask is None, ours.relu_follows) == (theirs.mask is None, theirs.relu_follows)
        pairs = [(ours.input, theirs.input), (ours.weight, theirs.weight), (ours.grad_output, theirs.grad_output)]
        pairs += zip(ours.summed, theirs.summed, strict=True)
        pairs += zip(ours.weight_summed, theirs.weight_summed, strict=True)
        for mine, other in pairs:
            np.testing.assert_array_equal(mine != 0, other != 0)
            np.testing.assert_allclose(mine, other, rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_of_the_host_are_those_of_autograd(name: str) -> None:
    stored = load(name)
    theirs = stored.list_arrays("gradient")
    found = run_host(stored).grads
    assert set(found) == set(theirs)
    for key, gradient in found.items():
        np.testing.assert_allclose(gradient, theirs[key], rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.parametrize("name", NAMES)
def test_cycles_are_those_of_the_hosts_own_iteration(name: str, tmp_path: Path) -> None:
    stored = load(name)
    ours = simulate(stored.workload)
    assert ours.is_correct
    (tmp_path / f"{name}.yaml").write_text((STORED / f"{name}.yaml").read_text())
    save_recorded(tmp_path / f"{name}.npz", run_host(stored).operands())
    theirs = simulate(tmp_path / f"{name}.yaml")
    pd.testing.assert_frame_equal(*(make_frame(run.steps) for run in (ours, theirs)))


def test_a_stored_training_that_prunes_has_thresholds_and_its_machine_prunes() -> None:
    run = simulate(STORED / "small_pruned.yaml", baseline=None)
    assert run.is_correct
    assert make_frame(run.steps)["pruning_pj"].sum() > 0
    assert any(operands.finish.tau for operands in list_operands(load("small_pruned").workload))
