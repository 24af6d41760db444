from __future__ import annotations

from pathlib import Path

import pytest
from browser.perfetto import ask, open_perfetto, open_trace
from playwright.sync_api import Browser

from reports.run_files import Run
from reports.timeline import read_timeline
from sim.results.stored_file import name_file
from workloads.errors import InputError

SUMS = "select name, count(*) as slices, sum(dur) / 1000 as cycles from slice group by name"
PROBLEMS = "select name, value from stats where value > 0 and severity in ('error', 'data_loss')"


def test_perfetto_counts_the_slices_and_cycles_that_the_simulator_counts(
    browser: Browser, run: Run, folder: Path
) -> None:
    rows = run.rows(run.machine)
    steps = rows[rows["tasks"] > 0]
    with open_perfetto(browser) as page:
        assert open_trace(page, folder / "full.json.gz")
        assert ask(page, PROBLEMS, "name", "value") == []
        found = {name: (slices, cycles) for name, slices, cycles in ask(page, SUMS, "name", "slices", "cycles")}
        total = ask(page, "select 'all' as name, count(*) as slices from slice", "name", "slices")[0][1]
        last = ask(page, "select 'end' as name, max(ts + dur) / 1000 as cycle from slice", "name", "cycle")[0][1]
    words = {
        "busy": "busy_cycles",
        "waiting for operands": "wait_operands_cycles",
        "waiting for DRAM": "wait_dram_cycles",
        "stalled by the PPU": "wait_ppu_cycles",
        "idle": "idle_cycles",
        "process": "ppu_busy_cycles",
    }
    for name, column in words.items():
        assert found.get(name, (0, 0))[1] == steps[column].sum()
    # A task whose results must be zero hands nothing to the PPU.
    assert found["results"][0] == found["process"][0] <= found["task"][0] == steps["tasks"].sum()
    assert found["tile"][0] == steps["tiles"].sum()
    assert found["operands"][1] + found["PPU transfer"][1] == steps["ports_busy_cycles"].sum()
    assert found["load"][1] + found["write-back"][1] == steps["dram_busy_cycles"].sum()
    for layer, step, cycles in rows[["layer", "step", "cycles"]].itertuples(index=False):
        assert found[f"{layer} {step}"] == (1, cycles)
    assert last == run.totals(run.machine)["cycles"]
    assert total == read_timeline(folder / "full.json.gz").about.slices


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_a_trace_that_is_cut_short_is_refused_by_perfetto_and_by_the_report(
    browser: Browser, run: Run, folder: Path, tmp_path: Path, kept: float
) -> None:
    assert run.path.parent == folder
    whole = (folder / "full.json.gz").read_bytes()
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(whole[: int(kept * len(whole))])
    with open_perfetto(browser) as page:
        assert not open_trace(page, cut)
    message = "Compressed file ended before the end-of-stream marker was reached"
    with pytest.raises(InputError) as caught:
        read_timeline(cut)
    assert str(caught.value) == f"{name_file(cut)}: is not a whole trace of 'sparsetrain simulate --trace' ({message})"
