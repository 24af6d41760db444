"""Spaces too large to be made are counted and refused before anything is enumerated."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.sweep.small_sweeps import load_text

from sim.sweep import space as space_module
from sim.sweep.space import VALUE_LIMIT, Space, show_count
from sim.sweep.sweep import count_points, is_enumerable
from workloads.errors import InputError

HEAD = "name: s\nworkloads: [tiny.yaml]\n"
TEN = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
PATHS = (
    "array.groups", "array.pes_per_group", "array.multipliers_per_pe", "array.accumulators", "buffer.ports",
    "array.row_overhead_cycles", "array.min_tasks_per_group", "dram.bytes_per_cycle", "dram.latency_cycles",
    "clock_mhz", "batch", "buffer.bytes_per_port_cycle", "ppu.elements_per_cycle", "operands.seed",
    "array.empty_issue_cycles",
)  # fmt: skip
HUGE = "parameters:\n" + "".join(f"  {path}: {TEN}\n" for path in PATHS)
DRAWN = "combine: random\nsamples: {}\nparameters: {{array.groups: {{from: 1, to: 9}}}}\n"
STEPS = "{from: 1, to: 100000, steps: 100000}"
ADVICE = "take fewer values, or cut it into sweeps whose stores are merged"


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        count_points(load_text(folder, HEAD + text))
    return str(caught.value)


def forbid(_: Space) -> None:
    raise AssertionError("a point was made")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HUGE, f"has 1,000,000,000,000,000 points; a sweep may have at most 1,000,000: {ADVICE}"),
        (HUGE + "constraints: [array.groups > 3]\n",
         f"has 1,000,000,000,000,000 points; a sweep may have at most 1,000,000: {ADVICE}"),
        (HUGE.replace("\n  batch", "\n  operands.density.input: [0, 1]\n  batch", 1),
         f"has 2,000,000,000,000,000 points; a sweep may have at most 1,000,000: {ADVICE}"),
        (HUGE + "search: {sampler: tpe, trials: 10000000, objectives: [cycles]}\n",
         f"has 10,000,000 trials, over all workloads; a sweep may have at most 1,000,000: {ADVICE}"),
        (DRAWN.format(10_000_000), f"has 10,000,000 points; a sweep may have at most 1,000,000: {ADVICE}"),
        (DRAWN.format(60_000) + "budgets: [{equal: multipliers, by: array.pes_per_group}]\n",
         f"has 60,000 points; a sweep with so many budgets may have at most 47,619: {ADVICE}"),
    ],
)  # fmt: skip
def test_more_points_than_can_be_made_are_counted_and_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Space, "designs", forbid)
    assert refusal(tmp_path, text) == f"sweep.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "line", "values"),
    [
        ("combine: zip\nparameters:\n" + "".join(f"  array.x{n}: {STEPS}\n" for n in range(40)), 4, "4,000,000"),
        (f"parameters: {{array.groups: {STEPS}, array.accumulators: [1]}}\n", 3, "100,001"),
        (f"search: {{sampler: tpe, trials: 2, objectives: [cycles]}}\nparameters: {{array.groups: {STEPS}, "
         f"array.accumulators: {STEPS}}}\n", 4, "200,000"),
    ],
)  # fmt: skip
def test_more_values_than_can_be_tried_are_refused_before_a_range_is_cut(
    text: str, line: int, values: str, tmp_path: Path
) -> None:
    message = f"sweep.yaml, line {line}: the parameters have {values} values together; a sweep may have at most 100,000"
    assert (refusal(tmp_path, text), VALUE_LIMIT) == (message, 100_000)


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ("{from: -1.0e308, to: 1.0e308, steps: 2}", "-1e+308 to 1e+308"),
        ("{from: 1.0e-300, to: 1.0e300, steps: 2, scale: log}", "1e-300 to 1e+300"),
        ("{from: 1.0e-300, to: 1.0e300, scale: log}", "1e-300 to 1e+300"),
    ],
)
def test_a_range_that_float64_does_not_span_is_refused(ends: str, shown: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, f"parameters: {{array.groups: {ends}}}\n")
    assert message == f"sweep.yaml, line 3: array.groups: a range must lie within float64, got from {shown}"


def test_draws_end_when_a_constraint_takes_none_of_very_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_module, "MOST_IN_VAIN", 50)
    message = refusal(tmp_path, DRAWN.format(1000) + "constraints: [array.groups > 9]\n")
    assert message == (
        "sweep.yaml: 50 random draws gave only 0 of 1000 points that constraints and budgets allow; loosen them or "
        "lower samples"
    )


def test_a_search_of_a_huge_space_checks_values_alone_and_sooner_with_budgets(tmp_path: Path) -> None:
    search = "search: {sampler: tpe, trials: 3, objectives: [cycles]}\n"
    assert count_points(load_text(tmp_path, HEAD + HUGE + search)) == 3
    text = HEAD + "parameters: {array.groups: {from: 1, to: 10000, steps: 10000}}\n" + search
    assert is_enumerable(load_text(tmp_path, text))
    assert not is_enumerable(load_text(tmp_path, text + "budgets: [{equal: multipliers, by: array.pes_per_group}]\n"))


def test_a_count_that_fills_a_line_is_written_as_a_power() -> None:
    assert [show_count(number) for number in (10**15, 10**18, 7 * 10**400)] == [
        "1,000,000,000,000,000", "about 10^18", "about 10^400",
    ]  # fmt: skip
