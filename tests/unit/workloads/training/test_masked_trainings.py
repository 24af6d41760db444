"""Weights that a workload's method leaves at zero stay there, whatever gradient, momentum and decay say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_trainings import OPERANDS, PRUNING, TRAINING, load_training, make_plan

from workloads.host import initial_parameters
from workloads.npz_file import write_npz
from workloads.training.hosts.numpy_host import NumpyHost
from workloads.training.loop import Training
from workloads.training.opening import TrainingChoice, open_training

KEEP = 0.25
REST = OPERANDS + PRUNING + TRAINING + f"sparsify: {{method: magnitude, keep: {KEEP}, layers: 'conv*'}}\n"
MASKED = {"conv1/weight", "conv2/weight"}


@pytest.mark.parametrize("optimiser", ["{method: adamw, learning_rate: 0.02}", ""], ids=["adamw", "sgd"])
def test_masked_weights_are_zero_from_the_beginning_to_the_end(tmp_path: Path, optimiser: str) -> None:
    rest = REST
    if optimiser:
        start = REST.index("optimiser: ")
        rest = REST[:start] + f"optimiser: {optimiser}" + REST[REST.index("\n", start) :]
    plan = make_plan(tmp_path, rest=rest)
    assert plan.masks is not None
    assert set(plan.masks) == MASKED
    begun, done = plan.begin(), Training(plan, NumpyHost()).run()
    drawn = initial_parameters(plan.network, plan.seed)
    for name, values in done.state.parameters.items():
        if name not in MASKED:
            assert name not in plan.masks
            assert (values != begun.parameters[name]).any()
            continue
        mask = plan.masks[name]
        assert mask.mean() == KEEP
        # The smallest magnitudes of the layer are those that are left out.
        assert np.abs(drawn[name][mask == 0]).max() <= np.abs(drawn[name][mask == 1]).min()
        np.testing.assert_array_equal(begun.parameters[name], drawn[name] * mask)
        assert not values[mask == 0].any()
        assert (values[mask == 1] != begun.parameters[name][mask == 1]).all()
    for record in done.records:
        weights = {one.layer: one.density for one in record.tensors if one.tensor == "weight"}
        assert (weights["conv1"], weights["conv2"]) == (KEEP, KEEP)
        assert weights["fc"] > KEEP


def test_a_mask_is_that_of_the_weights_that_are_begun_from(tmp_path: Path) -> None:
    workload = load_training(tmp_path, rest=REST)
    given = initial_parameters(make_plan(tmp_path, rest=REST).network, 123)
    write_npz(tmp_path / "begin.npz", given)
    plan = open_training(workload, TrainingChoice(weights=tmp_path / "begin.npz"))
    assert plan.masks is not None
    for name in MASKED:
        kept = np.abs(given[name]) >= np.sort(np.abs(given[name]), axis=None)[-int(KEEP * given[name].size)]
        np.testing.assert_array_equal(plan.masks[name] == 1, kept)
        np.testing.assert_array_equal(plan.begin().parameters[name], given[name] * kept)
    np.testing.assert_array_equal(plan.begin().parameters["fc/weight"], given["fc/weight"])


@pytest.mark.parametrize("sparsify", [
    "method: n_m, n: 2, m: 4", "method: n_m, n: 1, m: 3, along: row, mode: plant",
    "method: block, rows: 2, columns: 3, keep: 0.5", "method: filter, keep: 0.5", "method: channel, keep: 0.5",
    "method: shape, keep: 0.5, mode: plant", "method: kernel, keep: 0.5", "method: kernel_row, keep: 0.5",
    "method: random_connect, alpha: 0.5, freeze: true",
])  # fmt: skip
def test_a_structured_pattern_is_that_of_the_beginning_after_two_epochs(tmp_path: Path, sparsify: str) -> None:
    rest = OPERANDS + PRUNING + TRAINING.replace("epochs: 4", "epochs: 2")
    plan = make_plan(tmp_path, rest=f"{rest}sparsify: {{{sparsify}, layers: 'conv*'}}\n")
    assert plan.masks is not None
    assert set(plan.masks) == MASKED
    done = Training(plan, NumpyHost()).run()
    assert len(done.records) == 2
    for name in MASKED:
        # The input of the first convolution has one channel, which cannot be left out.
        assert plan.masks[name].mean() < 1 or name == "conv1/weight"
        np.testing.assert_array_equal(done.state.parameters[name] != 0, plan.masks[name] == 1)
