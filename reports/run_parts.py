"""The parts of a page that come from one run: headline, charts, tables, configuration, and what is not modelled."""

from __future__ import annotations

from collections.abc import Callable
from html import escape, unescape
from typing import Any

import plotly.graph_objects as go

from reports.certainty import write_ratio_span, write_span
from reports.dead_words import describe_dead
from reports.figures import plot_all
from reports.findings import TELLERS, count_verdicts
from reports.layer_bars import is_crowded
from reports.memory_words import describe_memory
from reports.page import chart_box, table_box, write_table
from reports.palette import pattern_of, symbol_of
from reports.quantities import write_energy, write_percent, write_ratio
from reports.run_ablation import write_ablation
from reports.run_files import SCOPE_WORDS, WORD_COLUMNS, Run
from reports.sampled_words import describe_sampling
from reports.update_words import write_update
from reports.value_words import describe_values
from sim.results.rows import SCOPES, describe_columns
from workloads.row_kinds import CONVOLUTION_KINDS
from workloads.yaml_file import dump_yaml

WIDE = ("cycles", "time", "energy", "utilization", "densities")
SHOWN_COLUMNS = (
    "layer", "step", "machine", "cycles", "busy_cycles", "wait_operands_cycles", "wait_dram_cycles", "wait_ppu_cycles",
    "idle_cycles", "pe_utilization", "effectual_macs", "dense_macs", "energy_pj", "cycles_ci95", "verdict",
)  # fmt: skip
# Shown where a machine stores rounded values.
ROUNDED_COLUMNS = ("vanished_elements", "saturated_elements", "float32_max_error", "float32_relative_error")
NO_MULTICAST = (
    "PE groups do not share reads: there is no multicast from the buffer, so every group fetches its own operands."
)
SOME_MULTICAST = (
    "Up to {} requests of PE groups for the same driver rows share a read of the buffer, where they come in the same "
    "cycle; other operands are fetched by each group."
)
NOT_MODELLED = (
    "A step starts when the one before it has fully ended; nothing is prefetched across that border.",
    "The controller takes no cycles, and the network on chip has energy but neither delay nor contention.",
    "Any free port of the buffer serves a request: conflicts of banks are not modelled.",
    "DRAM is one channel of constant bandwidth and latency: no rows, banks, refresh or turnaround.",
    "Elementwise passes are charged by their elements and bytes; the host and data loading are not charged, and the "
    "weight update is only where it is asked for, and in no headline.",
    "Clock tree, long wires, input/output and packaging have neither energy nor area.",
    "The machine's numbers are this project's own design decisions and are marked as assumed in its presets; nothing "
    "here reproduces a table of the paper.",
)
BARS = ("cycles", "time", "energy")
SYMBOL_MARKS = {
    "circle": "M6 5 a4 4 0 1 0 8 0 a4 4 0 1 0 -8 0",
    "diamond-open": "M10 0.5 L14.5 5 L10 9.5 L5.5 5 Z",
    "square-open": "M6 1 H14 V9 H6 Z",
    "triangle-up-open": "M10 0.5 L15 9.5 H5 Z",
    "cross-open": "M8.5 0.5 H11.5 V3.5 H14.5 V6.5 H11.5 V9.5 H8.5 V6.5 H5.5 V3.5 H8.5 Z",
    "star-open": "M10 0.3 L11.2 3.6 L14.7 3.7 L11.9 5.9 L12.9 9.4 L10 7.4 L7.1 9.4 L8.1 5.9 L5.3 3.7 L8.8 3.6 Z",
}
PATTERN_MARKS = {
    "/": "M0 12 L12 0 M-6 6 L6 -6 M6 18 L18 6",
    "\\": "M0 0 L12 12 M-6 6 L6 18 M6 -6 L18 6",
    "x": "M0 0 L12 12 M0 12 L12 0",
    "-": "M0 6 L24 6",
    "|": "M6 0 L6 12 M14 0 L14 12",
    "+": "M0 6 L24 6 M6 0 L6 12 M16 0 L16 12",
    ".": "M5 6 h2 M11 6 h2 M17 6 h2",
}


