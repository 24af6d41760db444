"""Profiles: their tables, the rules for what they do not tell, and the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.network import Network
from workloads.profile import Profile, check_profile, find_profile, profile_names, read_profile
from workloads.profile_plan import plan_gradient, share_left
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruning import PruningKey, prune
from workloads.reference import run_gta
from workloads.schema import Clustering
from workloads.shapes import Step
from workloads.sources import open_operands
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import parse_yaml

PLAIN = """\
name: plain
batch: 2
input: {channels: 3, height: 16, width: 16}
layers:
  - {name: conv1, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1, bias: false}
  - {name: relu2, type: relu}
  - {name: pool2, type: max_pool, kernel: 2}
  - {name: flat, type: flatten}
  - {name: fc1, type: linear, out_features: 400}
  - {name: relu3, type: relu}
  - {name: drop, type: dropout, rate: 0.25}
  - {name: fc2, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
"""
RESIDUAL = """\
name: residual
batch: 1
input: {channels: 4, height: 12, width: 12}
layers:
  - {name: conv1, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: bn1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: pool1, type: max_pool, kernel: 3, stride: 2, padding: 1}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: bn2, type: batch_norm}
  - {name: side, type: conv2d, inputs: [pool1], out_channels: 8, kernel: 1}
  - {name: sum, type: add, inputs: [bn2, side]}
  - {name: relu2, type: relu}
  - {name: mean, type: global_avg_pool}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 10}
  - {name: loss, type: softmax_cross_entropy}
