"""Tables fit the terminal: no number is cut at any width, and no line is longer than the width."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browser.small_runs import WORKLOAD
from compiled_kernels import compile_kernels
from rich.cells import cell_len

from reports.ablation import make_ablation_grid, make_densities_grid
from reports.difference_tables import make_differences_grid, make_totals_grid
from reports.explanation import explain_layer
from reports.fitted_tables import (
    Column,
    Grid,
    Kind,
    fold_header,
    make_console,
    print_blocks,
    print_grid,
    screen_width,
    shorten_names,
)
from reports.run_files import load_run
from reports.steps_table import STATES, make_steps_grid, tell_most
from reports.tables import make_technology_grid
from sim.results.totals import make_totals
from sim.run import RunResult, simulate
from sim.technology_listing import format_technology

WIDTHS = (60, 80, 100, 120, 160, 200)
NARROW = ("layer", "step", "cycles", "speed-up", "energy ratio", "MACs left", "most of the time")
LONG_MACHINE = "sparsetrain[array.groups=28,buffer.capacity_bytes=65536,dram.bytes_per_cycle=16]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compile_kernels()
    folder = tmp_path_factory.mktemp("tables")
    (folder / "small.yaml").write_text(WORKLOAD.replace("conv1", "stage1.block1.downsample.very_long_name.conv1"))
    simulate(folder / "small.yaml", "sparsetrain", out=folder / "one", verify=False)
    simulate(folder / "small.yaml", "sparsetrain", out=folder / "two", verify=False, overrides=["array.groups=4"])
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> RunResult:
    made = simulate(folder / "small.yaml", "sparsetrain", baseline=["skipping-off", "natural", "mask"])
    names = {machine.name: machine.name.replace("sparsetrain", LONG_MACHINE) for machine in made.machines}
    grown = tuple(
        dataclasses.replace(
            step, machine=names[step.machine], cycles=step.cycles * 10**9, energy_pj=(step.energy_pj or 0) * 1e9
        )
        for step in made.steps
    )
    record = {**made.record, "totals": make_totals(grown)}
    record["policies"] = {names[name]: policy for name, policy in made.record["policies"].items()}
    machines = tuple(machine.model_copy(update={"name": names[machine.name]}) for machine in made.machines)
    return dataclasses.replace(made, steps=grown, record=record, machines=machines)


@pytest.fixture(scope="module")
def sampled(folder: Path) -> RunResult:
    return simulate(folder / "small.yaml", "sparsetrain", sample=0.5)


def show(grid: Grid, width: int, keys: int | None = None) -> str:
    console = make_console()
    with console.capture() as capture:
        if keys is None:
            print_grid(console, grid, width)
        else:
            print_blocks(console, grid, keys, width)
    return capture.get()


def number_words(text: str) -> list[str]:
    return re.findall(r"(?<!\S)±?[\d,.]*\d[\d,.]*[x%]?(?!\S)", text)


def check(grid: Grid, width: int, keys: int | None = None) -> None:
    """Ask that every number on the screen is one of a cell, as it stands there, and that nothing is too long."""
    text = show(grid, width, keys)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    known = {word for row in grid.rows for cell in row for word in cell.split()}
    known |= {word for column in grid.columns for word in column.header.split()} | set(grid.title.split())
    assert [word for word in number_words(text) if word not in known] == []
    chosen = [place for place, column in enumerate(grid.columns) if column.kind is Kind.NUMBER and not column.rank]
    for row in grid.rows:
        for place in chosen:
            assert row[place] in text


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_of_a_run_is_cut(result: RunResult, sampled: RunResult, width: int) -> None:
    for one in (result, sampled):
        check(make_steps_grid(one), width)
    check(make_ablation_grid(result), width)
    check(make_densities_grid(result), width, keys=3)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_of_a_comparison_an_explanation_or_a_technology_is_cut(folder: Path, width: int) -> None:
    runs = [load_run(folder / name) for name in ("one", "two")]
    check(make_differences_grid(runs, None, "energy_pj"), width, keys=2)
    check(make_totals_grid(runs, None), width)
    for part in explain_layer(runs[0], "conv2", None, None, has_sources=True):
        if isinstance(part, Grid):
            check(part, width)
    check(make_technology_grid(format_technology("14nm", Path())), width, keys=1)


def test_eighty_columns_hold_what_a_reader_asks_first(sampled: RunResult, folder: Path) -> None:
    plain = simulate(folder / "small.yaml", "sparsetrain", layers="conv2")
    for one in (sampled, plain):
        grid = make_steps_grid(one)
        console = make_console()
        with console.capture():
            left_out = print_grid(console, grid, 80)
        shown = [column.name for column in grid.columns if column.name not in left_out]
        assert set(NARROW) <= set(shown)
        assert ("±95%" in shown) == (one is sampled)


def test_wider_terminals_show_more_and_no_limit_shows_everything(sampled: RunResult) -> None:
    grid = make_steps_grid(sampled)
    console = make_console()
    with console.capture():
        left_out = [print_grid(console, grid, width) for width in (*WIDTHS, screen_width(wide=True))]
    assert left_out == sorted(left_out, key=len, reverse=True)
    assert (len(left_out[0]) > len(left_out[2]), left_out[-1]) == (True, [])


def test_a_verdict_that_failed_is_shown_on_the_narrowest_terminal(sampled: RunResult) -> None:
    failed = dataclasses.replace(sampled, failures=("conv1 differs",))
    assert [column.rank for column in make_steps_grid(failed).columns if column.name == "check"] == [1]


@pytest.mark.parametrize(
    ("spent", "is_pass", "words"),
    [
        ((65, 1, 8, 0, 26), False, "busy 65%"),
        ((8, 60, 4, 0, 28), False, "ports 60%"),
        ((8, 0, 90, 0, 2), False, "DRAM 90%"),
        ((8, 0, 2, 90, 0), False, "PPU 90%"),
        ((8, 0, 2, 0, 90), False, "idle 90%"),
        ((0, 0, 10, 0, 90), True, "PPU 90%"),
        ((0, 0, 0, 0, 0), False, "-"),
    ],
)
def test_what_took_most_of_the_time_is_a_word_and_its_share(spent: tuple[int, ...], is_pass: bool, words: str) -> None:
    assert tell_most(dict(zip(STATES, spent, strict=True)), is_pass=is_pass) == words


def test_long_names_are_shortened_in_the_middle_and_stay_different() -> None:
    names = ["stage1.block1.downsample.conv1", "stage1.block2.downsample.conv1", "conv1"]
    shown = shorten_names(names, 16)
    assert [len(name) for name in shown] == [16, 16, 5]
    assert all("…" in name for name in shown[:2])
    assert len(set(shown)) == 3
    assert shorten_names(["x" * 20], 13) == ["xxxxxx…xxxxxx"]
    assert shorten_names(names, 40) == names


def test_headers_are_folded_behind_punctuation() -> None:
    assert fold_header("sparsetrain-pruning-0.7", 13) == "sparsetrain-\npruning-0.7"
    assert fold_header("sparsetrain[array.groups=28]", 13) == "sparsetrain[\narray.\ngroups=28]"
    assert fold_header("wait\nports", 5) == "wait\nports"


def test_what_does_not_fit_and_must_not_be_left_out_follows_in_blocks() -> None:
    grid = Grid([Column("layer", Kind.NAME), *(Column(f"c{number}") for number in range(4))], "title")
    grid.add(["conv1", "11111111", "22222222", "33333333", "44444444"])
    lines = [line.split() for line in show(grid, 27, keys=1).splitlines() if line.strip() and "─" not in line]
    assert lines == [
        ["title"], ["layer", "c0", "c1"], ["conv1", "11111111", "22222222"],
        ["layer", "c2", "c3"], ["conv1", "33333333", "44444444"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "is_terminal", "width"),
    [("90", True, 90), ("90", False, 90), (None, False, 160), ("x", False, 160), ("0", False, 160), ("²", False, 160)],
)
def test_the_width_is_the_terminals_or_that_of_columns_or_160(
    given: str | None, is_terminal: bool, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask: Callable[[], bool] = lambda: is_terminal  # noqa: E731
    monkeypatch.setattr("sys.stdout.isatty", ask)
    if given is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", given)
    assert screen_width() == width