def write_verdict(run: Run) -> str:
    """Say whether the machine's values were compared with the reference, and how that ended."""
    found = count_verdicts(run.frame)
    compared = sum(count for name, count in found.items() if name != "none")
    if found.get("failed") or run.record["verdict"] == "failed":
        return f'<span class="verdict bad">FAILED</span>: {found.get("failed", 0)} of {compared} outputs are wrong'
    dead = describe_dead(run.record, run.layers())
    if not compared:
        return f'<span class="verdict bad">not verified{dead}</span>: no values were computed'
    mood = "bad" if dead else "good"
    return (
        f'<span class="verdict {mood}">verified{dead}</span>: {compared} of {sum(found.values())} outputs '
        f"compared with the numpy reference, {found.get('exact', 0)} equal exactly, the others within the bound of "
        "float32 rounding"
    )


def write_header(run: Run) -> str:
    """Write the top of a run's page."""
    others = ", ".join(run.machines[1:]) or "no other machine"
    description = str(run.record["workload"].get("description") or "")
    lines = [
        f"<h1>{escape(run.title)}</h1>",
        f'<p class="soft">{escape(description)}</p>' if description else "",
        f"<p>One training iteration, batch {int(run.record['workload']['batch'])}, beside {escape(others)}. "
        f"Operands: {escape(str(run.record['operand_source']))}.</p>",
        f"<p>Values: {write_verdict(run)}.</p>",
    ]
    cut = describe_memory(run.record, run.machine)
    told = describe_values(run.record["architecture"], run.rows(run.machine).itertuples())
    lines += [f"<p>{escape(words)}</p>" for words in (*cut, *told, *describe_sampling(run.record))]
    lines += [f'<p class="notice bad">{escape(str(words))}.</p>' for words in list_warnings(run)]
    return "\n".join(line for line in lines if line)


def list_warnings(run: Run) -> list[str]:
    """List the failures, warnings and notices of a run."""
    described = run.record["machines"].get(run.machine) or {}
    return [*run.record.get("failures", [])[:5], *described.get("warnings", []), *run.record.get("notices", [])]


def make_card(words: str, value: str, more: str) -> str:
    """Make one number of the headline."""
    return f'<div class="card"><dt>{escape(words)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>'


def write_headline(run: Run) -> str:
    """Write the headline: ratios to the baselines, cycles, time and energy."""
    cards = []
    scopes = SCOPES if has_convolutions(run) else ("network",)
    dead = describe_dead(run.record, run.layers())
    for baseline in run.machines[1:2]:
        for scope in scopes:
            found = run.ratios(baseline)[scope]
            cards.append(
                make_card(f"Speed-up, {SCOPE_WORDS[scope]}", write_ratio(found["speedup"]), f"over {baseline}{dead}")
            )
        for scope in scopes:
            found = run.ratios(baseline)[scope]
            if found["energy_ratio"] is not None:
                span = tell_span(run.record["energy_intervals"]["ratios"][baseline][scope], write_ratio_span)
                without = f"{span}{write_ratio(found['dynamic_energy_ratio'])} without leakage{dead}"
                cards.append(
                    make_card(f"Energy ratio, {SCOPE_WORDS[scope]}", write_ratio(found["energy_ratio"]), without)
                )
    totals = run.totals(run.machine)
    cycles = totals["cycles"]
    milliseconds = cycles / run.clock_mhz / 1000
    more = describe_convolutions(run) if has_convolutions(run) else "no convolution among them"
    cards.append(make_card("Cycles of the iteration", f"{cycles:,}", more))
    cards.append(make_card("Time", f"{milliseconds:,.4g} ms", f"at {run.clock_mhz:g} MHz"))
    if totals["energy_pj"] is not None:
        leakage = write_percent(totals["leakage_pj"], totals["energy_pj"])
        span = tell_span(run.record["energy_intervals"]["machines"][run.machine]["network"], write_span)
        more = f"{span}{write_energy(totals['dynamic_pj'])} without leakage ({leakage})"
        cards.append(make_card("Energy", write_energy(totals["energy_pj"]), more))
    return f'<dl class="cards">{"".join(cards)}</dl>{write_ablation(run)}{write_update(run.record)}'


