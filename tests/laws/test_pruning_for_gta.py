"""Pruning for GTA alone: two gradients, each read by its step, both stored and charged."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pruned_network import NETWORK

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare
from sim.architecture import Architecture, load_architecture
from sim.run import RunResult, simulate
from sim.step.pass_run import find_copied
from sim.step.stored_tensors import size_stored
from workloads.conformance import check_source
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.presets import find_preset
from workloads.pruners.row_groups import RowGroups, keep_largest
from workloads.pruners.table import THRESHOLD_MODELS
from workloads.pruning import PruningKey, prune
from workloads.pruning_sites import find_copy_sites
from workloads.recorded import save_recorded
from workloads.reference import run_gta, run_gtw
from workloads.shapes import Step
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

SEED = 1
# conv1 has no GTA, and what fc reads is the gradient of the loss.
COPIED = ("conv2", "conv3")
OWN = {"rate": 0.9, "threshold": "own_batch", "for": "gta"}


def make_small(pruning: dict[str, Any] | None) -> Workload:
    document = parse_yaml(NETWORK, "small.yaml")
    return make_workload(YamlDocument("small.yaml", {**document.data, "pruning": pruning}), Path())


def open_small(pruning: dict[str, Any] | None) -> dict[str, Operands]:
    return {one.layer: one for one in open_operands(make_small(pruning)).layers}


@pytest.mark.parametrize("groups", [None, RowGroups(2, 4)])
def test_gtw_reads_what_gta_finds_pruned(groups: RowGroups | None) -> None:
    pruning = OWN if groups is None else {"method": "n_m", "n": groups.n, "m": groups.m, "for": "gta"}
    found = open_small(pruning)
    assert [name for name, one in found.items() if one.grad_output_for_gta is not None] == list(COPIED)
    for name in COPIED:
        gradient, copy = found[name].grad_output, found[name].grad_output_for_gta
        assert copy is not None
        expected = gradient
        if groups is None:
            tau = THRESHOLD_MODELS.make("normal").fit(gradient, gradient != 0, 0.9).tau
            expected = prune(gradient, tau, PruningKey(SEED, name, 0))
        else:
            expected = keep_largest(gradient, groups)
        np.testing.assert_array_equal(copy, expected)
        assert 0 < np.count_nonzero(copy) < np.count_nonzero(gradient)
        assert found[name].at(Step.GTA).grad_output is copy
        assert found[name].at(Step.GTW).grad_output is gradient
        assert not found[name].finish.prunes


def test_the_first_gradient_on_the_way_back_is_that_without_pruning_and_what_follows_is_from_the_copy() -> None:
    found, plain = open_small(OWN), open_small(None)
    np.testing.assert_array_equal(found["fc"].grad_output, plain["fc"].grad_output)
    np.testing.assert_array_equal(found["conv3"].grad_output, plain["conv3"].grad_output)
    np.testing.assert_array_equal(run_gtw(found["conv3"].at(Step.GTW)), run_gtw(plain["conv3"]))
    # conv2's is the sum of what conv3's GTA makes of the copy and of the shortcut's, unpruned, masked by relu2.
    shortcut = plain["conv3"].grad_output
    mask = found["conv3"].mask
    assert mask is not None
    expected = (run_gta(found["conv3"].at(Step.GTA)) + shortcut) * mask
    np.testing.assert_allclose(found["conv2"].grad_output, expected, rtol=1e-4, atol=1e-7)


def test_the_source_gives_what_its_record_promises() -> None:
    made = make_small(OWN)
    check_source(made.operand_source(), made)


def test_pooling_lies_between_a_site_and_the_layer_that_has_the_copy() -> None:
    document = parse_yaml(find_preset("lenet5").read_text(), "lenet5.yaml")
    network = make_workload(YamlDocument("lenet5.yaml", document.data), Path(), batch=2).network
    assert {node: site.writer for node, site in find_copy_sites(network).items()} == {
        "conv2": "conv2", "fc1": "fc1", "fc2": "fc2",
    }  # fmt: skip


KEPT = "buffer.keep_on_chip=true"
MOVED = "buffer.keep_on_chip=false"


def run_small(*overrides: str, arch: str = "sparsetrain", **options: Any) -> RunResult:
    return simulate(make_small(OWN), arch, overrides=list(overrides), **options)


@pytest.mark.parametrize(
    "overrides",
    [
        (KEPT,),
        (MOVED,),
        (MOVED, "ppu.fuse_passes=true"),
        (KEPT, "storage.values=fp16"),
        (MOVED, "storage.number_format=int16", "storage.values=int16"),
    ],
)
def test_both_steps_are_verified_with_the_gradient_that_they_read(overrides: tuple[str, ...]) -> None:
    result = run_small(*overrides)
    assert result.failures == ()
    given = open_small(OWN)
    for row in result.steps:
        if row.layer not in COPIED or row.grad_output_density is None or overrides[-1].startswith("storage"):
            continue
        read = given[row.layer].at(Step(row.step)).grad_output
        assert row.grad_output_density == np.count_nonzero(read) / read.size


def find_row(result: RunResult, layer: str, step: str, place: int = 0) -> Any:
    machine = result.machines[place].name
    (row,) = (row for row in result.steps if (row.layer, row.step, row.machine) == (layer, step, machine))
    return row


def describe(machine: Architecture) -> tuple[PEArray, MemoryShare]:
    memory = machine.describe_memory()
    assert memory is not None
    return machine.array.describe(), memory


def test_a_pass_reads_the_gradient_and_writes_the_copy_that_gta_reads() -> None:
    result, given = run_small(MOVED), open_small(OWN)
    array, memory = describe(result.machines[0])
    for name in COPIED:
        row, operands = find_row(result, name, "backward"), given[name]
        copy = operands.grad_output_for_gta
        assert copy is not None
        assert row.kind == "gradient_pruning"
        # What conv3 reads was written by fc, as the rows of a fully connected layer.
        read = size_stored(operands.grad_output, array, memory)
        assert row.dram_read_bytes == (find_row(result, "fc", "gta").dram_write_bytes if name == "conv3" else read)
        assert row.dram_write_bytes == size_stored(copy, array, memory)
    plain = simulate(make_small(None), overrides=[MOVED])
    # GTW does as much as without pruning, GTA less; whoever writes the gradient writes as much.
    assert find_row(result, "conv3", "gtw") == replace_operands(find_row(plain, "conv3", "gtw"), result)
    assert find_row(result, "conv3", "gta").dram_read_bytes < find_row(plain, "conv3", "gta").dram_read_bytes
    assert find_row(result, "fc", "gta") == replace_operands(find_row(plain, "fc", "gta"), result)


def replace_operands(row: Any, result: RunResult) -> Any:
    """Give a row with the headline of other operands."""
    return dataclasses.replace(row, operands=result.operand_source)


def test_what_stays_in_the_buffer_is_not_written_by_the_pass_nor_read_by_gta() -> None:
    result, given = run_small(KEPT), open_small(OWN)
    array, memory = describe(result.machines[0])
    row = find_row(result, "conv3", "backward")
    copy = given["conv3"].grad_output_for_gta
    assert copy is not None
    assert (row.kept, row.dram_write_bytes) == ("output", 0)
    assert row.buffer_write_bytes >= size_stored(copy, array, memory)
    assert find_row(result, "conv3", "gta").kept.startswith("grad_output")


def test_a_dense_machine_pays_no_pass_and_prunes_nothing() -> None:
    result = run_small(MOVED, baseline=["skipping-off", "mask"])
    names = [machine.name for machine in result.machines]
    passes = [sum((row.kind, row.machine) == ("gradient_pruning", name) for row in result.steps) for name in names]
    assert passes == [2, 0, 0]
    elements = [
        [line["count"] for line in result.record["machines"][name]["energy"] if line["action"] == "pruned_elements"]
        for name in names
    ]
    assert elements == [[2 * 2 * 4 * 9 * 9], [], [0]]
    dense = load_architecture("dense")
    assert find_copied(make_small(OWN).network, make_small(OWN).form.pruning, dense) == frozenset()


@pytest.mark.parametrize(("pruning", "copies"), [(OWN, 3), ({"method": "n_m", "n": 2, "m": 4}, 0)])
def test_a_sample_of_everything_is_the_full_run(pruning: dict[str, Any], copies: int) -> None:
    document = parse_yaml(find_preset("lenet5").read_text(), "lenet5.yaml")
    made = make_workload(YamlDocument("lenet5.yaml", {**document.data, "pruning": pruning}), Path(), batch=2)
    full, sampled = (simulate(made, "sparsetrain", verify=False, **more) for more in ({}, {"sample": 1}))
    assert [row.kind for row in full.steps].count("gradient_pruning") == copies
    assert full.frame.equals(sampled.frame)


def test_policies_prune_for_what_the_workload_prunes_for() -> None:
    result = run_small(MOVED, baseline=["pruning@0.7"])
    assert result.record["policies"][result.machines[1].name]["pruning"]["for"] == "gta"
    assert find_row(result, "conv3", "backward", 1).kind == "gradient_pruning"


def test_a_profile_refuses_two_gradients() -> None:
    document = parse_yaml(find_preset("resnet34").read_text(), "resnet34.yaml")
    operands = {"source": "profile", "name": "resnet34", "column": "last", "seed": 1}
    data = {**document.data, "pruning": {"rate": 0.9, "for": "gta"}, "operands": operands}
    with pytest.raises(InputError) as caught:
        open_operands(make_workload(YamlDocument("resnet34.yaml", data), Path(), batch=1))
    assert str(caught.value) == (
        "resnet34.yaml: pruning.for must be 'both' for operands of a profile, which states one density of each "
        "gradient, got 'gta'; source host has both gradients"
    )


def test_a_recording_refuses_two_gradients(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        save_recorded(tmp_path / "small.npz", open_small(OWN).values())
    assert str(caught.value) == (
        "layer 'conv2': its GTA reads a pruned copy of its gradient (pruning.for: gta), which recorded operands cannot "
        "hold"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["gtw", 1, None])
def test_other_steps_cannot_be_pruned_for(given: Any) -> None:
    with pytest.raises(InputError, match=r"^small\.yaml: pruning\.for must be 'both' or 'gta', got "):
        make_small({"rate": 0.9, "for": given})
