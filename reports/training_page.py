"""The page of a study of trainings: what pruning does to accuracy, time and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from reports.page import build_page, chart_box, table_box, write_table
from reports.quantities import write_energy
from reports.run_parts import write_source
from reports.training_captions import AIM_WORDS, CAPTIONS, HOW_TO_READ, NO_THRESHOLDS, NORMAL_WORDS
from reports.training_figures import (
    plot_accuracy,
    plot_densities,
    plot_kept,
    plot_loss,
    plot_threshold_ratios,
    plot_thresholds,
)
from reports.training_gain_figures import list_spent, order_scopes, plot_front, plot_ratios
from reports.training_results import (
    DENSE,
    POLICY_WORDS,
    SCOPES,
    Estimate,
    Study,
    TrainingResults,
    list_sites,
    measure_aims,
    read_results,
)
from reports.training_tables import make_training_grid, write_rate
from reports.training_words import (
    describe_interpolation,
    describe_iterations,
    describe_prediction,
    describe_rate,
    describe_rates,
    describe_terms,
    describe_update,
    write_count,
    write_seconds,
    write_share,
    write_width,
)
from sim.training.folder import RECORD
from sim.training.study import read_training
from workloads.pruners.normal import share_left

FLOAT_FORMAT = "%.6g"
Part = tuple[str, str, str]
Figures = dict[str, go.Figure]
EPOCH_MEANINGS = {
    "rate": ("", "Rate of pruning; 0 prunes nothing."),
    "seed": ("", "Seed of the first weights, the order of images and all other draws."),
    "epoch": ("", "Passes over the training images, from 1."),
    "iterations": ("", "Done by the end of the epoch, in all epochs."),
    "learning_rate": ("", "Of the epoch's last iteration."),
    "loss": ("", "Mean over the epoch's iterations, while the weights change."),
    "accuracy": ("fraction", "On training images, mean over the epoch's iterations, while the weights change."),
    "test_loss": ("", "Of the test images behind the epoch."),
    "test_accuracy": ("fraction", "Of the test images behind the epoch."),
    "gradient_density": ("fraction", "Nonzeros of the gradients that layers read, each layer counting once."),
}
HIDDEN_COLUMNS = ("iterations", "learning_rate", "test_loss")


def is_study(path: Path) -> bool:
    """Tell whether a path is the folder of trainings."""
    return (path / RECORD).is_file()


def read_page(path: Path) -> str:
    """Build the page of a folder of trainings.

    Raises:
        InputError: a file of it is missing or damaged, or no training has ended.
    """
    return build_training_page(read_training(path))


def build_training_page(study: Study) -> str:
    """Build the page of a study.

    Raises:
        InputError: a table is empty, or lacks a column.
    """
    results = read_results(study)
    figures: Figures = {}
    parts: list[Part] = [("costs", "What a training takes", write_costs(results))] if results.has_machine else []
    for make in (make_learning, make_densities, make_thresholds, make_front, make_gains):
        part, drawn = make(results)
        parts.append(part)
        figures |= drawn
    table, data = make_epochs_table(results)
    parts += [
        ("epochs", "All epochs", table),
        ("reading", "How to read this page", write_list(list_readings(results))),
        ("inputs", "What was trained", write_inputs(results)),
    ]
    return build_page(title_of(results), write_header(results), parts, figures, tables=data)


def list_readings(results: TrainingResults) -> list[str]:
    """List what a reader has to know."""
    return [describe_rates(results), *([NORMAL_WORDS, AIM_WORDS] if results.has_thresholds else []), *HOW_TO_READ]


def title_of(results: TrainingResults) -> str:
    """Give the title of the page."""
    return f"Training of {results.name}{', with and without pruning' if len(results.rates) > 1 else ''}"


def write_header(results: TrainingResults) -> str:
    """Write the top of the page: the answer in words, and the table."""
    record = results.record
    count, seeds = len(results.tables["runs"]), max(results.seeds(rate) for rate in results.rates)
    trained = (
        f"{write_count(count, 'training')} of {write_count(record['epochs'], 'epoch')}: rate"
        f"{'s' if len(results.rates) > 1 else ''} {', '.join(map(write_rate, results.rates))}, "
        f"{write_count(seeds, 'seed')}{' each' if len(results.rates) > 1 else ''}."
    )
    further = (*describe_terms(results), *describe_iterations(results), *describe_interpolation(results))
    lines = [
        f"<h1>{escape(title_of(results))}</h1>",
        f"<p>{write_words(trained)}</p>",
        *(f'<p class="notice bad">{write_words(words)}</p>' for words in list_warnings(results)),
        write_list([describe_rate(results, rate) for rate in results.rates]),
        *(f"<p>{write_words(words)}</p>" for words in further),
        *(f'<p class="soft">{write_words(f"Notice: {words}.")}</p>' for words in list_notices(results, further)),
        write_summary(results),
    ]
    return "\n".join(lines)


def list_notices(results: TrainingResults, told: Sequence[str]) -> list[str]:
    """List the notices of a study that nothing else tells."""
    known = " ".join(told).lower()
    return [str(words) for words in results.record.get("notices") or () if str(words).lower() not in known]


def write_words(words: str) -> str:
    """Escape a sentence; numbers stay in a line with what belongs to them."""
    return escape(words).replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0")


def list_warnings(results: TrainingResults) -> list[str]:
    """Say which trainings are missing, and why."""
    record = results.record
    wanted = len(record.get("rates", ())) * len(record.get("seeds", ()))
    missing = wanted - len(results.tables["runs"])
    found = [f"{missing} of {wanted} trainings have not ended: this page is of the others."] if missing > 0 else []
    return found + [f"{name}: {words}" for name, words in (record.get("failures") or {}).items()]


def write_summary(results: TrainingResults) -> str:
    """Tabulate mean and standard deviation over the seeds of each rate."""
    grid = make_training_grid(results.tables["table"])
    target = results.record.get("target_accuracy")
    words = "Mean ± standard deviation over the seeds; gradient density: the mean over layers and epochs"
    if target is not None and any("target" in column.name for column in grid.columns):
        words += f". Target: a test accuracy of {write_share(target, 2)}"
    rows = [list(row) for row in grid.rows]
    columns = [column.name for column in grid.columns]
    heading = "What does pruning do?" if results.pruned_rates else "What did training reach?"
    table = write_table(columns, rows)
    return f'<div class="panel"><h3>{heading}</h3>{table}<p class="soft">{write_words(words)}.</p></div>'


def write_costs(results: TrainingResults) -> str:
    """Tabulate what whole trainings and their iterations take, without and with each kind of skipping."""
    rows = []
    first = results.rates[0]
    wanted = [(first, policy) for policy in POLICY_WORDS if policy != "pruned"]
    wanted += [(rate, "pruned") for rate in results.pruned_rates]
    for rate, policy in wanted:
        cycles, energy = results.total(rate, policy, "cycles"), results.total(rate, policy, "energy")
        if cycles is not None:
            rows.append(list_costs(results, rate, policy, cycles, energy))
    if not rows:
        return ""
    columns = [
        "machine", "rate", "cycles of the training", "interval", "time", "energy", "cycles of an iteration",
        "energy of an iteration",
    ]  # fmt: skip
    words = " ".join(
        (
            "Means over the seeds. The interval is that of the cycles of all epochs, at about 95 %. Energy is that of "
            "the machine with its DRAM and leakage.",
            describe_update(results),
        )
    )
    return f'<div class="panel">{write_table(columns, rows, long=["machine"])}<p class="soft">{words}</p></div>'


def list_costs(
    results: TrainingResults, rate: float, policy: str, cycles: Estimate, energy: Estimate | None
) -> list[object]:
    """List what a training takes with a kind of skipping."""
    count = results.iterations(rate)
    clock = results.setting("architecture", "clock_mhz")
    time = write_seconds(cycles.value / clock / 1e6) if isinstance(clock, int | float) else "-"
    return [
        POLICY_WORDS[policy],
        "any" if policy == DENSE else write_rate(rate),
        f"{cycles.value:,.0f}",
        write_width(cycles),
        time,
        "-" if energy is None else write_energy(energy.value),
        f"{cycles.value / count:,.0f}",
        "-" if energy is None else write_energy(energy.value / count),
    ]


def make_learning(results: TrainingResults) -> tuple[Part, Figures]:
    """Make the learning curves."""
    figures = {"accuracy": plot_accuracy(results), "loss": plot_loss(results)}
    if results.tables["epochs"][["accuracy", "test_accuracy"]].isna().all(axis=None):
        figures.pop("accuracy")
    return ("learning", "Learning curves", write_charts(figures)), figures


def make_densities(results: TrainingResults) -> tuple[Part, Figures]:
    """Make the heat maps of densities."""
    heading = "Densities by layer and epoch"
    found = set(results.tables["tensors"]["tensor"]) if len(results.tables["tensors"]) else set()
    kinds = {"gradients": "grad_output", "inputs": "input"}
    figures = {name: plot_densities(results, tensor) for name, tensor in kinds.items() if tensor in found}
    if not figures:
        return ("densities", heading, write_absence("No densities were counted.")), {}
    above = write_choice(
        "densities", "Rate of pruning", [(write_rate(rate), write_rate(rate)) for rate in results.rates]
    )
    return ("densities", heading, write_charts(figures, above)), figures


def make_thresholds(results: TrainingResults) -> tuple[Part, Figures]:
    """Make the charts of thresholds, predicted and true, and of what pruning leaves."""
    heading = "Thresholds and what they leave"
    if not results.has_sites:
        return ("thresholds", heading, write_absence("Nothing was pruned, so that there are no thresholds.")), {}
    figures: Figures = {}
    above = ""
    if results.has_thresholds:
        figures = {"thresholds": plot_thresholds(results), "quotients": plot_threshold_ratios(results)}
        above = write_choice("gradients", "Gradient to the output of", list_options(results))
    boxes = "".join(write_box(name, figure, is_wide=False, above=above) for name, figure in figures.items())
    figures["kept"] = plot_kept(results)
    boxes += write_box("kept", figures["kept"], is_wide=True)
    told = describe_prediction(results) if results.has_thresholds else NO_THRESHOLDS
    markup = f'{f"<p>{write_words(told)}</p>" if told else ""}<div class="charts">{boxes}</div>{write_aims(results)}'
    return ("thresholds", heading, markup), figures


def list_options(results: TrainingResults) -> list[tuple[str, str]]:
    """List the pruned gradients, each with what it is called in a choice."""
    sites = results.tables["sites"]
    places = dict(zip(sites["node"], sites["place"], strict=True))
    words = {"batch_norm": "before batch norm", "behind_mask": "behind a mask", "for_gta": "for GTA alone"}
    return [(node, f"{node} ({words.get(places[node], places[node])})") for node in list_sites(results)]


def write_aims(results: TrainingResults) -> str:
    """Tabulate what each rate aims at and what it left."""
    columns = ["rate", "density before", "density aimed at", "density left", "left of the nonzeros", "least and most"]
    rows: list[list[str]] = []
    for aim in measure_aims(results):
        shares = [write_share(share) for share in (aim.before, aim.aimed, aim.after, aim.kept)]
        rows.append([write_rate(aim.rate), *shares, f"{write_share(aim.least)} to {write_share(aim.most)}"])
        if results.has_thresholds:
            rows[-1] += [write_share(share_left(aim.rate)), write_share(aim.below)]
    if results.has_thresholds:
        columns += ["left of normal values", "nonzeros below the threshold"]
    words = "Means over gradients and seeds, of the last epoch. Densities are shares of all elements of a gradient."
    return (
        f'<div class="panel"><h3>Aimed and achieved</h3>{write_table(columns, rows)}<p class="soft">{words}</p></div>'
    )


def make_front(results: TrainingResults) -> tuple[Part, Figures]:
    """Make the front of accuracy and energy."""
    heading = "Accuracy against energy"
    if list_spent(results).empty:
        why = "there are no test images" if results.has_energy else "no iteration was executed on a machine with prices"
        return ("front", heading, write_absence(f"No chart of accuracy against energy: {why}.")), {}
    figures = {"front": plot_front(results)}
    return ("front", heading, write_charts(figures)), figures


def make_gains(results: TrainingResults) -> tuple[Part, Figures]:
    """Make the charts of speed-up and energy ratio by epoch."""
    heading = "Speed-up and energy over the epochs"
    if not results.has_machine:
        return ("gains", heading, write_absence("No chart of speed-up: no iteration was executed on a machine.")), {}
    if all(results.gain(rate, "", "speedup") is None for rate in results.rates):
        return ("gains", heading, write_absence("No chart of speed-up: there is no dense machine to compare with.")), {}
    figures = {"cycles": plot_ratios(results, "cycles")}
    if results.has_energy:
        figures["energy"] = plot_ratios(results, "energy")
    options = [(SCOPES[scope], SCOPES[scope]) for scope in order_scopes(results)]
    return ("gains", heading, write_charts(figures, write_choice("scopes", "Of", options))), figures


def write_charts(figures: Figures, above: str = "") -> str:
    """Write the boxes of charts, two beside one another where there are two."""
    boxes = "".join(write_box(name, figure, is_wide=len(figures) == 1, above=above) for name, figure in figures.items())
    return f'<div class="charts">{boxes}</div>'


def write_box(name: str, figure: go.Figure, *, is_wide: bool, above: str = "") -> str:
    """Write the box of a chart."""
    return chart_box(name, unescape(str(figure.layout.title.text)), CAPTIONS[name], is_wide=is_wide, above=above)


def write_choice(group: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    """Write what chooses the traces of charts: a value and its words for each option, the first of them chosen."""
    if len(options) < 2:
        return ""
    items = "".join(f'<option value="{escape(value)}">{escape(words)}</option>' for value, words in options)
    select = f'<select data-choose="{escape(group)}">{items}</select>'
    return f'<div class="controls"><label>{escape(label)}{select}</label></div>'


def write_absence(words: str) -> str:
    """Say why something is not there."""
    return f'<p class="soft">{escape(words)}</p>'


def write_list(sentences: Sequence[str]) -> str:
    """Write sentences below one another."""
    items = "".join(f"<li>{write_words(words)}</li>" for words in sentences)
    return f'<div class="panel"><ul>{items}</ul></div>'


def make_epochs_table(results: TrainingResults) -> tuple[str, dict[str, Any]]:
    """Make the box of all epochs, and what the page's script fills it with."""
    frame = results.tables["epochs"]
    kept = [name for name in frame.columns if frame[name].notna().any()]
    columns = [
        {"name": name, "unit": unit, "meaning": meaning, "isWord": False, "isShown": name not in HIDDEN_COLUMNS}
        for name, (unit, meaning) in EPOCH_MEANINGS.items()
        if name in kept
    ]
    csv = frame[kept].to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    box = table_box("epochs", "All epochs", {"Rate": "rate", "Seed": "seed", "Epoch": "epoch"}, "epochs.csv", "")
    return box, {"epochs": {"csv": csv, "columns": columns, "file": f"{results.name}-epochs.csv"}}


def write_inputs(results: TrainingResults) -> str:
    """Write the version, the host, and all inputs as the YAML that gives them again."""
    record = results.record
    facts = [[name, record[name]] for name in ("version", "host", "epochs") if name in record]
    parts = [write_table(["what", "value"], facts)]
    for name, data in (record.get("inputs") or {}).items():
        if isinstance(data, Mapping) or (isinstance(data, list) and data and isinstance(data[0], Mapping)):
            parts.append(write_source(name.replace("_", " ").capitalize(), data))
    return f'<div class="panel long">{"".join(parts)}</div>'