def tell_span(interval: list[float] | None, write: Callable[[list[float]], str]) -> str:
    """Say between what a figure lies as assumed figures vary; nothing where none moves it."""
    return "" if interval is None or interval[0] == interval[1] else f"{write(interval)} as assumed figures vary; "


def has_convolutions(run: Run) -> bool:
    """Tell whether any layer of a run is a convolution."""
    return bool(run.frame["kind"].isin(CONVOLUTION_KINDS).any())


def describe_convolutions(run: Run) -> str:
    """Say how many of the cycles are those of convolutions."""
    return f"of them {run.totals(run.machine, 'convolutions')['cycles']:,} in convolutions"


def list_machines(run: Run, chart: str) -> str:
    """Explain which fill of a chart's bars, or which mark, stands for which machine."""
    if len(run.machines) < 2 or (chart in BARS and is_crowded(run)) or chart not in (*BARS, "roofline"):
        return ""
    items = []
    for number, machine in enumerate(run.machines):
        if chart in BARS:
            marks = PATTERN_MARKS.get(pattern_of(number))
            path = f'<path d="{marks}" stroke="currentColor" stroke-width="1.5" fill="none"/>' if marks else ""
        else:
            fill = "none" if symbol_of(number).endswith("-open") else "currentColor"
            path = (
                f'<path d="{SYMBOL_MARKS[symbol_of(number)]}" stroke="currentColor" stroke-width="1.3" fill="{fill}"/>'
            )
        kind = "fill" if chart in BARS else "mark"
        picture = f'<svg width="20" height="10" viewBox="0 0 20 10" aria-hidden="true">{path}</svg>'
        items.append(f'<li><i class="{kind}">{picture}</i>{escape(machine)}</li>')
    return f'<ul class="machines">{"".join(items)}</ul>'


def make_charts(run: Run, prefix: str = "") -> tuple[str, dict[str, go.Figure]]:
    """Make the boxes of all charts of a run, and their figures by name."""
    figures = plot_all(run)
    narrow = set(figures) - set(WIDE)
    boxes = [
        chart_box(
            prefix + name,
            unescape(str(figure.layout.title.text)),
            TELLERS[name](run),
            is_wide=name in WIDE or len(narrow) == 1,
            above=list_machines(run, name),
        )
        for name, figure in figures.items()
    ]
    notes = "".join(f'<p class="soft">{escape(words)}</p>' for words in describe_missing(run, figures))
    return f'<div class="charts">{"".join(boxes)}</div>{notes}', {prefix + name: fig for name, fig in figures.items()}


def describe_missing(run: Run, figures: dict[str, go.Figure]) -> list[str]:
    """Say why a chart is not there."""
    reasons = {
        "energy": f"No chart of energy: {run.machine} or its baseline names no technology, so nothing has a price.",
        "roofline": f"No roofline: {run.machine} moves nothing through DRAM.",
        "speedup": "No chart of speed-up: the run has no baseline.",
    }
    return [words for name, words in reasons.items() if name not in figures]


STEPS_FILTERS = {"Step": "step", "Machine": "machine", "Kind": "kind"}


def make_steps_table(run: Run, name: str = "steps") -> tuple[str, dict[str, Any]]:
    """Make the box of the full table, and what the page's script fills it with."""
    columns = [
        {"name": column, "unit": unit, "meaning": meaning, "isWord": column in (*WORD_COLUMNS, "verified"),
         "isShown": column in SHOWN_COLUMNS or (column in ROUNDED_COLUMNS and bool(run.frame[column].notna().any()))}
        for column, unit, meaning in describe_columns()
    ]  # fmt: skip
    box = table_box(name, f"All steps of {run.title}", STEPS_FILTERS, "steps.csv", "conv1 gtw")
    return box, {name: {"csv": run.steps_csv, "columns": columns, "file": f"{run.path.name or 'run'}-steps.csv"}}


