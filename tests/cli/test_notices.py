"""Runs that are dead or odd say so: on stderr, in the record, at the table's foot and on pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli.command import run_command

from sim.iteration.notices import tell_single_values
from sim.run import RunResult, simulate
from workloads.workload import load_workload

SIZE = "batch: 1\ninput: {channels: 3, height: 8, width: 8}\n"
HOST = "operands: {source: host, dataset: fashion_mnist, seed: 1, images: {resize: 8, channels: 3}}\n"
BATCH_NORM = f"""\
name: one-value
{SIZE}layers:
  - {{name: c1, type: conv2d, out_channels: 4, kernel: 3}}
  - {{name: g, type: global_avg_pool}}
  - {{name: c2, type: conv2d, out_channels: 6, kernel: 1, bias: false}}
  - {{name: bn, type: batch_norm}}
  - {{name: r, type: relu}}
  - {{name: f, type: flatten}}
  - {{name: fc, type: linear, out_features: 10}}
  - {{name: loss, type: softmax_cross_entropy}}
{HOST}"""
ONE_VALUE = (
    "batch norm 'bn' has one value of each channel to normalise (1 image of 1 x 1): it writes its shift whatever it "
    "reads, and hands back no gradient"
)
NO_GRADIENT = (
    "the gradient to the output of 'c1' and 'c2' is all zero: nothing is learned there, and what skipping saves there "
    "says nothing of training"
)
NO_INPUT = (
    "the input of 'fc' is all zero: its weights learn nothing, and what skipping saves there says nothing of training"
)
RECORDED = """\
name: recorded
batch: 1
input: {channels: 2, height: 4, width: 4}
layers:
  - {name: a, type: conv2d, out_channels: 3, kernel: 3, bias: false}
  - {name: b, type: conv2d, out_channels: 3, kernel: 1, bias: false}
