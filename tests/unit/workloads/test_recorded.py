from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.malformed_recordings import RECORDED_WORKLOAD, packed, sound_arrays
from numpy.lib import format as npy

from sim.run import simulate
from workloads.errors import InputError
from workloads.network import Network
from workloads.operands import Operands
from workloads.recorded import load_recorded, open_recording, save_recorded
from workloads.shapes import Step
from workloads.sources.synthetic import SyntheticOperands, make_synthetic
from workloads.workload import Workload, make_workload
from workloads.yaml_file import parse_yaml

TENSORS = ("input", "weight", "bias", "grad_output", "mask")


@pytest.fixture(scope="module")
def network() -> Network:
    return make_workload(parse_yaml(RECORDED_WORKLOAD, "net.yaml"), Path()).network


def load(folder: Path, network: Network, arrays: dict[str, Any]) -> dict[str, Operands]:
    path = folder / "tensors.npz"
    path.write_bytes(packed(arrays))
    return {operands.layer: operands for operands in load_recorded(path, network)}


def test_every_layer_is_read_in_order_with_all_three_steps(tmp_path: Path, network: Network) -> None:
    arrays = sound_arrays()
    layers = load(tmp_path, network, arrays)
    assert list(layers) == ["conv1", "conv2", "fc"]
    for name, operands in layers.items():
        assert operands.shape == network.layer_shape(name)
        assert operands.steps == (Step.FORWARD, Step.GTA, Step.GTW)
        for tensor in ("input", "weight", "grad_output"):
            read = getattr(operands, tensor)
            np.testing.assert_array_equal(read, arrays[f"{name}/{tensor}"])
            assert read.dtype == np.float32
            assert read.flags.c_contiguous


def test_a_bias_is_read_where_it_is_recorded(tmp_path: Path, network: Network) -> None:
    arrays = sound_arrays()
    layers = load(tmp_path, network, arrays)
    np.testing.assert_array_equal(layers["conv1"].bias, arrays["conv1/bias"])
    assert layers["conv2"].bias is None
    assert layers["fc"].bias is None


def test_a_mask_follows_from_the_graph_where_none_is_recorded(tmp_path: Path, network: Network) -> None:
    arrays = sound_arrays()
    layers = load(tmp_path, network, arrays)
    assert layers["conv1"].mask is None
    np.testing.assert_array_equal(layers["conv2"].mask, arrays["conv2/input"] != 0)
    assert layers["fc"].mask is None


def test_a_recorded_mask_is_taken_as_it_is(tmp_path: Path, network: Network) -> None:
    rng = np.random.default_rng(1)
    masks = {name: rng.random(network.layer_shape(name).input_shape) < 0.5 for name in ("conv1", "conv2", "fc")}
    layers = load(tmp_path, network, sound_arrays() | {f"{name}/mask": mask for name, mask in masks.items()})
    for name, mask in masks.items():
        np.testing.assert_array_equal(layers[name].mask, mask)


def test_layers_have_the_steps_that_the_recording_says(tmp_path: Path, network: Network) -> None:
    np.savez(tmp_path / "tensors.npz", **sound_arrays())
    recording = dataclasses.replace(
        open_recording(tmp_path / "tensors.npz", network), without_gta=frozenset({"fc"}),
        without_gtw=frozenset({"conv2", "fc"}),
    )  # fmt: skip
    assert recording.steps("conv1") == tuple(Step)
    assert recording.steps("conv2") == (Step.FORWARD, Step.GTA)
    assert recording.steps("fc") == recording.layer("fc").steps == (Step.FORWARD,)


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "int64", "float16", "float32", "float64", "longdouble", ">i4", ">f8", ">f4"]
)
def test_any_type_of_number_is_read_if_float32_holds_it(tmp_path: Path, network: Network, dtype: str) -> None:
    arrays = sound_arrays()
    layers = load(tmp_path, network, {name: values.astype(dtype) for name, values in arrays.items()})
    np.testing.assert_array_equal(layers["fc"].input, arrays["fc/input"])
    assert layers["fc"].input.dtype == np.dtype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        ("int64", 2**24), ("int64", -(2**63)), ("int64", 2**62 + 2**39), ("uint64", 2**63), ("uint8", 255),
        ("float64", 2.0**-149), ("float64", 2.0**127), ("float64", -0.0), ("float64", 1 + 2.0**-23),
    ],
)  # fmt: skip
def test_a_number_at_the_edge_of_float32_is_read(tmp_path: Path, network: Network, dtype: str, number: float) -> None:
    arrays = sound_arrays()
    arrays["fc/input"] = np.zeros((2, 16), dtype)
    arrays["fc/input"][1, 2] = number
    assert float(load(tmp_path, network, arrays)["fc"].input[1, 2]) == number


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        ("int64", 2**24 + 1), ("int64", -(2**63) + 1), ("uint64", 2**64 - 1), ("uint32", 2**32 - 1),
        ("int32", 2**31 - 1),
        ("float64", 2.0**-150), ("float64", 2.0**128), ("float64", 1 + 2.0**-24),
    ],
)  # fmt: skip
def test_a_number_beyond_the_edge_of_float32_is_refused(
    tmp_path: Path, network: Network, dtype: str, number: float
) -> None:
    arrays = sound_arrays()
    arrays["fc/input"] = np.zeros((2, 16), dtype)
    arrays["fc/input"][1, 2] = number
    with pytest.raises(InputError) as caught:
        load(tmp_path, network, arrays)
    assert str(caught.value) == (
        f"{tmp_path}/tensors.npz: array 'fc/input' holds {arrays['fc/input'][1, 2]} at index [1, 2], "
        f"which float32 cannot represent exactly; convert the array from {dtype} to float32 first"
    )


