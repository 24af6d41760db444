"""`--sample`: what is simulated, what is written, what is refused."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cli.command import run_command

from reports.sampled_words import write_width
from sim import simulate
from sim.results.rows import ENERGY_COLUMNS, describe_columns
from sim.step import sampled_run as step_run
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.profile_tensors import ProfiledNetwork

BATCH = 24
NETWORK = """\
name: batch
batch: 24
input: {channels: 4, height: 10, width: 10}
layers:
  - {name: conv1, type: conv2d, out_channels: 6, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1, bias: false}
  - {name: bn2, type: batch_norm}
  - {name: relu2, type: relu}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 12}
  - {name: loss, type: softmax_cross_entropy}
"""
PROFILE = "layer,tensor,density\nrelu1,output,0.5\nrelu2,output,0.4\n"
CLUSTERED = (
    "operands: {source: profile, path: own.csv, seed: 2, clustering: {image_variance: 0.1}}\npruning: {rate: 0.8}\n"
)
UNPRUNED = CLUSTERED.partition("pruning")[0]
SYNTHETIC = "operands: {source: synthetic, seed: 2, density: {input: 0.5, grad_output: 0.3}}\n"
HOST = "operands: {source: host, dataset: fashion_mnist, seed: 2, images: {resize: 10, channels: 3}}\n"
SMALL_BUFFER = ("buffer.capacity_bytes=2500", "buffer.operand_store_bytes=256", "array.groups=4")
OPTIONS = tuple(part for change in SMALL_BUFFER for part in ("--set", change))


def write_network(folder: Path, operands: str = CLUSTERED) -> Path:
    (folder / "own.csv").write_text(PROFILE)
    path = folder / "net.yaml"
    channels = "channels: 3" if operands is HOST else "channels: 4"
    path.write_text(NETWORK.replace("channels: 4", channels) + operands)
    return path


def read_rows(directory: Path) -> list[dict[str, str]]:
    with (directory / "steps.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("arch", ["sparsetrain", "ideal"])
@pytest.mark.parametrize("seed", [2, 3, 4])
@pytest.mark.parametrize(
    "source", [SYNTHETIC, HOST, CLUSTERED, UNPRUNED], ids=["synthetic", "host", "profile", "profile without pruning"]
)
def test_a_sample_of_everything_is_the_full_run(tmp_path: Path, arch: str, source: str, seed: int) -> None:
    path, changes = write_network(tmp_path, source), SMALL_BUFFER if arch == "sparsetrain" else SMALL_BUFFER[2:]
    full = simulate(path, arch, overrides=changes, verify=False, seed=seed)
    sampled = simulate(path, arch, overrides=changes, sample=1, seed=seed)
    assert sampled.frame.equals(full.frame)
    assert sampled.record["totals"] == full.record["totals"]
    assert (full.record["sampling"], sampled.record["verdict"]) == (None, "not verified")


def test_rows_cut_for_several_multipliers_cost_what_they_do_in_the_full_run(tmp_path: Path) -> None:
    path = write_network(tmp_path, SYNTHETIC)
    changes, chosen = (*SMALL_BUFFER, "array.multipliers_per_pe=2"), {"layers": "fc", "verify": False}
    full = simulate(path, "sparsetrain", overrides=changes, **chosen).frame
    single = simulate(path, "sparsetrain", overrides=SMALL_BUFFER, **chosen).frame
    sampled = simulate(path, "sparsetrain", overrides=changes, sample=1, **chosen).frame
    cut = full["step"] == "forward"
    assert (full[cut]["overhead_cycles"] > single[cut]["overhead_cycles"]).all()
    assert sampled["overhead_cycles"].tolist() == full["overhead_cycles"].tolist()
    assert sampled["accumulator_pj"].tolist() == full["accumulator_pj"].tolist()


def test_a_run_without_a_sample_has_no_intervals(tmp_path: Path) -> None:
    frame = simulate(write_network(tmp_path, SYNTHETIC), overrides=SMALL_BUFFER, verify=False).frame
    assert set(frame["cycles_ci95"]) == set(frame["energy_ci95_pj"]) == {0.0}
    assert set(frame["sampled_fraction"]) == {1.0}


def test_a_sampled_run_tells_its_share_and_its_intervals(tmp_path: Path) -> None:
    result = simulate(write_network(tmp_path), overrides=SMALL_BUFFER, sample=0.2)
    frame, record = result.frame, result.record["sampling"]
    steps = frame[frame["tiles"] > 0]
    assert (record["asked"], record["seed"], record["confidence"]) == (0.2, 2, 0.95)
    for machine, found in record["machines"].items():
        mine = steps[steps["machine"] == machine]
        shares = mine["sampled_fraction"] * mine["tiles"]
        assert found["sampled_fraction"] == pytest.approx(shares.sum() / mine["tiles"].sum())
        assert found["sampled_fraction"] < 0.6
        assert found["network"]["cycles_ci95"] < mine["cycles_ci95"].sum() or machine.endswith("-dense")
    sparse = steps[(steps["machine"] == result.machines[0].name) & (steps["sampled_fraction"] < 1)]
    assert (sparse["cycles_ci95"] > 0).all()
    assert (sparse["energy_ci95_pj"] > 0).all()
    dense = steps[steps["machine"] == result.machines[1].name]
    assert (dense["cycles_ci95"] == 0).all()


def test_rows_of_a_sampled_run_keep_the_laws_of_full_ones(tmp_path: Path) -> None:
    frame = simulate(write_network(tmp_path), overrides=SMALL_BUFFER, sample=0.2).frame
    states = [name for name, unit, _ in describe_columns() if unit == "group-cycles"]
    assert (frame[states].sum(axis=1) == 4 * frame["cycles"]).all()
    assert (frame[states] >= 0).all().all()
    parts = [name for name in ENERGY_COLUMNS if name not in ("energy_pj", "dynamic_pj")]
    assert frame[parts].sum(axis=1).to_numpy() == pytest.approx(frame["energy_pj"].to_numpy())
    assert not frame["verified"].any()
    assert set(frame["verdict"]) == {"none"}


def test_the_same_seed_gives_the_same_bytes_in_any_number_of_processes(tmp_path: Path) -> None:
    write_network(tmp_path)
    for out, more in (("one", ()), ("two", ("--jobs", "2")), ("again", ())):
        done = run_command(tmp_path, "simulate", "net.yaml", *OPTIONS, "--sample", "0.2", "--out", out, *more)
        assert (done.exit_code, done.stderr) == (0, "")
    for name in ("steps.csv", "run.json"):
        texts = {(tmp_path / out / name).read_bytes() for out in ("one", "two", "again")}
        assert len(texts) == 1


def test_passes_of_a_sampled_run_are_estimates_without_an_interval(tmp_path: Path) -> None:
    frame = simulate(write_network(tmp_path), overrides=SMALL_BUFFER, sample=0.2).frame
    for _, mine in frame.groupby("machine"):
        passes, steps = mine[mine["tasks"] == 0], mine[mine["tiles"] > 0]
        share = (steps["sampled_fraction"] * steps["tiles"]).sum() / steps["tiles"].sum()
        assert len(passes) > 0
        assert share < 1
        assert passes["sampled_fraction"].to_numpy() == pytest.approx(share)
        assert set(passes["cycles_ci95"]) == {0.0}


@pytest.mark.parametrize(
    ("width", "fraction", "words"),
    [(0.0, 1.0, "exact"), (0.0, 0.5, "±0.00%"), (2.0, 0.5, "±1.00%"), (2.0, 1.0, "±1.00%"), (None, 1.0, "-")],
)
def test_only_what_was_simulated_whole_is_called_exact(width: float | None, fraction: float, words: str) -> None:
    assert write_width(width, 200, fraction) == words


def test_another_seed_draws_others(tmp_path: Path) -> None:
    path = write_network(tmp_path)
    cycles = [simulate(path, overrides=SMALL_BUFFER, sample=0.2, seed=seed).frame["cycles"] for seed in (2, 3)]
    assert not cycles[0].equals(cycles[1])


@pytest.mark.parametrize("source", [CLUSTERED, HOST], ids=["profile", "host"])
def test_auto_keeps_total_cycles_within_one_percent(tmp_path: Path, source: str) -> None:
    notices: list[str] = []
    path = write_network(tmp_path, source)
    result = simulate(path, overrides=SMALL_BUFFER, sample="auto", on_notice=notices.append)
    totals, record = result.totals["machines"], result.record["sampling"]
    assert record["asked"] == "auto"
    for machine, found in record["machines"].items():
        share = found["network"]["cycles_ci95"] / totals[machine]["network"]["cycles"]
        assert share <= 0.01
    assert notices == []


def test_images_that_are_not_looked_at_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, set[int]] = {}
    make = ProfiledNetwork.layer

    def note(self: ProfiledNetwork, name: str, images: Sequence[int] | None = None) -> Operands:
        made.setdefault(name, set()).update(range(BATCH) if images is None else images)
        return make(self, name, images)

    monkeypatch.setattr(ProfiledNetwork, "layer", note)
    simulate(write_network(tmp_path), overrides=SMALL_BUFFER, sample=0.05, steps=("forward",), layers="conv*")
    assert set(made) == {"conv1", "conv2"}
    assert all(len(images) < BATCH / 2 for images in made.values())


def test_tables_show_the_interval_beside_the_figure(tmp_path: Path) -> None:
    write_network(tmp_path)
    done = run_command(tmp_path, "simulate", "net.yaml", *OPTIONS, "--sample", "0.2", "--out", "run")
    row = next(row for row in read_rows(tmp_path / "run") if row["layer"] == "conv2" and row["step"] == "gta")
    width = f"±{float(row['cycles_ci95']) / int(row['cycles']):.2%}"
    lines = done.stdout.splitlines()
    assert any(f"{int(row['cycles']):,}" in line and width in line for line in lines)
    assert "Verdict: not verified; a sampled run computes no values." in lines
    record: Any = json.loads((tmp_path / "run" / "run.json").read_text())
    found, cycles = (record[place]["machines"][record["architecture"]["name"]] for place in ("sampling", "totals"))
    total = f"±{found['network']['cycles_ci95'] / cycles['network']['cycles']:.2%}"
    assert any(line.startswith("whole network") and total in line for line in lines)
    explained = run_command(tmp_path, "explain", "run", "conv2", "gta").stdout
    assert f"cycles ({width}, estimated from {float(row['sampled_fraction']):.2%} of the tiles)" in explained
    explained = run_command(tmp_path, "explain", "run", "bn2", "forward").stdout
    assert f"(estimated, without an interval, from {found['sampled_fraction']:.2%} of the tiles" in explained
    run_command(tmp_path, "simulate", "net.yaml", *OPTIONS, "--sample", "0.5", "--out", "other")
    assert total in run_command(tmp_path, "compare", "run", "other").stdout
    run_command(tmp_path, "report", "run", "-o", "page.html")
    assert f"Sampled (0.2): {found['sampled_fraction']:.2%} on sparsetrain" in (tmp_path / "page.html").read_text()


REFUSED = [
    (("--sample", "all"), "sample must be auto, or a fraction above 0 and at most 1, got 'all'"),
    (("--sample", "0"), "sample must be auto, or a fraction above 0 and at most 1, got '0'"),
    (("--sample", "1.5"), "sample must be auto, or a fraction above 0 and at most 1, got '1.5'"),
    (("--sample", "nan"), "sample must be auto, or a fraction above 0 and at most 1, got 'nan'"),
    (("--sample", "0_1"), "sample must be auto, or a fraction above 0 and at most 1, got '0_1'"),
    (
        ("--sample", "auto", "--save-outputs", "values.npz"),
        "a sampled run computes no values, so that none can be saved; leave out sample or save_outputs",
    ),
    (
        ("--sample", "auto", "--trace", "trace.json.gz"),
        "a sampled run executes no whole step that could be traced; leave out sample or trace",
    ),
    (
        ("--sample", "auto", "--engine", "simpy"),
        "a sampled run executes single tiles, which only the engine 'compiled' does, got 'simpy'",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_what_a_sampled_run_cannot_give_is_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    write_network(tmp_path)
    done = run_command(tmp_path, "simulate", "net.yaml", *options, "--out", "run")
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"sparsetrain: {message}\n")
    assert not (tmp_path / "run").exists()


ATTENTION = """\
name: attention
input: {channels: 3, height: 8, width: 8}
layers:
  - {name: patches, type: conv2d, out_channels: 6, kernel: 4, stride: 4}
  - {name: rows, type: reshape, shape: [6, 4]}
  - {name: tokens, type: transpose, axes: [2, 1]}
  - {name: query, type: linear, out_features: 6}
  - {name: key, type: linear, out_features: 6, inputs: [tokens]}
  - {name: mixed, type: matmul, inputs: [query, key], transpose_b: true}
  - {name: flat, type: flatten}
  - {name: head, type: linear, out_features: 10}
