from __future__ import annotations

import plotly.graph_objects as go
import pytest
from browser.small_runs import make_run
from plotly.offline import get_plotlyjs

from reports import figures, layer_bars
from reports.comparison import build_comparison_page, choose_baseline, label_runs, list_entries
from reports.layer_bars import protect
from reports.page import FACTORY_END, FACTORY_START, read_plotly, write_json
from reports.palette import COMPONENT_COLORS, COMPONENT_WORDS, STATE_COLORS, STATE_WORDS, STEP_COLORS, STEP_WORDS
from reports.run_files import COMPUTE_KINDS, Run
from sim.energy import COMPONENTS
from workloads.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs"), "full")


@pytest.fixture(scope="module")
def ideal(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs"), "ideal", "ideal")


def test_the_bars_of_a_machine_sum_to_its_cycles(run: Run) -> None:
    figure = figures.plot_cycles(run)
    assert isinstance(figure, go.Figure)
    for machine in run.machines:
        drawn = sum(sum(trace.y) for trace in figure.data if trace.meta["machine"] == machine)
        assert drawn == run.totals(machine)["cycles"]


def test_the_shares_of_time_of_each_layer_sum_to_one(run: Run) -> None:
    heights: dict[tuple[str, str], float] = {}
    for trace in figures.plot_time(run).data:
        for place, height in zip(trace.x, trace.y, strict=True):
            heights[trace.offsetgroup, place] = heights.get((trace.offsetgroup, place), 0.0) + height
    # Five shares are added in floats.
    assert list(heights.values()) == pytest.approx([1.0] * len(heights), abs=1e-12)


def test_machines_of_many_layers_stand_in_rows_without_patterns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_bars, "CROWD_BARS", 1)
    figure = figures.plot_cycles(run)
    assert {trace.meta["machine"]: trace.yaxis for trace in figure.data} == dict(
        zip(run.machines, ("y", "y2"), strict=True)
    )
    assert all(trace.marker.pattern.shape is None for trace in figure.data)
    assert figure.layout.yaxis2.matches == "y"
    for machine in run.machines:
        drawn = sum(sum(trace.y) for trace in figure.data if trace.meta["machine"] == machine)
        assert drawn == run.totals(machine)["cycles"]


def test_passes_that_dwarf_the_layers_are_cut_and_tell_their_height(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_bars, "CROWD_BARS", 1)
    monkeypatch.setattr(layer_bars, "MOST_TIMES_TALLER", 0)
    figure = figures.plot_cycles(run)
    frame = run.frame[run.frame["kind"].isin(COMPUTE_KINDS)]
    tallest = frame.groupby(["machine", "layer"])["cycles"].sum().max()
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range == (0, 1.15 * tallest)
    passes = run.frame[~run.frame["kind"].isin(COMPUTE_KINDS)].groupby("machine")["cycles"].sum()
    written = [one.text for one in figure.layout.annotations if one.text.startswith("passes")]
    assert written == [f"passes: {layer_bars.write_height(passes[machine])} ▲" for machine in run.machines]


def test_every_step_component_and_state_has_one_colour_of_its_own() -> None:
    assert set(COMPONENT_COLORS) == set(COMPONENT_WORDS) == set(COMPONENTS)
    for colors, words in ((STEP_COLORS, STEP_WORDS), (STATE_COLORS, STATE_WORDS), (COMPONENT_COLORS, COMPONENT_WORDS)):
        assert set(colors) == set(words)
        assert len(set(colors.values())) == len(colors)


def test_a_step_has_the_same_colour_in_every_chart(run: Run) -> None:
    cycles = {trace.meta["part"]: trace.marker.color for trace in figures.plot_cycles(run).data}
    roofline = {trace.meta["part"]: trace.marker.color for trace in figures.plot_roofline(run).data}
    assert {step: roofline[step] for step in ("forward", "gta", "gtw")} == {
        step: cycles[step] for step in ("forward", "gta", "gtw")
    }


def test_no_step_lies_above_the_roof(run: Run) -> None:
    figure = figures.plot_roofline(run)
    array = run.record["architecture"]["array"]
    roof = array["groups"] * array["pes_per_group"] * array["multipliers_per_pe"]
    bandwidth = run.record["architecture"]["dram"]["bytes_per_cycle"]
    points = [point for trace in figure.data[1:] for point in zip(trace.x, trace.y, strict=True)]
    assert points
    assert all(rate <= min(roof, intensity * bandwidth) for intensity, rate in points)


def test_an_ideal_run_has_neither_energy_nor_roofline(ideal: Run) -> None:
    assert list(figures.plot_all(ideal)) == ["cycles", "time", "densities", "utilization", "speedup"]
    with pytest.raises(ValueError, match=r"^small on ideal: a machine without a technology has no energy to draw$"):
        figures.plot_energy(ideal)
    with pytest.raises(ValueError, match=r"^small on ideal: no step moves bytes through DRAM"):
        figures.plot_roofline(ideal)


def test_words_in_a_hover_template_have_no_meaning_there() -> None:
    assert protect("<b>%{x}</b>") == "&lt;b&gt;&#37;&#123;x&#125;&lt;/b&gt;"


def test_data_in_a_page_cannot_end_its_element() -> None:
    assert "<" not in write_json({"words": "</script><!--"})


def test_runs_of_one_title_are_told_apart_by_their_directories(run: Run, ideal: Run) -> None:
    assert label_runs([run, ideal]) == ["small on sparsetrain", "small on ideal"]
    assert label_runs([run, run]) == [f"{run.path} (1)", f"{run.path} (2)"]


def test_a_baseline_that_is_none_of_the_runs_is_refused(run: Run, ideal: Run) -> None:
    entries = list_entries([run, ideal])
    assert choose_baseline(entries, "sparsetrain-dense") == 2
    with pytest.raises(InputError) as caught:
        build_comparison_page([run, ideal], "other")
    known = "small on sparsetrain, small on ideal, small on sparsetrain: sparsetrain-dense, small on ideal: ideal-dense"
    assert str(caught.value) == f"--baseline other: is none of the runs; they are {known}"


def test_plotlys_large_function_is_put_in_parentheses_and_nothing_else_is_changed() -> None:
    before, after = get_plotlyjs(), read_plotly()
    start, end = before.index(FACTORY_START) + FACTORY_START.index("() =>"), before.index(FACTORY_END)
    close = end + FACTORY_END.index("}") + 1
    assert after == f"{before[:start]}({before[start:close]}){before[close:]}"
