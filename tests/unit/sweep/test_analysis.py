from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from sim.sweep.analysis import find_pareto, measure_hypervolume, measure_sensitivity, select_pareto


def is_beaten(row: np.ndarray, rows: np.ndarray) -> bool:  # type: ignore[type-arg]
    return any((other <= row).all() and (other < row).any() for other in rows)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_front_is_what_no_other_point_beats(objectives: int) -> None:
    costs = np.random.default_rng([5, objectives]).integers(0, 6, size=(60, objectives)).astype(float)
    assert find_pareto(costs).tolist() == [not is_beaten(row, costs) for row in costs]


def test_points_without_a_value_are_never_on_the_front() -> None:
    costs = np.array([[1.0, np.nan], [2.0, 2.0], [3.0, 3.0]])
    assert find_pareto(costs).tolist() == [False, True, False]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_hypervolume_is_the_number_of_unit_cells_that_are_dominated(objectives: int) -> None:
    costs = np.random.default_rng([6, objectives]).integers(0, 8, size=(12, objectives)).astype(float)
    cells = itertools.product(range(8), repeat=objectives)
    dominated = sum(any((row <= cell).all() for row in costs) for cell in map(np.array, cells))
    assert measure_hypervolume(costs, np.full(objectives, 8.0)) == dominated


def make_frame() -> pd.DataFrame:
    """A full grid of cycles = a * b**2 * 1, whose logarithm is a sum."""
    rows = [(a, b, c, float(a * b**2)) for a in (1, 2, 4) for b in (1, 2) for c in ("x", "y")]
    frame = pd.DataFrame(rows, columns=["a", "b", "c", "cycles"])
    return frame.assign(workload="net", status="done")


def test_sensitivity_is_the_share_of_the_logarithms_variance() -> None:
    found = {one.parameter: one for one in measure_sensitivity(make_frame(), ["a", "b", "c"], ["cycles"])}
    variance_a = np.var(np.log([1, 2, 4]))
    variance_b = np.var(2 * np.log([1, 2]))
    whole = variance_a + variance_b
    assert found["a"].variance_fraction == pytest.approx(variance_a / whole, rel=1e-12)  # float64 sums
    assert found["b"].variance_fraction == pytest.approx(variance_b / whole, rel=1e-12)  # float64 sums
    assert found["c"].variance_fraction == pytest.approx(0, abs=1e-12)  # float64 sums
    assert found["a"].effect_ratio == pytest.approx(4 / 1, rel=1e-12)  # float64 sums
    assert (found["b"].least_at, found["b"].most_at, found["b"].levels) == ("1", "2", 2)


def test_many_values_are_cut_into_bins_of_equal_counts() -> None:
    frame = pd.DataFrame({"a": np.arange(1, 81), "cycles": np.arange(1, 81) * 1.0, "workload": "net", "status": "done"})
    (found,) = measure_sensitivity(frame, ["a"], ["cycles"])
    assert (found.levels, found.least_at) == (8, "1 to 10.875")
    assert 0.8 < found.variance_fraction < 1


def test_the_front_of_a_table_leaves_out_what_is_not_done_and_maximizes_what_is_better_large() -> None:
    frame = pd.DataFrame(
        {
            "workload": "net",
            "status": ["done", "done", "done", "failed"],
            "cycles": [3.0, 2.0, 4.0, 1.0],
            "speedup": [5.0, 2.0, 4.0, 9.0],
        }
    )
    assert select_pareto(frame, ["cycles", "speedup"]).index.tolist() == [1, 0]
