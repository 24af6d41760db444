"""Tables of a session and of two compared, and the fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.cases import GIB, Target
from benchmarks.fit import fit_line
from benchmarks.session import Measurement, Session, Summary
from benchmarks.tables import (
    compare_sessions,
    describe_session,
    format_number,
    format_summary,
    format_table,
    format_target,
    make_fit_table,
    make_rates_table,
    make_scalesim_table,
    make_targets_table,
)

SAMPLES = {
    "verified_s": [4.0, 2.0],
    "unverified_s": [2.0, 2.0],
    "reference_s": [1.0, 1.0],
    "gemm_s": [0.5, 0.5],
    "verified_peak_bytes": [1.5 * GIB, 1.5 * GIB],
}
COUNTS = {"dense_macs": 8 * 10**6, "effectual_macs": 4 * 10**6, "cycles": 2 * 10**6, "events": 10**6}
NET = Measurement("net", Target(3.5, 1.5, 2 * GIB), SAMPLES, COUNTS)
ABSENT = Measurement("sampled", Target(None, 60, None), {}, {}, "this version cannot sample")
ENVIRONMENT = {
    "date": "2026-01-01", "cpu": "some", "cores": 2, "system": "Linux", "versions": {"numpy": "2"}, "commit": "abc",
    "load_average": 0.0, "repetitions": 2,
}  # fmt: skip


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "---" not in line]


def test_a_table_aligns_its_columns() -> None:
    assert format_table(["name", "n"], [["a", "10"]]) == "| name |  n |\n| ---- | -: |\n| a    | 10 |"


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (99.94, "99.9"), (10.0, "10.0"), (9.994, "9.99"), (0.123, "0.12")]
)
def test_a_figure_has_three_digits_at_most_before_its_thousands(value: float, text: str) -> None:
    assert format_number(value) == text


def test_a_spread_is_told_where_there_is_one() -> None:
    assert format_summary(Summary(3.0, 2.0, 8.0), 2.0) == "1.50 (1.00..4.00)"
    assert format_summary(Summary(3.0, 3.0, 3.0)) == "3.00"
    assert format_summary(None) == "-"


def test_a_target_is_met_by_the_median_that_does_not_exceed_it() -> None:
    assert format_target(Summary(3.0, 2.0, 8.0), 3.0) == "3 met"
    assert format_target(Summary(3.1, 2.0, 8.0), 3.0) == "3 missed"
    assert format_target(None, 3.0) == "3"
    assert format_target(Summary(3.0, 2.0, 8.0), None) == "-"


def test_targets_stand_beside_what_was_measured_and_what_was_not_is_said() -> None:
    _, net, absent = cells(make_targets_table([NET, ABSENT]))
    assert net == ["net", "3.00 (2.00..4.00)", "3.5 met", "2.00", "1.5 missed", "1.50", "2 met", "-"]
    assert absent == ["sampled", "-", "-", "not available", "60", "-", "-", "-"]


def test_rates_take_values_from_verified_runs_and_cycles_from_runs_without() -> None:
    (header, net) = cells(make_rates_table([NET, ABSENT]))
    row = dict(zip(header, net, strict=True))
    assert row["dense M MAC/s"] == f"{(8 / 4 + 8 / 2) / 2:.2f} ({8 / 4:.2f}..{8 / 2:.2f})"
    assert row["effectual M MAC/s"] == f"{(4 / 4 + 4 / 2) / 2:.2f} ({4 / 4:.2f}..{4 / 2:.2f})"
    assert row["M cycles/s"] == f"{2 / 2:.2f}"
    assert row["M events/s"] == f"{1 / 2:.2f}"
    assert row["x reference"] == f"{(4 / 1 + 2 / 1) / 2:.2f} ({2 / 1:.2f}..{4 / 1:.2f})"
    assert row["x GEMM"] == f"{(4 / 0.5 + 2 / 0.5) / 2:.2f} ({2 / 0.5:.2f}..{4 / 0.5:.2f})"


def test_scalesim_stands_beside_the_same_case() -> None:
    run = {"case": "net", "macs": 6 * 10**6, "wall_s": [3.0], "peak_bytes": [GIB], "version": "3", "array": "12 x 14"}
    _, row = cells(make_scalesim_table([run], [NET]))
    assert row == ["net", "3.00", f"{6 / 3:.2f}", "1.00", "3.00 (2.00..4.00)", "3.00 (2.00..4.00)", "1.50"]
    _, alone = cells(make_scalesim_table([run], []))
    assert alone == ["net", "3.00", f"{6 / 3:.2f}", "1.00", "-", "-", "-"]


def test_a_session_says_what_is_missing_and_how_long_kernels_compile() -> None:
    kernels = {"compiling": {"wall_s": 30.0, "cpu_s": 28.0}, "first": {"modules": {"a": 20.0, "b": 8.0}}}
    others = {"kernels": kernels, "simpy": {"case": "small", "events_per_s": [1e5]}}
    text = describe_session(Session(ENVIRONMENT, (NET, ABSENT), others))
    parts = text.split("\n\n")
    assert "sampled: not available: this version cannot sample." in parts
    assert "SimPy's engine, small: 100 thousand events/s." in parts
    assert (
        "Kernels compile once, in 30.0 s (28.0 s of processor time; target 40); the longest modules: a 20.0, b 8.0."
    ) in parts


def test_a_comparison_tells_how_many_times_faster_and_whether_the_spreads_are_apart() -> None:
    before = Session(ENVIRONMENT, (NET,))
    faster = replace(NET, samples={"verified_s": [1.5, 1.0], "unverified_s": [1.0, 3.0], "verified_cpu_s": [1.0]})
    after = Session({**ENVIRONMENT, "commit": "def", "cores": 4}, (faster, replace(NET, case="other")))
    table, *lines = compare_sessions(before, after).split("\n\n")
    _, slow, fast = cells(table)
    assert slow == ["net", "unverified_s", "2.00", "2.00 (1.00..3.00)", "1.00x", "overlap"]
    assert fast == ["net", "verified_s", "3.00 (2.00..4.00)", "1.25 (1.00..1.50)", f"{3 / 1.25:.2f}x", "apart"]
    assert lines == ["cores differ: 2 and 4.", "Commits: abc and def."]


def test_a_line_through_points_on_a_line_leaves_nothing() -> None:
    intercept_s, s_per_gmac = 2.0, 3.0
    gmacs = [1.0, 2.0, 5.0]
    line = fit_line(gmacs, [intercept_s + s_per_gmac * one for one in gmacs])
    # Least squares in float64 leave rounding.
    assert line.intercept_s == pytest.approx(intercept_s)
    assert line.s_per_gmac == pytest.approx(s_per_gmac)
    assert line.r_squared == pytest.approx(1.0)
    assert line.residuals_s == pytest.approx((0, 0, 0), abs=1e-9)


def test_residuals_are_what_the_line_does_not_say() -> None:
    line = fit_line([0.0, 1.0, 2.0], [0.0, 3.0, 0.0])
    assert line.residuals_s == pytest.approx((-1.0, 2.0, -1.0))
    assert line.r_squared == pytest.approx(0.0)


def test_two_points_are_no_fit() -> None:
    with pytest.raises(ValueError, match="a line is fitted to at least 3 points, got 2"):
        fit_line([1.0, 2.0], [1.0, 2.0])


def test_the_table_of_a_fit_tells_points_line_and_residuals() -> None:
    points = [
        Measurement(f"{gmacs} G", Target(), {"verified_s": [seconds]}, {"effectual_macs": gmacs * 10**9})
        for gmacs, seconds in ((0, 0.0), (1, 3.0), (2, 0.0))
    ]
    line = fit_line([0.0, 1.0, 2.0], [0.0, 3.0, 0.0])
    table, words = make_fit_table(points, line, "verified_s").split("\n\n")
    assert cells(table)[2] == ["1 G", "1.000", "3.00", "1.00", "+2.00"]
    assert words.startswith("Line through the medians: 1.00 s + ")