def test_an_array_in_column_order_is_read_as_its_values(tmp_path: Path, network: Network) -> None:
    arrays = sound_arrays()
    layers = load(tmp_path, network, {name: np.asfortranarray(values) for name, values in arrays.items()})
    np.testing.assert_array_equal(layers["conv1"].weight, arrays["conv1/weight"])
    assert layers["conv1"].weight.flags.c_contiguous


def test_all_shapes_are_checked_before_the_first_layer_is_read(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "tensors.npz"
    path.write_bytes(packed(sound_arrays() | {"fc/weight": np.zeros((3, 15))}))
    with pytest.raises(InputError) as caught:
        load_recorded(path, network)
    assert str(caught.value) == f"{path}: array 'fc/weight' has the shape (3, 15), the network needs (3, 16)"


def test_numbers_are_read_layer_by_layer(tmp_path: Path, network: Network) -> None:
    arrays = sound_arrays()
    arrays["fc/weight"][0, 0] = np.nan
    path = tmp_path / "tensors.npz"
    path.write_bytes(packed(arrays))
    recording = open_recording(path, network)
    np.testing.assert_array_equal(recording.layer("conv2").weight, arrays["conv2/weight"])
    with pytest.raises(InputError):
        recording.layer("fc")


def test_what_is_saved_is_loaded_equal(tmp_path: Path, network: Network) -> None:
    operands = list(make_synthetic(network, SyntheticOperands(source="synthetic", seed=5)))
    path = tmp_path / "saved.npz"
    save_recorded(path, operands)
    for saved, loaded in zip(operands, load_recorded(path, network), strict=True):
        assert (saved.layer, saved.shape, saved.steps) == (loaded.layer, loaded.shape, loaded.steps)
        for tensor in TENSORS:
            np.testing.assert_array_equal(getattr(saved, tensor), getattr(loaded, tensor))
    assert [file.name for file in tmp_path.iterdir()] == ["saved.npz"]


def test_a_file_is_saved_with_the_same_bytes_every_time(tmp_path: Path, network: Network) -> None:
    source = SyntheticOperands(source="synthetic", seed=5)
    for name in ("one.npz", "two.npz"):
        save_recorded(tmp_path / name, make_synthetic(network, source))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_file_whose_operands_fail_halfway_is_not_left_behind(tmp_path: Path, network: Network) -> None:
    def failing() -> Iterator[Operands]:
        yield next(make_synthetic(network, SyntheticOperands(source="synthetic", seed=5)))
        raise RuntimeError("no more operands")

    path = tmp_path / "saved.npz"
    path.write_bytes(b"what was there before")
    with pytest.raises(RuntimeError, match=r"^no more operands$"):
        save_recorded(path, failing())
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_makes_its_folder_and_keeps_the_link_that_leads_to_it(tmp_path: Path) -> None:
    path, link = tmp_path / "new" / "saved.npz", tmp_path / "link.npz"
    link.symlink_to(path)
    save_recorded(link, [])
    assert link.is_symlink()
    assert path.is_file()


def test_a_recording_does_not_replace_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        save_recorded(tmp_path, [])
    assert str(caught.value) == f"{tmp_path}: is a directory; a file is needed"


def test_a_folder_is_no_recording(tmp_path: Path, network: Network) -> None:
    with pytest.raises(InputError) as caught:
        load_recorded(tmp_path, network)
    assert str(caught.value) == f"{tmp_path}: is a directory, not an .npz file"


def test_a_name_that_no_file_can_have_is_refused(network: Network) -> None:
    with pytest.raises(InputError) as caught:
        load_recorded("a\0b.npz", network)
    assert str(caught.value) == "a\\x00b.npz: cannot be read: embedded null byte"


def test_a_later_version_of_the_array_format_is_named(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "tensors.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in sound_arrays().items():
            with archive.open(f"{name}.npy", "w") as file:
                npy.write_array(file, values, version=(3, 0))
    with pytest.raises(InputError) as caught:
        load_recorded(path, network)
    assert str(caught.value) == (
        f"{path}: array 'conv1/input' is damaged: version 3.0 of the .npy format is not supported"
    )


# Behind `first` stand a sum of its own and, through a batch norm, another, and so two stored gradients.
SUMMED = """\
name: summed
batch: 2
input: {channels: 3, height: 5, width: 4}
layers:
  - {name: first, type: conv2d, out_channels: 3, kernel: 3, padding: 1}
  - {name: second, type: conv2d, out_channels: 3, kernel: 3, padding: 1}
  - {name: near, type: add, inputs: [second, first]}
  - {name: norm, type: batch_norm}
  - {name: far, type: add, inputs: [norm, first]}
operands: {source: recorded, path: saved.npz}
"""
SHARES = ("second/summed/0", "second/summed/1")


def save_summed(folder: Path, *left_out: str) -> tuple[Workload, list[Operands]]:
    """Save integers of a network that sums gradients, some arrays left out."""
    workload = make_workload(parse_yaml(SUMMED, "net.yaml"), folder)
    source = SyntheticOperands(source="synthetic", seed=5, integers=True)
    operands = list(make_synthetic(workload.network, source))
    save_recorded(folder / "whole.npz", operands)
    with np.load(folder / "whole.npz") as whole:
        np.savez(folder / "saved.npz", **{name: whole[name] for name in whole.files if name not in left_out})
    return workload, operands


def test_recorded_gradients_are_summed_as_those_that_were_saved(tmp_path: Path) -> None:
    workload, saved = save_summed(tmp_path)
    shares = {one.layer: one.summed for one in saved}
    assert {name: len(found) for name, found in shares.items()} == {"first": 0, "second": 2}
    for loaded in load_recorded(tmp_path / "saved.npz", workload.network):
        np.testing.assert_array_equal(np.array(loaded.summed), np.array(shares[loaded.layer]))
    result = simulate(workload, layers="second", steps=["gta"])
    assert result.failures == ()
    without = simulate(save_summed(tmp_path, *SHARES)[0], layers="second", steps=["gta"])
    assert without.failures == ()
    # Two dense gradients of two bytes an element on the dense machine.
    read, unread = (run.steps[1].dram_read_bytes for run in (result, without))
    assert read - unread == 2 * 2 * prod(shares["second"][0].shape)


def test_without_recorded_gradients_nothing_is_summed(tmp_path: Path) -> None:
    workload, _ = save_summed(tmp_path, *SHARES)
    assert [one.summed for one in load_recorded(tmp_path / "saved.npz", workload.network)] == [(), ()]


@pytest.mark.parametrize("left_out", SHARES)
def test_a_part_of_the_summed_gradients_is_refused(tmp_path: Path, left_out: str) -> None:
    workload, _ = save_summed(tmp_path, left_out)
    with pytest.raises(InputError) as caught:
        load_recorded(tmp_path / "saved.npz", workload.network)
    assert str(caught.value) == (
        f"{tmp_path}/saved.npz: the array '{left_out}' is missing; of the gradients that the layer's own is added to, "
        "all 2 are recorded or none"
    )


def test_a_gradient_for_a_layer_that_sums_nothing_is_refused(tmp_path: Path, network: Network) -> None:
    arrays = sound_arrays()
    with pytest.raises(InputError) as caught:
        load(tmp_path, network, arrays | {"conv2/summed/0": arrays["conv2/input"]})
    assert (
        str(caught.value) == f"{tmp_path}/tensors.npz: unknown array 'conv2/summed/0' (the layers are conv1, conv2, fc)"
    )


@pytest.mark.parametrize("field", ["without_gta", "without_gtw"])
def test_a_layer_without_steps_is_refused_where_a_step_is_left_out(tmp_path: Path, field: str) -> None:
    np.savez(tmp_path / "tensors.npz", **sound_arrays())
    text = RECORDED_WORKLOAD.replace("source: recorded", f"source: recorded, {field}: [conv]")
    with pytest.raises(InputError) as error:
        simulate(make_workload(parse_yaml(text, "net.yaml"), tmp_path))
    assert (
        str(error.value) == f"net.yaml: operands.{field} names 'conv', which has no steps (they are conv1, conv2, fc)"
    )