"""
FIGURES = {"relu1": 0.5, "relu2": 0.3, "pool2": 0.6, "relu3": 0.4}


def network(text: str = PLAIN) -> Network:
    return make_workload(parse_yaml(text, "net.yaml"), Path()).network


def make_profile(figures: Mapping[str, float]) -> Profile:
    """Make a profile from `layer` (its output) or `layer/tensor` and densities."""
    keys = [tuple(name.split("/")) if "/" in name else (name, "output") for name in figures]
    densities = {(layer, tensor): figures[name] for (layer, tensor), name in zip(keys, figures, strict=True)}
    return Profile("own.csv", "density", densities, {key: line for line, key in enumerate(densities, 2)})


def profiled(
    figures: Mapping[str, float] = FIGURES, text: str = PLAIN, rate: float = 0.0, clustering: Clustering | None = None
) -> ProfiledNetwork:
    return ProfiledNetwork(network(text), make_profile(figures), 1, clustering, rate)


def write(folder: Path, text: str) -> Path:
    path = folder / "own.csv"
    path.write_text(text)
    return path


def refuse(path: Path, column: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        read_profile(path, column)
    return str(error.value)


def test_densities_and_zeros_are_read(tmp_path: Path) -> None:
    profile = read_profile(write(tmp_path, "# note\nlayer,tensor,density\nrelu1, output, 0.25\n\nconv2,weight,1\n"))
    assert profile.densities == {("relu1", "output"): 0.25, ("conv2", "weight"): 1.0}
    assert profile.lines == {("relu1", "output"): 3, ("conv2", "weight"): 5}
    text = "layer,tensor,zeros_first,zeros_last,note\nrelu1,output,0.25,0.75,x\n"
    for column, density in (("first", 0.75), ("last", 0.25)):
        assert read_profile(write(tmp_path, text), column).density("relu1", "output") == density
    assert read_profile(write(tmp_path, text), "last").density("relu2", "output") is None


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", None, ": is empty; a line with the columns layer, tensor and density or zeros is needed"),
        ("layer,density\n", None, ", line 1: the column 'tensor' is missing; the columns are layer, density"),
        ("layer,tensor,share\n", None,
         ", line 1: a column 'density' or 'zeros' is missing; the columns are layer, tensor, share"),
        ("layer,tensor,zeros,zeros\n", None, ", line 1: the column 'zeros' stands twice"),
        ("layer,tensor,zeros_first,zeros_last\n", None,
         ", line 1: none is chosen of the figures zeros_first, zeros_last; `column` must be one of first, last"),
        ("layer,tensor,zeros_first,zeros_last\n", "mean", ", line 1: column 'mean' fits none of the figures "
         "zeros_first, zeros_last; `column` must be one of first, last"),
        ("layer,tensor,zeros_last,density_last\n", "last", ", line 1: column 'last' fits zeros_last and density_last "
         "of the figures zeros_last, density_last; `column` must be one of last"),
        ("layer,tensor,zeros\na,output,1.5\n", None, ", line 2: zeros must be a number from 0 to 1, got '1.5'"),
        ("layer,tensor,zeros\na,output,\n", None, ", line 2: zeros must be a number from 0 to 1, got ''"),
        ("layer,tensor,zeros\na,output,nan\n", None, ", line 2: zeros must be a number from 0 to 1, got 'nan'"),
        ("layer,tensor,zeros\na,output\n", None, ", line 2: has 2 cells, the header 3"),
        ("layer,tensor,zeros\na,output,0\na,output,1\n", None, ", line 3: 'a' output stands in line 2 already"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, text: str, column: str | None, message: str) -> None:
    path = write(tmp_path, text)
    assert refuse(path, column) == f"{path}{message}"


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    assert refuse(tmp_path / "own.csv") == f"{tmp_path / 'own.csv'}: there is no such file"
    path = tmp_path / "own.csv"
    path.write_bytes(b"\xff\xfe\x00")
    assert refuse(path) == f"{path}: cannot be read as a CSV file of UTF-8 text"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("relu9", "network 'plain' has no layer 'relu9'; did you mean 'relu3'?"),
        ("loss", "network 'plain' has no layer 'loss'"),
        ("relu1/input", "tensor must be output of the relu layer 'relu1', got 'input'"),
        (
            "conv1/bias",
            "tensor must be output or input or grad_output or weight of the conv2d layer 'conv1', got 'bias'",
        ),
    ],
)
def test_a_row_that_stands_for_no_tensor_is_refused(row: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        check_profile(make_profile({"relu1": 0.5, row: 0.5}), network())
    assert str(error.value) == f"own.csv, line 3: {message}"


def test_what_pruning_leaves_is_the_closed_form() -> None:
    assert share_left(0.0) == 1.0
    assert [round(share_left(rate), 2) for rate in (0.7, 0.8, 0.9, 0.99)] == [0.62, 0.55, 0.46, 0.31]


def test_every_density_has_its_rule() -> None:
    left = share_left(0.9)
    rows = {(row["layer"], row["tensor"]): (row["density"], row["rule"]) for row in profiled(rate=0.9).describe()}
    assert rows == {
        ("conv1", "input"): (1.0, "network input"),
        ("conv1", "weight"): (1.0, "dense"),
        ("conv1", "grad_output"): (0.5 * left, "behind a ReLU"),
        ("conv2", "input"): (0.5, "figure"),
        ("conv2", "weight"): (1.0, "dense"),
        # One of the four elements of each window whose maximum is nonzero.
        ("conv2", "grad_output"): (0.6 * left / 4, "behind a ReLU"),
        ("fc1", "input"): (0.6, "derived by flatten"),
        ("fc1", "weight"): (1.0, "dense"),
        ("fc1", "grad_output"): (0.4 * 0.75 * left, "behind a ReLU"),
        ("fc2", "input"): (0.4 * 0.75, "derived by dropout"),
        ("fc2", "weight"): (1.0, "dense"),
        ("fc2", "grad_output"): (1.0, "behind the loss"),
    }


def test_batch_norm_makes_gradients_dense_before_they_are_pruned() -> None:
    figures = {"relu1": 0.5, "relu2": 0.3}
    for rate in (0.0, 0.8):
        rows = {(row["layer"], row["tensor"]): row for row in profiled(figures, RESIDUAL, rate).describe()}
        for layer in ("conv1", "conv2"):
            assert rows[layer, "grad_output"]["rule"] == "behind batch norm"
            assert rows[layer, "grad_output"]["density"] == share_left(rate)
        assert rows["side", "grad_output"]["rule"] == "behind a ReLU"


@pytest.mark.parametrize("clustering", [None, Clustering(image_variance=0.0)])
@pytest.mark.parametrize("rate", [0.0, 0.9])
def test_the_tensors_have_the_densities(clustering: Clustering | None, rate: float) -> None:
    made = profiled(rate=rate, clustering=clustering)
    expected = {(row["layer"], row["tensor"]): row["density"] for row in made.describe()}
    for name in ("conv1", "conv2", "fc1", "fc2"):
        for tensor, make in (("input", made.image_input), ("grad_output", made.image_gradient)):
            shares = []
            for seed in range(60):
                other = ProfiledNetwork(made.network, made.profile, seed, clustering, rate)
                values = (other.image_input if tensor == "input" else other.image_gradient)(name, 0)
                shares.append(np.count_nonzero(values) / values.size)
            assert make(name, 0).dtype == np.float32
            # Five standard errors of the mean over independent seeds; dense tensors have none.
            assert abs(np.mean(shares) - expected[name, tensor]) <= 5 * np.std(shares) / sqrt(60) + 1e-12


def occupied(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return values != 0


def test_gradients_stand_where_the_mask_is_set() -> None:
    made = profiled(clustering=Clustering(), rate=0.7)
    mask = occupied(made.image_input("conv2", 0))
    gradient = occupied(made.image_gradient("conv1", 0))
    assert not (gradient & ~mask).any()
    assert 0 < gradient.sum() < mask.sum()
    unpruned = profiled(clustering=Clustering()).image_gradient("conv1", 0)
    np.testing.assert_array_equal(occupied(unpruned), mask)


def test_a_max_pooling_hands_one_gradient_to_each_window() -> None:
    made = profiled()
    gradient = occupied(made.image_gradient("conv2", 0)).reshape(8, 8, 2, 8, 2).sum(axis=(2, 4))
    np.testing.assert_array_equal(gradient, occupied(made.image_input("fc1", 0)).reshape(8, 8, 8))


def test_a_pooling_without_a_figure_is_carried_out() -> None:
    figures = {name: density for name, density in FIGURES.items() if name != "pool2"}
    made = profiled(figures)
    mask = occupied(made.image_input("fc1", 0)).reshape(8, 8, 8)
    # Independent zeros: a window of four is empty if all are.
    assert mask.mean() == pytest.approx(1 - 0.7**4, abs=5 * sqrt(0.25 / mask.size))
    windows = occupied(made.image_gradient("conv2", 0)).reshape(8, 8, 2, 8, 2).sum(axis=(2, 4))
    np.testing.assert_array_equal(windows, mask)


def test_all_layers_that_read_a_tensor_read_the_same() -> None:
    made = profiled({"relu1": 0.5, "relu2": 0.3}, RESIDUAL)
    conv2, side = made.layer("conv2"), made.layer("side")
    np.testing.assert_array_equal(conv2.input, side.input)
    assert conv2.mask is not None


JOINED = RESIDUAL.replace(
    "  - {name: mean,",
    """\
  - {name: conv3, type: conv2d, out_channels: 8, kernel: 1}
  - {name: bn3, type: batch_norm}
  - {name: sum3, type: add, inputs: [bn3, relu2]}
  - {name: relu3, type: relu}
  - {name: mean,""",
)


def test_the_gradient_of_another_branch_is_there_to_be_summed() -> None:
    made = profiled({"relu1": 0.5, "relu2": 0.3, "relu3": 0.4}, JOINED, clustering=Clustering())
    assert made.network.summed_gradients("conv3") == ("sum3",)
    (summed,) = made.layer("conv3").summed
    assert summed.shape == made.network.layer_shape("conv3").input_shape
    # The gradient to the sum's output, behind the ReLU that follows it, which the fully connected layer's mean tells.
    mean = made.image_input("fc", 0)
    np.testing.assert_array_equal(occupied(summed[0]).any(axis=(1, 2)), occupied(mean))
    share = np.count_nonzero(summed) / summed.size
    assert share == pytest.approx(0.4, abs=0.2)
    # conv2 comes after its sister in the backward pass, and adds the masked gradient that she has stored.
    conv2 = made.layer("conv2")
    np.testing.assert_array_equal(occupied(conv2.summed[0]), conv2.mask)
    assert made.layer("side").summed == ()


def test_inputs_behind_a_relu_are_not_negative_and_masked_by_their_zeros() -> None:
    made = profiled(clustering=Clustering())
    for name in ("conv2", "fc1", "fc2"):
        operands = made.layer(name)
        assert operands.input.min() == 0
        np.testing.assert_array_equal(operands.mask, operands.input != 0)
    first = made.layer("conv1")
    assert first.mask is None
    assert first.input.min() < 0
    assert occupied(first.input).all()


def test_the_first_layer_has_no_gta() -> None:
    steps = {operands.layer: operands.steps for operands in profiled().operands()}
    assert steps == {"conv1": (Step.FORWARD, Step.GTW), **dict.fromkeys(("conv2", "fc1", "fc2"), tuple(Step))}


def test_an_image_and_a_layer_are_made_alone_as_in_the_batch() -> None:
    made = profiled(clustering=Clustering(), rate=0.9)
    for operands in made.operands():
        for image in range(2):
            np.testing.assert_array_equal(operands.input[image], made.image_input(operands.layer, image))
            np.testing.assert_array_equal(operands.grad_output[image], made.image_gradient(operands.layer, image))
        assert not np.array_equal(operands.input[0], operands.input[1])
        assert not np.array_equal(operands.grad_output[0], operands.grad_output[1])


def test_rows_of_inputs_weights_and_gradients_go_before_the_rules() -> None:
    rows = {"conv2/input": 0.0, "conv2/weight": 0.5, "conv2/grad_output": 0.25}
    operands = profiled({**FIGURES, **rows}, rate=0.9).layer("conv2")
    assert not operands.input.any()
    for values, density in ((operands.weight, 0.5), (operands.grad_output, 0.25)):
        share = np.count_nonzero(values) / values.size
        assert abs(share - density) < 5 * sqrt(density * (1 - density) / values.size)


def test_pruned_gradients_hold_nothing_below_the_threshold() -> None:
    gradient = np.abs(profiled(rate=0.9).image_gradient("conv1", 0))
    # Phi^-1(0.95), as float32.
    tau = np.float32(1.6448536269514722)
    assert gradient[gradient > 0].min() == tau
    assert np.count_nonzero(gradient == tau) > np.count_nonzero(gradient > tau)


def test_the_written_gradient_is_pruned_where_the_graph_has_a_site() -> None:
    made = profiled(rate=0.9)
    finish = {operands.layer: operands.finish for operands in made.operands()}
    assert [name for name in finish if finish[name].tau] == ["conv2", "fc1", "fc2"]
    assert not any(operands.finish.tau for operands in profiled().operands())


def test_the_threshold_of_the_written_gradient_leaves_what_the_next_layer_is_given() -> None:
    operands = profiled(rate=0.9).layer("fc2")
    written = run_gta(operands)
    pruned = prune(written, operands.finish.tau, PruningKey(1, "drop", 0))
    left = np.count_nonzero(pruned) / np.count_nonzero(operands.mask)
    # Ten products a sum are normal only roughly, and 600 elements know a share to 0.02.
    assert left == pytest.approx(share_left(0.9), abs=0.1)


@pytest.mark.parametrize(
    ("figures", "text", "message"),
    [
        ({"relu1": 0.5, "relu2": 0.3}, PLAIN,
         "own.csv: no row gives the output of 'relu3', and no rule covers a relu layer; add the row relu3,output"),
        ({**FIGURES, "pool1": 0.5}, RESIDUAL.replace("  - {name: bn1, type: batch_norm}\n", ""),
         "own.csv: no row gives grad_output of 'conv1', and no rule covers it: the windows of 'pool1' overlap or are "
         "padded, and it has a figure; add the row conv1,grad_output"),
        ({"relu1": 0.5, "relu2": 0.3}, RESIDUAL.replace("name: bn1, type: batch_norm", "name: bn1, type: dropout"),
         "own.csv: no row gives grad_output of 'conv1', and no rule covers it: 'bn1' (dropout) reads it without a ReLU "
         "between; add the row conv1,grad_output"),
    ],
)  # fmt: skip
def test_a_tensor_that_no_rule_covers_is_refused(figures: dict[str, float], text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        profiled(figures, text).describe()
    assert str(error.value) == message


def test_a_gradient_of_several_readers_needs_a_row() -> None:
    text = PLAIN.replace("{name: relu2, type: relu}", "{name: relu2, type: relu}\n  - {name: twice, type: add, "
                         "inputs: [relu2, conv2]}")  # fmt: skip
    with pytest.raises(InputError) as error:
        plan_gradient(network(text), make_profile(FIGURES), "conv2", 0.0)
    assert str(error.value) == (
        "own.csv: no row gives grad_output of 'conv2', and no rule covers it: 2 layers read 'conv2'; "
        "add the row conv2,grad_output"
    )


@pytest.mark.parametrize("name", ["vgg16", "resnet34", "resnet50"])
@pytest.mark.parametrize("column", ["first", "mean", "last"])
def test_the_shipped_profiles_fit_the_presets_of_their_names(name: str, column: str) -> None:
    preset, profile = load_workload(name).network, read_profile(find_profile(name), column)
    check_profile(profile, preset)
    rows = ProfiledNetwork(preset, profile, 1, Clustering(), 0.9).describe()
    assert len(rows) == 3 * len(preset.compute_nodes())
    assert len(profile.densities) == {"vgg16": 20, "resnet34": 33, "resnet50": 49}[name]


def test_an_unknown_profile_is_refused() -> None:
    assert profile_names() == ("resnet34", "resnet50", "vgg16")
    with pytest.raises(InputError) as error:
        find_profile("resnet43")
    assert str(error.value) == (
        "there is no profile 'resnet43'; did you mean 'resnet34'? (the profiles are resnet34, resnet50, vgg16; "
        "operands: {source: profile, path: FILE.csv} takes one of your own)"
    )


def load(folder: Path, operands: str, more: str = "") -> Workload:
    text = f"{PLAIN}operands: {{source: profile, {operands}}}\n{more}"
    return make_workload(parse_yaml(text, "net.yaml"), folder)


def test_the_headline_and_the_facts_tell_the_profile(tmp_path: Path) -> None:
    write(tmp_path, "layer,tensor,density\n" + "".join(f"{name},output,{d}\n" for name, d in FIGURES.items()))
    loaded = load(tmp_path, "path: own.csv, seed: 3", "pruning: {rate: 0.9}\n")
    stream = open_operands(loaded)
    assert stream.headline == (
        "synthetic tensors with the densities of the profile own.csv (density), independent zeros, "
        "gradients pruned at 0.9 as normal numbers are, seed 3"
    )
    assert stream.seed == 3
    assert stream.facts["densities"][3] == {"layer": "conv2", "tensor": "input", "density": 0.5, "rule": "figure"}
    assert loaded.resolved()["operands"]["path"] == str(tmp_path.resolve() / "own.csv")
    clustered = open_operands(load(tmp_path, "path: own.csv, seed: 3, clustering: {}"))
    assert clustered.headline.endswith("clustered zeros, gradients not pruned, seed 3")


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        ("seed: 1", "operands: source profile needs either name (a shipped profile) or path (a CSV file)"),
        ("seed: 1, name: vgg16, path: own.csv",
         "operands: source profile needs either name (a shipped profile) or path (a CSV file)"),
        ("seed: 1, name: vgg16, clustering: {channel_variance: 0.7, image_variance: 0.3}",
         "operands.clustering: channel_variance and image_variance must sum to less than 1, got 0.7 and 0.3"),
    ],
)  # fmt: skip
def test_profile_operands_that_contradict_themselves_are_refused(operands: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load(Path(), operands)
    assert str(error.value).startswith("net.yaml, line ")
    assert str(error.value).partition(": ")[2] == message
