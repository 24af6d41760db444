"""Comparisons begin with what differs between the inputs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from reports.comparison import build_comparison_page
from reports.input_differences import EQUAL, make_inputs_table
from reports.run_files import Run, load_run
from sim.results.run_inputs import list_differences, tell_difference
from sim.run import simulate

NET = """\
name: small
description: {words}
batch: 2
input: {{channels: 3, height: 6, width: 5}}
layers:
  - {{name: conv1, type: conv2d, out_channels: {channels}, kernel: 3, padding: 1}}
  - {{name: flat, type: flatten}}
  - {{name: {last}, type: linear, out_features: 3}}
operands: {{source: synthetic, seed: 1, density: {{input: 0.5, grad_output: 0.4}}, integers: true}}
"""


def make(folder: Path, name: str, *overrides: str, channels: int = 4, last: str = "fc", **options: object) -> Run:
    """Simulate a small network, whose description is the run's name."""
    path = folder / f"{name}.yaml"
    path.write_text(NET.format(words=name, channels=channels, last=last))
    simulate(
        path,
        "sparsetrain",
        overrides=overrides,
        verify=False,
        out=folder / name,
        steps=["forward"],
        **options,  # type: ignore[arg-type]
    )
    return load_run(folder / name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        "base": make(folder, "base"),
        "same": make(folder, "same"),
        "slim": make(folder, "slim", "array.groups=28", batch=3),
        "mask": make(folder, "mask", baseline=["mask", "ideal"], channels=5, last="out"),
    }


def list_words(*runs: Run) -> list[tuple[str, ...]]:
    """List fields and values that differ, as a table shows them."""
    return [(one.field, *one.words()) for one in list_differences([run.record for run in runs])]


def write(width: int, *runs: Run) -> str:
    """Print the table to a terminal of so many characters."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(make_inputs_table(runs, width))
    return captured.get()


def test_equal_inputs_are_called_so_whatever_the_description(runs: dict[str, Run]) -> None:
    assert list_words(runs["base"], runs["same"]) == []
    assert write(80, runs["base"], runs["same"]) == f"{EQUAL}\n"
    assert tell_difference(runs["base"].record, runs["same"].record) is None


def test_a_field_of_the_machine_is_told_once_for_it_and_its_baseline(runs: dict[str, Run]) -> None:
    assert list_words(runs["base"], runs["slim"]) == [
        ("architecture.array.groups", "56", "28"),
        ("workload.batch", "2", "3"),
    ]
    assert tell_difference(runs["base"].record, runs["slim"].record) == (
        "architecture.array.groups is 56 there, 28 here and 1 more"
    )


def test_baselines_layers_and_versions_are_compared(runs: dict[str, Run]) -> None:
    older = dataclasses.replace(runs["mask"], record=runs["mask"].record | {"version": "0.0.9"})
    assert list_words(runs["base"], older) == [
        ("baseline", "(machine)-dense", "(machine)-mask, ideal"),
        ("workload.layers.conv1.out_channels", "4", "5"),
        ("workload.layers.fc", "linear", "-"),
        ("workload.layers.out", "-", "linear"),
        ("version", str(runs["base"].record["version"]), "0.0.9"),
    ]


def test_the_table_fits_80_columns_beside_each_other_and_for_many_runs_one_value_a_row(runs: dict[str, Run]) -> None:
    two = write(80, runs["base"], runs["slim"])
    assert two.startswith("What differs between the inputs")
    assert all(len(line) <= 80 for line in two.splitlines())
    many = [runs["base"], runs["slim"], runs["base"], runs["mask"]]
    lines = write(80, *many).splitlines()
    assert next(line.split() for line in lines if "groups" in line) == [
        "architecture.array.groups",
        "56",
        "1,",
        "3,",
        "4",
    ]
    assert lines[-3].startswith("2: small on sparsetrain[array.groups=28]")
    assert max(len(line) for line in [*lines, *two.splitlines()]) <= 80


def test_more_than_thirty_fields_are_counted(runs: dict[str, Run]) -> None:
    record = runs["base"].record
    layers = [*record["workload"]["layers"], *({"name": f"more{index}", "type": "relu"} for index in range(40))]
    other = dataclasses.replace(runs["base"], record=record | {"workload": record["workload"] | {"layers": layers}})
    words = write(120, runs["base"], other)
    assert words.splitlines()[-1] == "10 more fields differ; the page that 'report' makes lists them all."
    assert build_comparison_page([runs["base"], other]).count("workload.layers.more") == 40


def test_the_page_begins_with_the_table(runs: dict[str, Run]) -> None:
    page = build_comparison_page([runs["base"], runs["slim"]])
    assert page.index("What differs between the inputs") < page.index("Overview")
    assert '<td class="word long">architecture.array.groups</td>' in page
    assert EQUAL in build_comparison_page([runs["base"], runs["same"]])