def write_configuration(run: Run) -> str:
    """Write version, seed, resolved inputs, and where the technology's figures come from."""
    record = run.record
    facts = [
        ["version", record["version"]],
        ["seed", record["seed"]],
        ["steps", ", ".join(record.get("steps", []))],
        ["layers", record.get("layers", "*")],
        ["operands", record["operand_source"]],
        *([name, value] for name, value in (record.get("operand_facts") or {}).items()),
    ]
    parts = [f'<div class="panel long">{write_table(["what", "value"], facts, long=["value"])}']
    parts += [write_source(words, record.get(field)) for words, field in
              (("Workload", "workload"), ("Architecture", "architecture"), ("Baseline", "baseline"))]  # fmt: skip
    parts += [write_technology(machine, record["machines"].get(machine)) for machine in run.machines]
    return "".join(parts) + "</div>"


def write_source(words: str, data: Any) -> str:
    """Write a resolved input as the YAML that gives it again."""
    if not data:
        return ""
    text = "---\n".join(dump_yaml(item) for item in (data if isinstance(data, list) else [data]))
    return f"<details><summary>{words}, resolved</summary><pre>{escape(text)}</pre></details>"


def write_technology(machine: str, described: dict[str, Any] | None) -> str:
    """Tabulate a machine's units and actions with their prices and sources."""
    if described is None:
        return f'<p class="soft">{escape(machine)} names no technology: it has neither energy nor area.</p>'
    actions = [
        [line["component"], line["action"], line["count"], line["pj_per_action"], line["pj"], line["source"]]
        for line in described["energy"]
    ]
    units = [
        [unit["component"], unit["units"], unit["area_mm2"], unit["leakage_mw"], unit["area_source"]]
        for unit in described["units"]
    ]
    return (
        f"<details><summary>Energy per action of {escape(machine)} ({escape(str(described['technology']))}), with "
        "sources</summary>"
        + write_table(["component", "action", "count", "pJ per action", "pJ", "source"], actions, long=["source"])
        + f"</details><details><summary>Area ({described['area_mm2']:.4g} mm2) and leakage "
        f"({described['leakage_mw']:.4g} mW) of {escape(machine)}</summary>"
        + write_table(["component", "units", "area mm2", "leakage mW", "source of the area"], units,
                      long=["source of the area"])
        + "</details>"
        + write_assumptions(machine, described)
    )  # fmt: skip


def write_assumptions(machine: str, described: dict[str, Any]) -> str:
    """Tabulate the assumed figures that move a machine's energy, and by how much at the ends of their ranges."""
    if not described["assumptions"]:
        return ""
    rows = [
        [one["entry"], f"x{one['low']:g}", f"x{one['high']:g}", *one["swings"]["network"], one["why"]]
        for one in sorted(described["assumptions"], key=lambda one: -max(map(abs, one["swings"]["network"])))
    ]
    return (
        f"<details><summary>Assumed figures of {escape(machine)}: how sure its energy is</summary>"
        + write_table(
            ["assumed figure", "from", "to", "pJ added at low end", "pJ added at high end", "why this range"], rows,
            long=["why this range"],
        )
        + "</details>"
    )  # fmt: skip


def write_limits(run: Run) -> str:
    """State what the numbers leave out."""
    own = []
    if run.record.get("layers", "*") != "*":
        own.append(f"Only the layers that match '{run.record['layers']}' were simulated, without elementwise passes.")
    if "unrepresentative" in str(run.record["operand_source"]):
        own.append(f"The operands are unrepresentative: {run.record['operand_source']}.")
    buffer = run.form.architecture.buffer
    own.append(NO_MULTICAST if buffer is None or buffer.multicast == 1 else SOME_MULTICAST.format(buffer.multicast))
    items = "".join(f"<li>{escape(words)}</li>" for words in (*own, *NOT_MODELLED))
    return f'<div class="panel"><ul>{items}</ul></div>'
