from __future__ import annotations

from pathlib import Path

import pytest
from browser.small_runs import make_run
from cli.command import run_command, write_small


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder, "full", trace=True)
    make_run(folder, "slim", "sparsetrain", "array.groups=4")
    return folder


def test_report_writes_one_page_and_tells_its_size(folder: Path) -> None:
    outcome = run_command(folder, "report", "full", "-o", "page.html", "--trace", "full.json.gz")
    size = (folder / "page.html").stat().st_size / 1e6
    assert (outcome.exit_code, outcome.stdout) == (0, f"Page: page.html ({size:.1f} MB)\n")
    assert size < 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["report", "full", "-o", "full"], "--output full: is a directory; a file is needed"),
        (["report", "none", "-o", "p.html"],
         "none: is not a directory; a run is the directory that 'sparsetrain simulate' wrote"),
        (["report", "full", "-o", "p.html", "--baseline", "slim"],
         "--baseline chooses among several runs; only one is given"),
        (["report", "full", "slim", "-o", "p.html", "--trace", "full.json.gz"],
         "--trace shows the timeline of one run; give one RUN"),
        (["compare", "full"], "compare needs two or more runs"),
        (["explain", "full", "conv9"], "'conv9' is no layer of full; they are conv1, conv2, fc, pool1"),
        (["explain", "full", "conv1", "loss"], "layer 'conv1' has no step 'loss' in full; it has forward, gta, gtw"),
        (["explain", "full", "conv1", "--machine", "x"],
         "--machine x: the run has no such machine; it has sparsetrain, sparsetrain-dense"),
    ],
)  # fmt: skip
def test_bad_input_of_a_report_is_one_sentence_and_no_page(folder: Path, arguments: list[str], sentence: str) -> None:
    outcome = run_command(folder, *arguments)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"sparsetrain: {sentence}\n")
    assert not (folder / "p.html").exists()


def test_compare_tells_cycles_and_ratios_of_every_step(folder: Path) -> None:
    outcome = run_command(folder, "compare", "full", "slim")
    assert outcome.exit_code == 0
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert ["conv1", "gtw"] in [line[:2] for line in lines]


ABSENT = """\
name: parts
batch: 1
input: {channels: 3, height: 8, width: 8}
operands: {source: synthetic, seed: 1}
layers:
  - {name: c1, type: conv2d, out_channels: 4, kernel: 3}
  - {name: half, type: split, sizes: [2, 2], part: 0}
  - {name: r, type: relu}
  - {name: c2, type: conv2d, out_channels: 2, kernel: 3, padding: 1}
  - {name: both, type: concat, inputs: [c2, r]}
  - {name: pool, type: max_pool, kernel: 2}
"""


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("half", "half (split) has no step on ideal: it is a part of c1, and read where the whole is stored."),
        ("r", "r (relu) has no step on ideal: it happens where half is written, and costs nothing of its own."),
        ("both", "both (concat) has no step on ideal: c2, r are written into their places in it."),
        ("c2", "c2 (conv2d) has no step on ideal: the run left it out."),
        ("pool", "pool (max_pool) has no step on ideal: it is no more than an elementwise pass, and none of its "
         "passes is in the run."),
    ],
)  # fmt: skip
def test_explain_says_of_a_layer_without_steps_what_it_is(tmp_path: Path, layer: str, words: str) -> None:
    (tmp_path / "net.yaml").write_text(ABSENT)
    run_command(tmp_path, "simulate", "net.yaml", "--arch", "ideal", "--layers", "c1", "--out", "run")
    outcome = run_command(tmp_path, "explain", "run", layer)
    assert (outcome.exit_code, " ".join(outcome.stdout.split())) == (0, words)


def test_explain_tells_counts_prices_bound_and_remedies(folder: Path) -> None:
    outcome = run_command(folder, "explain", "full", "conv1", "gtw")
    assert outcome.exit_code == 0
    for words in ("multiplies", "dram_read_bits", "Bound: ", "What would help most", "without leakage, at 14nm"):
        assert words in outcome.stdout


def test_explain_tells_what_a_task_is_also_of_strips_runs_and_packed_groups(tmp_path: Path) -> None:
    options = ["--set", "array.accumulators=3", "--set", "array.pes_per_group=4", "--no-verify", "--out", "cut"]
    assert run_command(tmp_path, "simulate", write_small(tmp_path), *options).exit_code == 0
    told = {
        (layer, step): run_command(tmp_path, "explain", "cut", layer, step).stdout
        for layer, step in (("conv1", "forward"), ("conv1", "gtw"), ("conv2", "gta"), ("conv2", "gtw"), ("fc", "gta"))
    }
    assert " tasks (one for each image/row/strip/block) and " in told["conv1", "forward"]
    assert " tasks (one for each filter/block/run) and " in told["conv1", "gtw"]
    # Two groups of two filters and two channels: both fit four PEs.
    assert " tasks (one for each image/row/strip/block) and " in told["conv2", "gta"]
    assert " tasks (one for each block/place/run) and " in told["conv2", "gtw"]
    assert " tasks (one for each image/block) and " in told["fc", "gta"]


