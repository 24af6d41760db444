"""Sessions as tables of plain text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.cases import GIB
from benchmarks.fit import Line
from benchmarks.session import Measurement, Session, Summary, summarize

NONE = "-"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Set a table as Markdown: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in [header, *rows]) for place in range(len(header))]

    def set_row(cells: Sequence[str]) -> str:
        first, *others = (cell.ljust(width) if not place else cell.rjust(width)
                          for place, (cell, width) in enumerate(zip(cells, widths, strict=True)))  # fmt: skip
        return f"| {' | '.join([first, *others])} |"

    rule = ["-" * width if not place else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return "\n".join([set_row(header), set_row(rule), *(set_row(row) for row in rows)])


def format_number(value: float) -> str:
    """Write a figure with three digits, or all before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_summary(summary: Summary | None, scale: float = 1.0) -> str:
    """Write a median, and its spread where there is one, divided by a scale."""
    if summary is None:
        return NONE
    median, least, largest = (
        format_number(value / scale) for value in (summary.median, summary.least, summary.largest)
    )
    return f"{median} ({least}..{largest})" if summary.has_spread else median


def format_target(measured: Summary | None, target: float | None, scale: float = 1.0) -> str:
    """Write a target and whether a median reaches it."""
    if target is None:
        return NONE
    words = f"{target / scale:g}"
    return words if measured is None else f"{words} {'met' if measured.median <= target else 'missed'}"


def make_targets_table(measurements: Sequence[Measurement]) -> str:
    """Tabulate times and memory beside their targets."""
    header = ["workload", "verified s", "target", "no values s", "target", "peak GiB", "target", "with host's pass GiB"]
    rows = []
    for one in measurements:
        verified, unverified = one.summary("verified_s"), one.summary("unverified_s")
        peak = one.summary("verified_peak_bytes") or one.summary("unverified_peak_bytes")
        rows.append([
            one.case,
            format_summary(verified), format_target(verified, one.target.verified_s),
            format_summary(unverified) if not one.missing else "not available",
            format_target(unverified, one.target.unverified_s),
            format_summary(peak, GIB), format_target(peak, one.target.peak_bytes, GIB),
            format_summary(one.summary("load_peak_bytes"), GIB),
        ])  # fmt: skip
    return format_table(header, rows)


def make_rates_table(measurements: Sequence[Measurement]) -> str:
    """Tabulate processor times, what was simulated in a second, and the ratios to numpy's times."""
    columns: dict[str, Callable[[Measurement], str]] = {
        "workload": lambda one: one.case,
        "verified CPU s": lambda one: format_summary(one.summary("verified_cpu_s")),
        "no values CPU s": lambda one: format_summary(one.summary("unverified_cpu_s")),
        "dense M MAC/s": lambda one: format_summary(one.rate("dense_macs", "verified_s"), 1e6),
        "effectual M MAC/s": lambda one: format_summary(one.rate("effectual_macs", "verified_s"), 1e6),
        "M cycles/s": lambda one: format_summary(one.rate("cycles", "unverified_s"), 1e6),
        "M events/s": lambda one: format_summary(one.rate("events", "unverified_s"), 1e6),
        "x reference": lambda one: format_summary(one.ratio("verified_s", "reference_s")),
        "x GEMM": lambda one: format_summary(one.ratio("verified_s", "gemm_s")),
    }
    rows = [[write(one) for write in columns.values()] for one in measurements if not one.missing]
    return format_table(list(columns), rows)


def make_scalesim_table(runs: Sequence[dict[str, Any]], measurements: Sequence[Measurement]) -> str:
    """Tabulate SCALE-Sim's time for the forward pass beside ours for the whole iteration, sparse and dense."""
    header = ["workload", "SCALE-Sim s", "M MAC/s", "peak GiB", "ours: s", "dense M MAC/s", "peak GiB"]
    ours = {one.case: one for one in measurements}
    rows = []
    for run in runs:
        one = ours.get(run["case"])
        rate = summarize([run["macs"] / seconds for seconds in run["wall_s"]])
        mine = [NONE] * 3
        if one is not None:
            mine = [
                format_summary(one.summary("verified_s")),
                format_summary(one.rate("dense_macs", "verified_s"), 1e6),
                format_summary(one.summary("verified_peak_bytes"), GIB),
            ]
        theirs = [
            format_summary(summarize(run["wall_s"])), format_summary(rate, 1e6),
            format_summary(summarize(run["peak_bytes"]), GIB),
        ]  # fmt: skip
        rows.append([run["case"], *theirs, *mine])
    return format_table(header, rows)


