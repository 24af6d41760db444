"""N:M pruning along rows, against a slow selection, and its settings in a workload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.opening import open_operands
from workloads.operands import GradientFinish
from workloads.presets import find_preset
from workloads.pruners.row_groups import RowGroups, keep_largest
from workloads.pruning import PruningKey
from workloads.settings import GradientPruning, GroupPruning
from workloads.training.iteration import count_warmup_batches
from workloads.workload import make_workload
from workloads.yaml_file import parse_yaml


def keep_slowly(row: list[float], n: int, m: int) -> list[float]:
    left = [0.0] * len(row)
    for first in range(0, len(row), m):
        places = range(first, min(first + m, len(row)))
        for place in sorted(places, key=lambda place: (-abs(row[place]), place))[:n]:
            left[place] = row[place]
    return left


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 2), (1, 4), (3, 8), (31, 32)])
@pytest.mark.parametrize("width", [1, 3, 4, 9, 33])
def test_the_largest_of_neighbours_stay(n: int, m: int, width: int, dtype: type[np.floating[Any]]) -> None:
    # Small integers, so that many magnitudes are equal.
    gradient = np.random.default_rng(width).integers(-3, 4, (2, 5, width)).astype(dtype)
    before = gradient.copy()
    kept = keep_largest(gradient, RowGroups(n, m))
    assert kept.dtype == dtype
    np.testing.assert_array_equal(gradient, before)
    expected = [keep_slowly(row, n, m) for row in gradient.reshape(-1, width).tolist()]
    np.testing.assert_array_equal(kept.reshape(-1, width), expected)


def test_of_equal_magnitudes_the_first_stay_and_a_short_group_may_stay_whole() -> None:
    gradient = np.array([[2, -2, 2, 2, 0, 5, 0, 0, -7, 7]], dtype=np.float32)
    np.testing.assert_array_equal(keep_largest(gradient, RowGroups(2, 4)), [[2, -2, 0, 0, 0, 5, 0, 0, -7, 7]])


@pytest.mark.parametrize(("width", "share"), [(8, 4 / 8), (9, 5 / 9), (10, 6 / 10), (11, 6 / 11), (1, 1.0), (3, 2 / 3)])
def test_what_may_stay_is_counted_group_by_group(width: int, share: float) -> None:
    groups = RowGroups(2, 4)
    assert groups.share_left(width) == share
    full = np.ones((3, width), dtype=np.float32)
    assert np.count_nonzero(keep_largest(full, groups)) == 3 * width * share


def make_pruned(pruning: Any, preset: str = "lenet5", **fields: Any) -> Any:
    document = parse_yaml(find_preset(preset).read_text(), f"{preset}.yaml")
    return make_workload(YamlDocument(document.label, {**document.data, "pruning": pruning, **fields}), Path(), batch=2)


def test_pruning_without_a_method_is_stochastic() -> None:
    assert make_pruned({"rate": 0.9}).form.pruning == GradientPruning(method="stochastic", rate=0.9)
    made = make_pruned({"method": "n_m", "n": 2, "m": 4})
    assert made.form.pruning == GroupPruning(method="n_m", n=2, m=4)
    assert count_warmup_batches(made.form.pruning) == 0


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"method": "n_m", "n": 4, "m": 4}, "pruning: n must be below m, or nothing would be pruned, got 4 and 4"),
        ({"method": "n_m", "n": 0, "m": 4}, "pruning.n must be a whole number from 1 to 31, got 0"),
        ({"method": "n_m", "n": 2}, "pruning.m is missing; it must be a whole number from 2 to 32"),
        (
            {"method": "n_m", "n": 2, "m": 4, "rate": 0.9},
            "pruning: unknown field 'rate' (the fields are for, method, n, m)",
        ),
        (
            {"n": 2, "rate": 0.9},
            "pruning: unknown field 'n' "
            "(the fields are for, method, rate, fifo_depth, threshold, warmup_batches, model)",
        ),
        ({"method": "top"}, "pruning.method 'top' is not supported; the kinds are stochastic, n_m"),
        (5, "pruning must be a mapping of fields, got 5"),
    ],
)  # fmt: skip
def test_a_setting_that_is_not_allowed_is_refused(pruning: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_pruned(pruning)
    assert str(caught.value) == f"lenet5.yaml: {message}"


def test_the_host_leaves_of_neighbours_the_largest() -> None:
    given = {one.layer: one for one in open_operands(make_pruned({"method": "n_m", "n": 1, "m": 2})).layers}
    plain = {one.layer: one for one in open_operands(make_pruned(None)).layers}
    # The gradient of the loss is not pruned; that to the output of fc1 is the first that is.
    np.testing.assert_array_equal(given["fc3"].grad_output, plain["fc3"].grad_output)
    np.testing.assert_array_equal(given["fc2"].grad_output, keep_largest(plain["fc2"].grad_output, RowGroups(1, 2)))
    assert (given["fc2"].finish.tau, given["fc2"].finish.groups) == (0, RowGroups(1, 2))


def test_a_profile_has_no_neighbours_to_compare() -> None:
    profile = {"source": "profile", "name": "resnet34", "column": "last", "seed": 1}
    with pytest.raises(InputError) as caught:
        open_operands(make_pruned({"method": "n_m", "n": 2, "m": 4}, "resnet34", operands=profile))
    assert str(caught.value) == (
        "resnet34.yaml: pruning.method must be 'stochastic' for operands of a profile, which are drawn as densities "
        "say, got 'n_m'; source host has gradients whose neighbours can be compared"
    )


def test_a_gradient_is_pruned_in_one_way() -> None:
    with pytest.raises(ValueError, match=r"^a gradient is pruned at the threshold 1\.0 or 2:4, not both$"):
        GradientFinish(tau=1.0, key=PruningKey(1, "conv1", 0), groups=RowGroups(2, 4))