OTHERS = """\
name: others
input: {channels: 3, height: 8, width: 8}
layers:
  - {name: down, type: conv2d, out_channels: 6, kernel: 4, stride: 4}
  - {name: up, type: conv_transpose2d, out_channels: 6, kernel: 2}
  - {name: rows, type: reshape, shape: [6, 9]}
  - {name: query, type: linear, out_features: 6}
  - {name: key, type: linear, out_features: 6, inputs: [rows]}
  - {name: mixed, type: matmul, inputs: [query, key], transpose_b: true}
operands: {source: synthetic, seed: 1}
"""


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    (folder / "others.yaml").write_text(OTHERS)
    for name, layers in (("all", "*"), ("mixed", "mixed")):
        options = ("--layers", layers, "--no-verify", "--out", name)
        assert run_command(folder, "simulate", "others.yaml", *options).exit_code == 0
    return folder


@pytest.mark.parametrize(
    ("layer", "step", "words"),
    [
        ("up", "forward", "image/row/block"),
        ("up", "gtw", "channel/block"),
        ("query", "gta", "token/block"),
        ("query", "gtw", "filter/block"),
        ("mixed", "forward", "product/row/block"),
        ("mixed", "gtw", "product/column/block"),
    ],
)
def test_explain_tells_tasks_by_what_they_are_in_the_layer(others: Path, layer: str, step: str, words: str) -> None:
    told = run_command(others, "explain", "all", layer, step).stdout
    assert f" tasks (one for each {words}) and 1 tile. " in told
    assert ("first factor 1, second factor 1" in told) == (layer == "mixed")


def test_a_run_without_convolutions_tells_nothing_of_them(others: Path) -> None:
    done = run_command(others, "simulate", "others.yaml", "--layers", "mixed", "--no-verify", "--out", "again")
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("convolutions", "whole"))] == [
        "whole"
    ]
    for name, is_told in (("all", True), ("mixed", False)):
        assert run_command(others, "report", name, "-o", f"{name}.html").exit_code == 0
        page = (others / f"{name}.html").read_text()
        assert ("Speed-up, convolutions" in page) == is_told
        assert (" in convolutions</small>" in page) == is_told
        assert ("no convolution among them" in page) != is_told


def test_explain_tells_bound_and_advice_first_and_sources_only_when_asked(folder: Path) -> None:
    outcome = run_command(folder, "explain", "full", "conv1", "gtw")
    lines = [line.partition(":")[0] for line in outcome.stdout.splitlines()]
    assert lines[1:4] == ["Bound", "What would help most, in cycles that each alone could save at most", "Work"]
    assert "CACTI" not in outcome.stdout
    sourced = run_command(folder, "explain", "full", "conv1", "gtw", "--sources").stdout
    assert sourced.index("source of its price") < sourced.index("14nm: 22 nm hp")


@pytest.mark.parametrize("width", ["60", "80", "120", "160"])
@pytest.mark.parametrize("command", [["compare", "full", "slim"], ["explain", "full", "conv1", "gtw", "--sources"]])
def test_no_line_of_a_table_is_wider_than_the_terminal(folder: Path, command: list[str], width: str) -> None:
    shown = run_command(folder, *command, columns=width).stdout.splitlines()
    # Sentences stay in one line where there is no terminal.
    tables = [line for line in shown if not line.endswith((".", "below)"))]
    assert max(len(line) for line in tables) <= int(width)
    wide = run_command(folder, *command, "--wide", columns=width).stdout
    assert max(len(line) for line in wide.splitlines()) >= max(len(line) for line in tables)
    assert [line for line in wide.splitlines() if "…" in line or "Left out" in line] == []


def test_a_trace_without_its_ending_is_refused_before_anything_is_simulated(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--trace", "events.json")
    sentence = "--trace events.json: the name must end in .json.gz, by which viewers know the format"
    assert (outcome.exit_code, outcome.stderr, outcome.files) == (2, f"sparsetrain: {sentence}\n", ("small.yaml",))


def test_a_traced_run_has_the_results_of_one_that_is_not(tmp_path: Path) -> None:
    small = write_small(tmp_path)
    assert run_command(tmp_path, "simulate", small, "--out", "a").exit_code == 0
    traced = run_command(tmp_path, "simulate", small, "--out", "b", "--trace", "t.json.gz", "--trace-window", ":99")
    assert traced.exit_code == 0
    assert "t.json.gz" in traced.files
    assert (tmp_path / "a" / "actions.csv").read_bytes() == (tmp_path / "b" / "actions.csv").read_bytes()
    first, second = ((tmp_path / name / "steps.csv").read_text() for name in "ab")
    assert first == second