def make_fit_table(measurements: Sequence[Measurement], line: Line, kind: str) -> str:
    """Tabulate the points of a fit, what the line says of each, and the line."""
    rows = []
    for one, residual in zip(measurements, line.residuals_s, strict=True):
        summary, gmacs = one.summary(kind), one.counts["effectual_macs"] / 1e9
        fitted = line.intercept_s + line.s_per_gmac * gmacs
        rows.append([one.case, f"{gmacs:.3f}", format_summary(summary), f"{fitted:.2f}", f"{residual:+.2f}"])
    table = format_table(["workload", "effectual GMACs", "measured s", "line s", "residual s"], rows)
    words = f"{line.intercept_s:.2f} s + {line.s_per_gmac:.3f} s x GMACs, R^2 = {line.r_squared:.4f}"
    return f"{table}\n\nLine through the medians: {words}"


def describe_session(session: Session) -> str:
    """Say on what a session was measured and what its tables mean, and set the tables."""
    place, others = session.environment, session.others
    versions = ", ".join(f"{name} {number}" for name, number in place["versions"].items())
    parts = [
        f"{place['date']}, {place['cpu']}, {place['cores']} cores, {place['system']}; {versions}; commit "
        f"{place['commit']}; load average {place['load_average']} at the start; {place['repetitions']} repetitions, "
        "each figure from a fresh process: median (least..largest).",
        "Forward, GTA and GTW on `sparsetrain` with its dense baseline, operands loaded and kernels in the cache on "
        "disk. Peak: from then on; the host's pass before has its own.",
        make_targets_table(session.measurements),
        "MACs are one iteration's; cycles and events those of both machines, without values. x: how many times the "
        "time of numpy's float32 reference of the same steps, or of float32 matrix products alone with the same MACs, "
        "each on one BLAS thread; a simulation runs two to four steps at a time.",
        make_rates_table(session.measurements),
        *(f"{one.case}: not available: {one.missing}." for one in session.measurements if one.missing),
    ]
    if "simpy" in others:
        rate = format_summary(summarize(others["simpy"]["events_per_s"]), 1e3)
        parts.append(f"SimPy's engine, {others['simpy']['case']}: {rate} thousand events/s.")
    if "kernels" in others:
        parts.append(describe_kernels(others["kernels"]))
    if others.get("scalesim"):
        parts += [
            f"SCALE-Sim {others['scalesim'][0]['version']}, forward only, dense, without values, "
            f"{others['scalesim'][0]['array']} multipliers; ours does all three steps, sparse and dense, with values.",
            make_scalesim_table(others["scalesim"], session.measurements),
        ]
    return "\n\n".join(parts)


def describe_kernels(kernels: dict[str, Any]) -> str:
    """Say how long kernels take to compile, and which modules take longest."""
    compiling = kernels["compiling"]
    longest = list(kernels["first"]["modules"].items())[:5]
    words = ", ".join(f"{module} {seconds:.1f}" for module, seconds in longest)
    return (
        f"Kernels compile once, in {compiling['wall_s']:.1f} s ({compiling['cpu_s']:.1f} s of processor time; "
        f"target 40); the longest modules: {words}."
    )


def compare_sessions(before: Session, after: Session) -> str:
    """Tabulate how many times faster, or smaller, the second session's medians are."""
    then = {one.case: one for one in before.measurements}
    rows = []
    for one in after.measurements:
        if one.case not in then:
            continue
        for kind in sorted(set(one.samples) & set(then[one.case].samples)):
            old, new = then[one.case].summary(kind), one.summary(kind)
            if old is None or new is None:
                continue
            scale = GIB if kind.endswith("_bytes") else 1.0
            apart = new.largest < old.least or new.least > old.largest
            ratio = f"{old.median / new.median:.2f}x" if new.median else NONE
            cells = [format_summary(old, scale), format_summary(new, scale), ratio, "apart" if apart else "overlap"]
            rows.append([one.case, kind.replace("_bytes", "_gib"), *cells])
    lines = [format_table(["workload", "figure", "before", "after", "before / after", "spreads"], rows)]
    for field in ("cpu", "cores", "versions"):
        if before.environment[field] != after.environment[field]:
            lines.append(f"{field} differ: {before.environment[field]} and {after.environment[field]}.")
    commits = f"Commits: {before.environment['commit']} and {after.environment['commit']}."
    return "\n\n".join([*lines, commits])