"""
FIRST_GTA = (
    "the gta of 'a', whose input needs no gradient in training, counts in the totals; operands: {source: recorded, "
    "first_layer_gta: false} leaves it out"
)


def write_recorded(folder: Path, more: str = "", **zeros: float) -> Path:
    """Write a network of two layers and its recording; zeros: tensors, ``a_weight`` for one, to fill with a number."""
    shapes = {
        "a/input": (1, 2, 4, 4), "a/weight": (3, 2, 3, 3), "a/grad_output": (1, 3, 2, 2),
        "b/input": (1, 3, 2, 2), "b/weight": (3, 3, 1, 1), "b/grad_output": (1, 3, 2, 2),
    }  # fmt: skip
    tensors = {
        name: np.full(shape, zeros.get(name.replace("/", "_"), 1.0), np.float32) for name, shape in shapes.items()
    }
    np.savez(folder / "tensors.npz", **tensors)  # type: ignore[arg-type]
    path = folder / "net.yaml"
    path.write_text(f"{RECORDED}operands: {{source: recorded, path: tensors.npz{more}}}\n")
    return path


def run_notices(path: Path, **options: object) -> RunResult:
    """Simulate, and hold what was told against the result's and the record's notices."""
    told: list[str] = []
    result = simulate(path, on_notice=told.append, **options)  # type: ignore[arg-type]
    assert [words for words in told if not words.startswith("compiling")] == list(result.notices)
    assert result.record["notices"] == list(result.notices)
    return result


def test_a_network_that_a_batch_norm_over_one_value_kills_is_called_dead_wherever_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(BATCH_NORM)
    outcome = run_command(tmp_path, "simulate", "net.yaml", "--out", "run")
    assert outcome.exit_code == 0
    notices = [ONE_VALUE, NO_GRADIENT, NO_INPUT]
    assert [line for line in outcome.stderr.splitlines() if "compil" not in line] == [
        f"sparsetrain: {words}" for words in notices
    ]
    lines = outcome.stdout.splitlines()
    assert [line for line in lines if line.startswith("Notice")] == [f"Notice: {words}." for words in notices]
    assert any(line.startswith("Verdict: verified, but 3 of 3 layers are dead; all 16 outputs") for line in lines)
    assert any(line.startswith("Beside sparsetrain-dense (with dead layers): ") for line in lines)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["notices"], record["dead_layers"]) == (notices, ["c1", "c2", "fc"])
    assert (record["verdict"], record["failures"]) == ("verified", [])
    assert run_command(tmp_path, "report", "run", "-o", "page.html").exit_code == 0
    assert run_command(tmp_path, "report", "run", "run", "-o", "both.html").exit_code == 0
    for page, times in (("page.html", 1), ("both.html", 2)):
        text = (tmp_path / page).read_text()
        for words in ("one value of each channel to normalise", "is all zero: nothing is learned there"):
            assert text.count(words) >= times
        assert text.count('<span class="verdict bad">verified, but 3 of 3 layers are dead</span>') == times


def test_a_batch_norm_over_one_image_of_features_is_told(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(
        BATCH_NORM.replace("type: batch_norm", "type: tanh")
        .replace("  - {name: fc,", "  - {name: bn, type: batch_norm}\n  - {name: fc,")
        .replace("name: bn, type: tanh", "name: act, type: tanh")
    )
    (told,) = tell_single_values(load_workload(tmp_path / "net.yaml").network)
    assert told == ONE_VALUE.replace("(1 image of 1 x 1)", "(1 image)")


def test_a_live_network_has_no_notice(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(BATCH_NORM.replace("batch: 1", "batch: 2"))
    result = run_notices(tmp_path / "net.yaml", verify=False)
    assert result.notices == ()
    assert result.record["dead_layers"] == []


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ("a_grad_output", "the gradient to the output of 'a' is all zero: nothing is learned there"),
        ("b_input", "the input of 'b' is all zero: its weights learn nothing"),
        ("b_weight", "the weight of 'b' is all zero: no value and no gradient comes through"),
    ],
)
def test_a_recorded_tensor_of_zeros_alone_is_told(tmp_path: Path, tensor: str, words: str) -> None:
    path = write_recorded(tmp_path, ", first_layer_gta: false", **{tensor: 0.0})
    result = run_notices(path)
    assert result.notices == (f"{words}, and what skipping saves there says nothing of training",)
    assert result.record["dead_layers"] == [tensor[0]]


def test_the_gta_of_a_recordings_first_layer_is_told_and_can_be_left_out(tmp_path: Path) -> None:
    with_it = run_notices(write_recorded(tmp_path))
    assert with_it.notices == (FIRST_GTA,)
    without = run_notices(write_recorded(tmp_path, ", first_layer_gta: false"))
    assert without.notices == ()
    steps = [(step.layer, step.step) for step in without.steps if step.machine == "sparsetrain"]
    assert steps == [("a", "forward"), ("a", "gtw"), ("b", "forward"), ("b", "gta"), ("b", "gtw")]
    cycles = {one.step: one.cycles for one in with_it.steps if (one.layer, one.machine) == ("a", "sparsetrain")}
    network = [one.totals["machines"]["sparsetrain"]["network"]["cycles"] for one in (with_it, without)]
    # Nor is what stayed in the buffer for its neighbours written for it.
    assert network[0] - network[1] >= cycles["gta"] > 0
    # A run without that step does not count it.
    assert run_notices(write_recorded(tmp_path), steps=["forward", "gtw"]).notices == ()


def test_only_recorded_operands_know_the_field(tmp_path: Path) -> None:
    network = RECORDED + "operands: {source: synthetic, seed: 1, first_layer_gta: false}\n"
    (tmp_path / "net.yaml").write_text(network)
    outcome = run_command(tmp_path, "validate", "net.yaml")
    assert outcome.exit_code == 2
    assert "first_layer_gta" in outcome.stderr


@pytest.mark.parametrize(("scale", "notices"), [(1.0, 0), (1e4, 1)])
def test_a_saturated_loss_is_told(tmp_path: Path, scale: float, notices: int) -> None:
    (tmp_path / "net.yaml").write_text(
        f"name: s\n{SIZE.replace('batch: 1', 'batch: 4')}layers:\n  - {{name: f, type: flatten}}\n"
        "  - {name: fc, type: linear, out_features: 10, bias: false}\n  - {name: loss, type: softmax_cross_entropy}\n"
        + HOST.replace("seed: 1,", "seed: 1, weights: w.npz,")
    )
    weight = np.random.default_rng(1).standard_normal((10, 192)).astype(np.float32)
    np.savez(tmp_path / "w.npz", **{"fc/weight": np.float32(scale) * weight / np.float32(14)})
    result = run_notices(tmp_path / "net.yaml", verify=False)
    loss = result.record["operand_facts"]["loss"]
    words = (
        f"the loss of {loss:.4g} is saturated: for 4 of 4 images softmax gives one class the probability 1, so that "
        "the gradient of an image is nothing, or says no more than which class is wrong"
    )
    assert result.notices[:1] == (words,) * notices


@pytest.mark.parametrize("option", [(), ("--no-verify",)])
def test_results_that_exceed_float32_are_bad_input(tmp_path: Path, option: tuple[str, ...]) -> None:
    write_recorded(tmp_path, a_grad_output=1e30, a_weight=1e30)
    outcome = run_command(tmp_path, "simulate", "net.yaml", "--out", "run", *option)
    assert outcome.exit_code == 2
    assert outcome.stderr.splitlines()[-1] == (
        "sparsetrain: the reference of layer 'a', step gta, exceeds float32 at [0, 0, 0, 0]; the operands are too "
        "large, or the network they are from has diverged"
    )
    assert not (tmp_path / "run").exists()


def test_gradients_near_the_smallest_float32_are_verified(tmp_path: Path) -> None:
    result = run_notices(write_recorded(tmp_path, a_grad_output=3e-42, b_grad_output=7e-43, a_weight=0.3, b_input=0.7))
    assert result.is_correct
    assert {step.verdict for step in result.steps if step.tasks} <= {"tolerance", "exact"}
