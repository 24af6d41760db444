"""Other operands than those of a workload's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from workloads.errors import InputError
from workloads.operand_choice import choose_operands
from workloads.profile import profile_names
from workloads.settings import Clustering
from workloads.sources.host import HostOperands
from workloads.sources.profile import ProfileOperands
from workloads.sources.synthetic import SyntheticOperands
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import parse_yaml

RECORDED = """\
name: small
input: {channels: 1, height: 2, width: 2}
layers:
  - {name: conv1, type: conv2d, out_channels: 2, kernel: 1}
operands: {source: recorded, path: some.npz}
"""


def recorded() -> Workload:
    return make_workload(parse_yaml(RECORDED, "net.yaml"), Path())


def test_nothing_chosen_changes_nothing() -> None:
    lenet = load_workload("lenet5")
    assert choose_operands(lenet, seed=3).form == lenet.form


def test_synthetic_operands_have_half_of_their_inputs_and_gradients_zero() -> None:
    source = choose_operands(recorded(), operands="synthetic").form.operands
    assert isinstance(source, SyntheticOperands)
    assert (source.density.input, source.density.weight, source.density.grad_output) == (0.5, 1.0, 0.5)
    assert source.seed == 1


def test_the_seed_is_the_given_one_or_that_of_the_old_operands() -> None:
    lenet = load_workload("lenet5", seed=9)
    for seed, expected in ((None, 9), (4, 4)):
        source = choose_operands(lenet, operands="synthetic", seed=seed).form.operands
        assert isinstance(source, SyntheticOperands)
        assert source.seed == expected


@pytest.mark.parametrize(("name", "profile"), [("alexnet_cifar", "alexnet_cifar10"), ("resnet20", "resnet20_cifar10")])
def test_the_profile_of_a_preset_for_cifar_is_the_one_that_was_measured_on_it(name: str, profile: str) -> None:
    source = choose_operands(load_workload(name), operands="profile").form.operands
    assert source == ProfileOperands(source="profile", name=profile, column=None, seed=1, clustering=Clustering())


@pytest.mark.parametrize("name", ["vgg16", "alexnet", "resnet18", "resnet34", "resnet50"])
def test_the_profile_of_a_preset_is_the_shipped_one_of_its_name(name: str) -> None:
    source = choose_operands(load_workload(name), operands="profile").form.operands
    assert source == ProfileOperands(source="profile", name=name, column="last", seed=1, clustering=Clustering())


def test_other_data_changes_the_dataset_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lenet = load_workload("lenet5")
    source = choose_operands(lenet, data="fashion_mnist").form.operands
    assert source == lenet.form.operands
    source = choose_operands(lenet, data="cifar10:set").form.operands
    assert isinstance(source, HostOperands)
    assert source.dataset == f"cifar10:{tmp_path.resolve() / 'set'}"


def refuse(workload: Workload, **options: str) -> str:
    with pytest.raises(InputError) as error:
        choose_operands(workload, **options)  # type: ignore[arg-type]
    return str(error.value)


def test_choices_that_cannot_be_made_are_refused() -> None:
    assert refuse(recorded(), operands="profiles") == (
        "operands must be synthetic or profile, got 'profiles'; did you mean 'profile'?; "
        "other sources are named in the workload's file"
    )
    assert refuse(recorded(), operands="profile") == (
        f"net.yaml: no profile is shipped for 'small' (the profiles are {', '.join(profile_names())}); "
        "operands: {source: profile, path: FILE.csv, seed: 1} names your own"
    )
    assert refuse(recorded(), data="fashion_mnist", weights="w.npz") == (
        "net.yaml: dataset and weights cannot be changed: the operands are recorded, not the host's"
    )
