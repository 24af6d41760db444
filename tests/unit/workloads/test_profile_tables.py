"""Tables of profiles: how they are read, matched to a network, named in a workload, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.workloads.profile_networks import FIGURES, PLAIN, make_profile, network, write

from workloads.errors import InputError
from workloads.opening import open_operands
from workloads.profile import check_profile, find_profile, profile_names, read_profile
from workloads.profile_tensors import ProfiledNetwork
from workloads.settings import Clustering
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import parse_yaml


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
    path.write_bytes(b"layer,tensor,density\n\xff")
    assert refuse(path) == f"{path}: cannot be read as a CSV file of UTF-8 text"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("relu33", "network 'plain' has no layer 'relu33'"),
        ("loss", "network 'plain' has no layer 'loss'"),
        ("pool2/grad_output", "tensor must be output of the max_pool layer 'pool2', got 'grad_output'"),
        ("relu1/input", "tensor must be output or grad_output of the relu layer 'relu1', got 'input'"),
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


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "vgg16", "resnet34", "resnet50"])
@pytest.mark.parametrize("column", ["first", "mean", "last"])
def test_the_shipped_profiles_fit_the_presets_of_their_names(name: str, column: str) -> None:
    preset, profile = load_workload(name).network, read_profile(find_profile(name), column)
    check_profile(profile, preset)
    rows = ProfiledNetwork(preset, profile, 1, Clustering(), 0.9).describe()
    assert len(rows) == 3 * len(preset.compute_nodes())
    assert len(profile.densities) == {"alexnet": 7, "resnet18": 17, "vgg16": 20, "resnet34": 33, "resnet50": 49}[name]


@pytest.mark.parametrize(("name", "preset"), [("alexnet_cifar10", "alexnet_cifar"), ("resnet20_cifar10", "resnet20")])
@pytest.mark.parametrize("rate", [0.0, 0.7, 0.8, 0.9, 0.99])
def test_the_measured_profiles_fit_the_presets_that_they_were_measured_on(name: str, preset: str, rate: float) -> None:
    network = load_workload(preset).network
    profile = read_profile(find_profile(name), rate=rate, epoch="last")
    check_profile(profile, network)
    measured = {
        (node.name, tensor) for node in network.compute_nodes() for tensor in ("input", "weight", "grad_output")
    }
    assert measured <= profile.densities.keys()
    assert find_profile(name).stat().st_size < 2_000_000


def test_an_unknown_profile_is_refused() -> None:
    names = ("alexnet", "alexnet_cifar10", "resnet18", "resnet20_cifar10", "resnet34", "resnet50", "vgg16")
    assert profile_names() == names
    with pytest.raises(InputError) as error:
        find_profile("resnet43")
    assert str(error.value) == (
        f"there is no profile 'resnet43'; did you mean 'resnet34'? (the profiles are {', '.join(names)}; "
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
