"""How sure an energy is: words, tables and pages of intervals, and records whose intervals do not follow."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from browser.small_runs import make_run

from reports.certainty import describe_certainty, find_step_swings, write_ratio_span, write_span, write_swings
from reports.explanation import explain_layer
from reports.run_files import Run, load_run, read_actions
from reports.run_parts import write_configuration, write_headline
from workloads.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs"), "full")


def test_intervals_are_written_in_the_unit_of_their_upper_end() -> None:
    assert write_span([28_116_324, 80_728_174]) == "28.12 to 80.73 uJ"
    assert write_ratio_span([1.3148, 1.5144]) == "1.31x to 1.51x"
    assert write_swings((-21_038_880, 31_558_320)) == "-21.04 to +31.56 uJ"


def test_the_summary_tells_interval_the_largest_assumption_and_the_ratio(run: Run) -> None:
    (line,) = describe_certainty(run.record, run.machine)
    intervals = run.record["energy_intervals"]
    low, high = (pj / 1e6 for pj in intervals["machines"][run.machine]["network"])
    assert line.startswith(
        f"How sure: {low:,.2f} to {high:,.2f} uJ as assumed figures vary, most by dram.lpddr4 (x0.5 to x1.75: "
    )
    ratio = intervals["ratios"]["sparsetrain-dense"]
    assert line.endswith(
        f"; energy ratio to sparsetrain-dense: convolutions alone {write_ratio_span(ratio['convolutions'])}, "
        f"whole network {write_ratio_span(ratio['network'])}."
    )


def test_without_prices_or_assumptions_there_is_nothing_to_tell(run: Run) -> None:
    described = run.record["machines"][run.machine]
    for machine in (None, {**described, "assumptions": []}):
        record = {**run.record, "machines": {**run.record["machines"], run.machine: machine}}
        assert describe_certainty(record, run.machine) == []


def test_the_swings_of_all_steps_add_up_to_those_of_the_network(run: Run) -> None:
    described, actions = run.record["machines"][run.machine], read_actions(run)
    sums: dict[str, list[float]] = {}
    for _, row in run.rows(run.machine).iterrows():
        counts = actions[
            (actions["layer"] == row["layer"]) & (actions["step"] == row["step"]) & (actions["machine"] == run.machine)
        ].iloc[0]
        done = {
            line["action"]: int(row["cycles"] if line["component"] == "leakage" else counts[line["action"]])
            for line in described["energy"]
        }
        for entry, swing in find_step_swings(described, done).items():
            sums.setdefault(entry, [0.0, 0.0])
            sums[entry] = [sums[entry][0] + swing[0], sums[entry][1] + swing[1]]
    for one in described["assumptions"]:
        assert sums[one["entry"]] == pytest.approx(one["swings"]["network"], rel=1e-9)


def test_a_step_is_explained_with_its_assumptions_the_largest_first(run: Run) -> None:
    parts = list(explain_layer(run, "conv1", "gtw", None))
    place = next(place for place, part in enumerate(parts) if str(part).startswith("How sure: "))
    assert "most by " in str(parts[place])
    grid: Any = parts[place + 1]
    swings = [max(abs(float(cell.replace(",", ""))) for cell in row[3:5]) for row in grid.rows]
    assert swings == sorted(swings, reverse=True)
    assert len(swings) == len(run.record["machines"][run.machine]["assumptions"])


def test_a_page_tells_intervals_beside_energies_and_ratios(run: Run) -> None:
    interval = run.record["energy_intervals"]["machines"][run.machine]["network"]
    headline = write_headline(run)
    assert f"{write_span(interval)} as assumed figures vary; " in headline
    assert headline.count("as assumed figures vary") == 3
    assert "Assumed figures of sparsetrain: how sure its energy is" in write_configuration(run)


def change(record: dict[str, Any], place: str, value: Any) -> None:
    *path, last = place.split(".")
    for name in path:
        record = record[int(name)] if isinstance(record, list) else record[name]
    record[last if isinstance(record, dict) else int(last)] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("energy_intervals.machines.sparsetrain.network.0", 1.0, "energy_intervals.machines.sparsetrain.network is"),
        (
            "energy_intervals.ratios.sparsetrain-dense.network",
            None,
            "energy_intervals.ratios.sparsetrain-dense.network",
        ),
        ("machines.sparsetrain.assumptions.0.swings.network.1", 7.5, "adds 7.5 pJ to the network, but "),
        ("machines.sparsetrain.assumptions.0.swings.convolutions.1", 1e30, "adds 1e+30 pJ to convolutions, and "),
        ("machines.sparsetrain.assumptions.0.prices.0.action", "x", "has the action 'x', of which there is no line"),
        ("machines.sparsetrain.assumptions.0.low", 1.5, "low must be a number above 0 and of at most 1, got 1.5"),
    ],
)
def test_assumptions_and_intervals_that_do_not_follow_are_refused(
    run: Run, tmp_path: Path, place: str, value: Any, words: str
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    change(record, place, value)
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError) as caught:
        load_run(tmp_path / "run")
    assert words in str(caught.value)


def test_an_interval_is_the_root_of_the_sum_of_squares_of_the_swings(run: Run) -> None:
    swings = [one["swings"]["network"] for one in run.record["machines"][run.machine]["assumptions"]]
    energy = run.totals(run.machine)["energy_pj"]
    expected = [energy - math.hypot(*(low for low, _ in swings)), energy + math.hypot(*(high for _, high in swings))]
    assert run.record["energy_intervals"]["machines"][run.machine]["network"] == pytest.approx(expected, rel=1e-12)