operands: {source: synthetic, seed: 1}
"""
PRODUCTS = "products of two activations (a tile has second factors of its own images) in mixed"
TOKENS = "linear on tokens (a tile need not hold whole images) in query, key"


@pytest.mark.parametrize(
    ("options", "reasons", "way"),
    [
        ((), f"{PRODUCTS}; {TOKENS}", ", or choose with --layers among patches, head"),
        (("--layers", "[qk]*"), TOKENS, ""),
    ],
    ids=["memory", "tokens"],
)
def test_layers_of_which_no_tiles_can_be_drawn_are_named_before_anything_runs(
    tmp_path: Path, options: tuple[str, ...], reasons: str, way: str
) -> None:
    (tmp_path / "net.yaml").write_text(ATTENTION)
    done = run_command(tmp_path, "simulate", "net.yaml", *options, "--sample", "auto", "--out", "run")
    message = f"the run cannot be sampled because of {reasons}; leave the sample away{way}"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"sparsetrain: {message}\n")


def test_all_layers_of_such_a_network_are_sampled_on_an_ideal_machine(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(ATTENTION)
    done = run_command(tmp_path, "simulate", "net.yaml", "--arch", "ideal", "--sample", "auto", "--out", "run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert {row["layer"] for row in read_rows(tmp_path / "run")} == {"patches", "query", "key", "mixed", "head"}


@pytest.mark.parametrize("seed", [2, 3])
def test_a_sample_of_all_images_of_a_product_is_the_full_run(tmp_path: Path, seed: int) -> None:
    (tmp_path / "net.yaml").write_text(ATTENTION.replace("name: attention", "name: attention\nbatch: 12"))
    changes = ("array.groups=3", "array.pes_per_group=2")
    full = simulate(tmp_path / "net.yaml", "ideal", overrides=changes, verify=False, seed=seed)
    sampled = simulate(tmp_path / "net.yaml", "ideal", overrides=changes, sample=1, seed=seed)
    assert sampled.frame.equals(full.frame)
    part = simulate(tmp_path / "net.yaml", "ideal", overrides=changes, sample=0.5, seed=seed).frame
    rows = (part["layer"] == "mixed") & part["machine"].str.endswith("-dense")
    # On the dense machine all images are alike: their tasks are dealt as those of the whole batch are.
    assert part[rows]["row_ops"].tolist() == full.frame[rows]["row_ops"].tolist()
    assert part[rows]["tasks"].tolist() == full.frame[rows]["tasks"].tolist()


def test_the_other_layers_of_such_a_network_are_sampled(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(ATTENTION)
    done = run_command(tmp_path, "simulate", "net.yaml", "--layers", "*a[td]*", "--sample", "auto", "--out", "run")
    assert done.exit_code == 0
    assert {row["layer"] for row in read_rows(tmp_path / "run")} == {"patches", "head"}


@pytest.mark.parametrize("sample", [[0.1], {"fraction": 0.1}, True], ids=str)
def test_what_is_no_fraction_is_refused_in_python_too(tmp_path: Path, sample: Any) -> None:
    message = f"sample must be auto, or a fraction above 0 and at most 1, got '{sample}'"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        simulate(write_network(tmp_path), sample=sample)


def test_a_dataflow_that_lowers_whole_steps_only_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_network(tmp_path)
    monkeypatch.setattr(step_run, "load_dataflow", lambda *_: object())
    done = run_command(tmp_path, "simulate", "net.yaml", "--sample", "0.5", "--out", "run")
    assert (done.exit_code, done.stderr) == (
        2,
        "sparsetrain: the dataflow 'sparsetrain' of 'sparsetrain' cannot be sampled: it lowers whole steps only "
        "(plan_tiles, pack_tiles and count are missing); leave the sample away\n",
    )
