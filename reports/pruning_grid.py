"""The table of pruned gradients: the density aimed at beside the one achieved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports.fitted_tables import Column, Grid, Kind
from reports.pruning_words import name_pruning
from sim.iteration.run_result import RunResult


def make_pruned_grid(result: RunResult) -> Grid | None:
    """Tabulate every gradient that the host pruned, once for each way of pruning; None where it pruned none.

    Densities are shares of all elements of a gradient.
    """
    columns = [
        Column("gradient to the\noutput of", Kind.NAME),
        Column("pruning", Kind.WORD),
        Column("threshold", rank=2),
        Column("its own\nthreshold", rank=3),
        Column("density\nbefore", rank=1),
        Column("aimed\nat"),
        Column("achieved"),
    ]
    grid = Grid(columns, "Pruned gradients: density aimed at and achieved")
    for pruning in list_prunings(result):
        for node, told in pruning["gradients"].items():
            thresholds = [f"{told[name]:.4g}" for name in ("threshold", "own_threshold")]
            densities = [f"{told[name]:.3f}" for name in ("density_before", "aimed_density", "density_after")]
            grid.add([node, name_pruning(pruning), *thresholds, *densities])
    return grid if grid.rows else None


def list_prunings(result: RunResult) -> Iterator[Mapping[str, Any]]:
    """List each way in which the host pruned gradients for a machine, once."""
    seen: list[Mapping[str, Any]] = []
    for policy in result.record["policies"].values():
        pruning = policy["pruning"]
        if pruning is not None and pruning.get("gradients") and pruning not in seen:
            seen.append(pruning)
            yield pruning
