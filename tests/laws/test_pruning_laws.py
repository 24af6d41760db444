"""The machine prunes in its own code, row by row, and ends with the host's elements; ablation in one run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laws.layer_strategies import operands, sparse_machines
from pruned_network import NETWORK

from dataflows.storage.written import find_written, finish_gradient
from reports.ablation import describe_policy
from sim.architecture import Architecture, load_architecture
from sim.iteration.policies import choose_contenders, describe_shift
from sim.run import RunResult, simulate
from sim.step import values
from sim.step.layer_run import run_layer_step
from sim.step.pruning_unit import write_gradient
from sim.step.work import StepOptions
from workloads.errors import InputError
from workloads.opening import open_operands
from workloads.operand_choice import choose_operands
from workloads.operands import GradientFinish, Operands
from workloads.pruners.row_groups import RowGroups, keep_largest
from workloads.pruning import PruningKey, prune
from workloads.reference import run_gta
from workloads.shapes import Step
from workloads.workload import load_workload

LAWFUL = settings(max_examples=30, deadline=None, derandomize=True)
KEY = PruningKey(3, "relu1", 6)
OPTIONS = StepOptions(verifies=True, keeps_output=True)
FIFO = "pruning: {rate: 0.9, fifo_depth: 2, warmup_batches: 3}\n"
GROUPS = "pruning: {method: n_m, n: 2, m: 4}\n"
SUMS = ("multiplies", "ppu_elements", "pruned_elements")


@st.composite
def pruned_operands(draw: st.DrawFn) -> Operands:
    """Draw small-integer operands whose gradient to the input is summed with another and pruned."""
    drawn = draw(operands())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    others = rng.integers(-9, 10, size=(draw(st.integers(0, 2)), *drawn.shape.input_shape)).astype(np.float32)
    late = rng.random(drawn.shape.input_shape) < 0.5 if drawn.mask is None and draw(st.booleans()) else None
    finish = GradientFinish(mask=late, tau=draw(st.sampled_from([0.0, 2.5, 8.0, 40.0])), key=KEY)
    return dataclasses.replace(drawn, summed=tuple(others), finish=finish)


@LAWFUL
@given(pruned_operands(), sparse_machines())
def test_both_machines_end_with_the_elements_that_the_host_leaves(drawn: Operands, machine: Architecture) -> None:
    mask = drawn.finish.mask if drawn.mask is None else drawn.mask
    expected = run_gta(drawn) + np.sum(drawn.summed, axis=0, dtype=np.float32)
    expected = prune(expected if mask is None else expected * mask, drawn.finish.tau, KEY)
    for run in run_layer_step(drawn, Step.GTA, (machine, machine.without_skipping()), OPTIONS):
        assert (run.result.verdict, run.message) == ("exact", "")
        np.testing.assert_array_equal(run.output, expected)
    np.testing.assert_array_equal(find_written(drawn, Step.GTA), expected != 0)


@LAWFUL
@given(pruned_operands(), sparse_machines(), st.sampled_from([RowGroups(2, 4), RowGroups(1, 3), RowGroups(1, 2)]))
def test_both_machines_keep_of_neighbours_those_that_the_host_keeps(
    drawn: Operands, machine: Architecture, groups: RowGroups
) -> None:
    drawn = dataclasses.replace(drawn, finish=GradientFinish(mask=drawn.finish.mask, groups=groups))
    mask = drawn.finish.mask if drawn.mask is None else drawn.mask
    expected = run_gta(drawn) + np.sum(drawn.summed, axis=0, dtype=np.float32)
    expected = keep_largest(expected if mask is None else expected * mask, groups)
    for run in run_layer_step(drawn, Step.GTA, (machine, machine.without_skipping()), OPTIONS):
        assert (run.result.verdict, run.message) == ("exact", "")
        np.testing.assert_array_equal(run.output, expected)
    np.testing.assert_array_equal(find_written(drawn, Step.GTA), expected != 0)


@LAWFUL
@given(pruned_operands())
def test_rows_can_be_pruned_image_by_image(drawn: Operands) -> None:
    sums = run_gta(drawn)
    whole = write_gradient(sums, drawn)
    np.testing.assert_array_equal(whole, finish_gradient(sums, drawn))
    mask = None if drawn.finish.mask is None else drawn.finish.mask[:1]
    first = dataclasses.replace(
        drawn,
        summed=tuple(share[:1] for share in drawn.summed),
        mask=None if drawn.mask is None else drawn.mask[:1],
        finish=dataclasses.replace(drawn.finish, mask=mask),
    )
    np.testing.assert_array_equal(write_gradient(sums[:1], first), whole[:1])


def load_small(tmp_path: Path, pruning: str = FIFO) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(NETWORK + pruning, encoding="utf-8")
    return path


def test_a_pruning_unit_that_errs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_what_should_go(sums: Any, drawn: Operands, step: Step) -> Any:
        written = write_gradient(sums, drawn, step).copy()
        zero = np.unravel_index(np.argmax((written == 0) & (sums != 0)), sums.shape)
        written[zero] = drawn.finish.tau
        return written

    monkeypatch.setattr(values, "write_gradient", keep_what_should_go)
    result = simulate(load_small(tmp_path), "ideal", layers="fc", baseline=None, steps=["gta"])
    (failure,) = result.failures
    assert failure.startswith("layer 'fc', step gta: written gradient[")
    assert failure.endswith(f"mask and pruning give 0 (1 of {2 * 4 * 9 * 9} elements differ) on ideal")


@pytest.mark.parametrize("pruning", [FIFO, GROUPS])
def test_the_machine_ends_with_the_gradients_of_the_host_s_own_iteration(tmp_path: Path, pruning: str) -> None:
    result = simulate(load_small(tmp_path, pruning), "ideal", save_outputs=tmp_path / "outputs.npz")
    assert result.failures == ()
    iteration = {one.layer: one for one in open_small(load_small(tmp_path, pruning))}
    written = result.outputs["fc/gta"].reshape(2, 4, 9, 9)
    # The host's float32 sums differ from the machine's in rounding; no element lies that near a border here.
    np.testing.assert_array_equal(written != 0, iteration["conv3"].grad_output != 0)
    np.testing.assert_allclose(written, iteration["conv3"].grad_output, rtol=1e-4, atol=1e-7)
    written = result.outputs["conv3/gta"]
    np.testing.assert_array_equal(written != 0, iteration["conv2"].grad_output != 0)
    np.testing.assert_allclose(written, iteration["conv2"].grad_output, rtol=1e-4, atol=1e-7)


def open_small(path: Path) -> list[Operands]:
    return list(open_operands(load_workload(path)).layers)


def test_a_run_with_pruning_is_the_same_in_several_processes(tmp_path: Path) -> None:
    path = load_small(tmp_path)
    first, second = (simulate(path, baseline=["pruning@0.7"], jobs=jobs) for jobs in (1, 2))
    assert first.record == second.record
    assert first.steps == second.steps


def test_run_json_tells_thresholds_and_their_places(tmp_path: Path) -> None:
    result = simulate(load_small(tmp_path), "ideal", out=tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    pruning = record["operand_facts"]["pruning"]
    assert {name: pruning[name] for name in ("rate", "threshold", "fifo_depth", "warmup_batches")} == {
        "rate": 0.9, "threshold": "fifo", "fifo_depth": 2, "warmup_batches": 3,
    }  # fmt: skip
    assert {node: one["written_by"] for node, one in pruning["gradients"].items()} == {
        "flat": "fc", "relu2": "conv3", "conv1": "norm1",
    }  # fmt: skip
    assert all(one["threshold"] > 0 for one in pruning["gradients"].values())
    assert record["operand_facts"]["iteration"] == 3
    assert "gradients pruned at 0.9 with the mean thresholds of 2 of 3 warm-up batches" in result.operand_source


def test_run_json_tells_of_neighbours_and_that_what_is_dropped_is_lost(tmp_path: Path) -> None:
    result = simulate(load_small(tmp_path, GROUPS), "ideal", out=tmp_path / "run")
    assert "gradients pruned 2:4 along rows (biased: the smaller magnitudes are lost)" in result.operand_source
    pruning = json.loads((tmp_path / "run" / "run.json").read_text())["operand_facts"]["pruning"]
    gradients = pruning.pop("gradients")
    assert pruning == {"for": "both", "method": "n_m", "n": 2, "m": 4}
    assert {node: one["written_by"] for node, one in gradients.items()} == {
        "flat": "fc", "relu2": "conv3", "conv1": "norm1",
    }  # fmt: skip
    # Rows of 9 are two groups of 4 and one of 1; those of the flattened 324 are whole.
    aimed = {"flat": 1 / 2, "relu2": 5 / 9, "conv1": 5 / 9}
    for node, one in gradients.items():
        assert (one["threshold"], one["kept_of_neighbours"], one["aimed_density"]) == (0, "2:4", aimed[node])
        assert one["density_after"] <= min(one["density_before"], one["aimed_density"])
    # The gradient that batch norm writes has no zeros.
    assert gradients["conv1"]["density_after"] == aimed["conv1"]


def test_neighbours_beside_a_rate_are_an_ablation(tmp_path: Path) -> None:
    result = simulate(load_small(tmp_path, GROUPS), baseline=["skipping-off", "mask", "pruning@0.9"])
    assert result.failures == ()
    told = {machine.name: describe_policy(result, machine.name) for machine in result.machines}
    assert told == {
        "sparsetrain": "zeros, mask, pruning 2:4 (biased)",
        "sparsetrain-dense": "none: dense",
        "sparsetrain-mask": "zeros, mask",
        "sparsetrain-pruning-0.9": "zeros, mask, pruning 0.9",
    }
    energy = result.record["machines"]["sparsetrain"]["energy"]
    (compared,) = (line["count"] for line in energy if line["action"] == "pruned_elements")
    (others,) = (
        line["count"]
        for line in result.record["machines"]["sparsetrain-pruning-0.9"]["energy"]
        if line["action"] == "pruned_elements"
    )
    # The same tensors pass the same units.
    assert compared == others > 0


def ablate(path: Path, *policies: str) -> RunResult:
    return simulate(path, baseline=["skipping-off", *policies])


def test_an_ablation_runs_every_policy_on_the_same_images_and_weights(tmp_path: Path) -> None:
    result = ablate(load_small(tmp_path), "natural", "mask", "pruning@0.7")
    assert result.failures == ()
    names = [machine.name for machine in result.machines]
    assert names == [f"sparsetrain{end}" for end in ("", "-dense", "-natural", "-mask", "-pruning-0.7")]
    assert [step.machine for step in result.steps if (step.layer, step.step) == ("conv2", "gta")] == names
    forward = [step for step in result.steps if step.step == "forward" and step.machine != "sparsetrain-dense"]
    cycles = {step.layer: {one.cycles for one in forward if one.layer == step.layer} for step in forward}
    assert all(len(found) == 1 for found in cycles.values())
    left = [result.totals["machines"][name]["network"]["effectual_macs"] for name in names]
    pruned, dense, natural, mask, pruned_less = left
    assert pruned == dense < pruned_less < mask < natural
    assert [result.record["policies"][name]["policy"] for name in names] == [
        "as given", "as given", "natural", "mask", "pruning@0.7",
    ]  # fmt: skip
    assert [one["name"] for one in result.record["further_baselines"]] == names[2:]


SHIFT = (
    "a baseline fills its FIFO of thresholds in 6 warm-up iterations, so all machines simulate iteration 6 and its "
    "images, not 0; without that baseline figures differ"
)


@pytest.mark.parametrize(
    ("pruning", "baseline", "notices", "iteration"),
    [
        ("", "pruning@0.9", [SHIFT], 6),
        ("", "mask", [], 0),
        (FIFO, "pruning@0.7", [], 3),
        (FIFO, "natural", [], 3),
        (FIFO.replace("rate: 0.9", "rate: 0.9, threshold: own_batch"), "pruning@0.7", [], 0),
    ],
)
def test_a_baseline_that_moves_the_iteration_of_all_machines_is_told(
    tmp_path: Path, pruning: str, baseline: str, notices: list[str], iteration: int
) -> None:
    told: list[str] = []
    path = load_small(tmp_path, pruning)
    result = simulate(path, "ideal", baseline=baseline, layers="fc", steps=["gtw"], on_notice=told.append)
    assert told == notices
    assert result.record["operand_facts"]["iteration"] == iteration


def test_a_profile_knows_no_iterations_that_a_baseline_could_move() -> None:
    workload = choose_operands(load_workload("vgg16"), operands="profile")
    assert describe_shift(workload, 6) is None


def test_only_a_machine_with_a_pruning_unit_pays_for_pruning(tmp_path: Path) -> None:
    result = ablate(load_small(tmp_path), "mask")
    counts = {name: found["energy"] for name, found in result.record["machines"].items()}
    elements = {
        name: [line["count"] for line in lines if line["action"] == "pruned_elements"] for name, lines in counts.items()
    }
    # In the PPU what fc and conv3 hand on, in batch norm's backward pass what conv1 gets: all 2 x 4 x 9 x 9, but for
    # blocks of fc's inputs whose masks are clear.
    fc = next(one for one in open_operands(load_workload(tmp_path / "small.yaml")).layers if one.layer == "fc")
    assert fc.mask is not None
    clear = 3 * int((~fc.mask.reshape(2, -1, 3).any(axis=2)).sum())
    assert clear > 0
    assert elements == {"sparsetrain": [3 * 2 * 4 * 9 * 9 - clear], "sparsetrain-dense": [], "sparsetrain-mask": [0]}


def test_natural_sparsity_writes_the_same_gradient_as_the_mask(tmp_path: Path) -> None:
    path = load_small(tmp_path, "")
    natural, mask = (
        simulate(path, "sparsetrain-v1", baseline=[policy], layers="conv3", steps=["gta"])
        for policy in ("natural", "mask")
    )
    assert [step.dram_write_bytes for step in natural.steps] == [step.dram_write_bytes for step in mask.steps]
    assert natural.steps[1].effectual_macs > natural.steps[0].effectual_macs == mask.steps[1].effectual_macs
    assert natural.failures == ()
    # Both load the mask; under `mask` PEs fetch it, under `natural` PPUs read it, all of its two-byte rows.
    assert [step.dram_read_bytes for step in natural.steps] == [step.dram_read_bytes for step in mask.steps]
    fetched, read = mask.steps[1].buffer_read_bytes, natural.steps[1].buffer_read_bytes
    assert fetched == read


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (
            ["pruning@1"],
            "--baseline pruning@1: the rate must be a number above 0 and below 1, such as pruning@0.9",
        ),
        (["pruning@x"], "--baseline pruning@x: the rate must be a number above 0 and below 1, such as pruning@0.9"),
        (["mask", "mask"], "two baselines are both named 'ideal-mask'; the results could not be told apart"),
        (["ideal"], "the machine and its baseline are both named 'ideal'; the results could not be told apart"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_refused(baseline: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_contenders("ideal", baseline, ())
    assert str(caught.value) == message


def test_a_machine_that_skips_nothing_has_no_policy() -> None:
    with pytest.raises(InputError) as caught:
        choose_contenders(load_architecture("ideal-dense"), ["natural"], ())
    assert str(caught.value) == (
        "--baseline natural: the policy tells what a machine skips, but 'ideal-dense' skips nothing"
    )
