"""How gradients were pruned, in the words and the table of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.pruning_grid import make_pruned_grid
from reports.pruning_words import name_pruning
from sim import simulate
from sim.iteration.run_result import RunResult
from workloads.document import YamlDocument
from workloads.presets import find_preset
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml


@pytest.fixture(scope="module")
def pruned() -> RunResult:
    """Simulate a layer of LeNet-5, pruned by the quantile, beside policies."""
    document = parse_yaml(find_preset("lenet5").read_text(), "lenet5.yaml")
    pruning = {"rate": 0.9, "model": "quantile", "threshold": "own_batch"}
    made = make_workload(YamlDocument("lenet5.yaml", {**document.data, "pruning": pruning}), Path(), batch=1)
    baselines = ["skipping-off", "mask", "pruning@0.7"]
    return simulate(made, "ideal", baseline=baselines, layers="conv2", steps=["gta"], verify=False)


def test_the_table_of_pruned_gradients_has_a_row_for_each_and_each_way_of_pruning(pruned: RunResult) -> None:
    grid = make_pruned_grid(pruned)
    assert grid is not None
    told = pruned.record["policies"]["ideal"]["pruning"]["gradients"]
    assert [row[:2] for row in grid.rows] == [
        *([node, "0.9 quantile"] for node in told),
        *([node, "0.7 quantile"] for node in told),
    ]
    first = next(iter(told.values()))
    assert grid.rows[0][4:] == [
        f"{first[name]:.3f}" for name in ("density_before", "aimed_density", "density_after")
    ]  # fmt: skip


def test_a_run_without_pruning_has_no_table_of_it() -> None:
    assert make_pruned_grid(simulate("lenet5", "ideal", batch=1, layers="conv2", steps=["gta"], verify=False)) is None


@pytest.mark.parametrize(
    ("pruning", "words"),
    [
        ({"rate": 0.9}, "0.9"),
        ({"rate": 0.75, "model": "normal", "for": "both"}, "0.75"),
        ({"rate": 0.9, "model": "x", "for": "gta"}, "0.9 x for GTA"),
        ({"method": "n_m", "n": 2, "m": 4, "for": "gta"}, "2:4 (biased) for GTA"),
        ({"thresholds": {}}, "as recorded"),
    ],
)
def test_what_differs_from_stochastic_pruning_by_the_normal_model_is_named(
    pruning: dict[str, object], words: str
) -> None:
    assert name_pruning(pruning) == words
