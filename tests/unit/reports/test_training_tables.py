"""The table of a study of trainings fits a terminal and says what is known."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest

from reports.console import Console
from reports.training_tables import make_training_grid, print_training_table


def make_row(rate: float, **figures: float | None) -> dict[str, Any]:
    """Make the row of a rate: made-up figures, each with a deviation of a hundredth of it."""
    known: dict[str, Any] = {"test_accuracy": 0.85, "gradient_density": 0.25, **figures}
    spread = {f"{name}_deviation": None if value is None else value / 100 for name, value in known.items()}
    return {"rate": rate, "seeds": 3, "reached": 3, **known, **spread}


def make_table() -> pd.DataFrame:
    machine = {"conv_speedup": 2.4, "conv_energy_ratio": 1.9, "speedup": 2.0, "energy_ratio": 1.5}
    rows = [
        make_row(0, **machine, epochs_to_target=8.0, energy_to_target_pj=1.5e12),
        make_row(0.9, **machine, epochs_to_target=9.5, energy_to_target_pj=0.81e12),
        {**make_row(0.99, **machine, epochs_to_target=None, energy_to_target_pj=None), "reached": 0},
    ]
    return pd.DataFrame(rows)


def print_table(table: pd.DataFrame, width: int) -> str:
    file = io.StringIO()
    print_training_table(Console(file=file, width=10_000), table, width, "lenet5")
    return file.getvalue()


def test_eighty_columns_hold_accuracy_density_speed_and_energy() -> None:
    assert print_table(make_table(), 80) == (
        "lenet5\n"
        "\n"
        "             test    gradient                    energy     energy to  reached\n"
        "rate  accuracy, %  density, %     speed-up        ratio        target       by\n"
        "──────────────────────────────────────────────────────────────────────────────\n"
        "   0  85.00 ±0.85   25.0 ±0.2  2.00 ±0.02x  1.50 ±0.01x  1.50 ±0.01 J   3 of 3\n"
        " 0.9  85.00 ±0.85   25.0 ±0.2  2.00 ±0.02x  1.50 ±0.01x  0.81 ±0.01 J   3 of 3\n"
        "0.99  85.00 ±0.85   25.0 ±0.2  2.00 ±0.02x  1.50 ±0.01x             -   0 of 3\n"
        "Left out for lack of room, shown with --wide: seeds, speed-up, convolutions, energy ratio, convolutions, "
        "epochs to target.\n"
    )


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    *table, last = print_table(make_table(), width).splitlines()
    assert max(map(len, table)) <= width
    assert ("Left out for lack of room" in last) == (width < 160)


def test_a_study_without_a_machine_has_no_columns_of_one() -> None:
    table = pd.DataFrame([{**make_row(0), "reached": 0}])
    grid = make_training_grid(table)
    assert [column.name for column in grid.columns] == ["rate", "seeds", "test accuracy, %", "gradient density, %"]
    assert grid.rows == [["0", "3", "85.00 ±0.85", "25.0 ±0.2"]]


def test_one_seed_has_no_deviation() -> None:
    table = pd.DataFrame(
        [{"rate": 0.9, "seeds": 1, "reached": 0, "test_accuracy": 0.85, "test_accuracy_deviation": None}]
    )
    assert make_training_grid(table).rows == [["0.9", "1", "85.00"]]


def test_what_only_some_rates_have_is_a_dash_for_the_others() -> None:
    grid = make_training_grid(make_table())
    names = [column.name for column in grid.columns]
    assert dict(zip(names, grid.rows[2], strict=True)) == {
        "rate": "0.99", "seeds": "3", "test accuracy, %": "85.00 ±0.85", "gradient density, %": "25.0 ±0.2",
        "speed-up, convolutions": "2.40 ±0.02x", "energy ratio, convolutions": "1.90 ±0.02x",
        "speed-up, whole network": "2.00 ±0.02x",
        "energy ratio, whole network": "1.50 ±0.01x", "epochs to target": "-", "energy to target": "-",
        "seeds that reach the target": "0 of 3",
    }  # fmt: skip
