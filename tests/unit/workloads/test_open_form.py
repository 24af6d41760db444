"""Forms of workloads that name extensions of packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Literal

import pytest

from workloads import plugins
from workloads.conformance import ConformanceError, check_source
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.open_form import find_form, json_schema, list_providers, read_form
from workloads.opening import open_operands
from workloads.operand_choice import choose_operands
from workloads.schema import WorkloadForm
from workloads.sources.source import OperandRequest, OperandStream
from workloads.sources.synthetic import SyntheticOperands
from workloads.sources.table import SOURCES
from workloads.workload import Workload, load_workload, make_workload
from workloads.yaml_file import parse_yaml

NET = """\
name: small
batch: 3
input: {channels: 1, height: 4, width: 4}
layers:
  - {name: conv1, type: conv2d, out_channels: 2, kernel: 3}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 2, kernel: 1}
"""
DENSE = "operands: {source: dense, seed: 1}\n"


class DenseOperands(SyntheticOperands):
    """Stands in for a source of a package."""

    source: Literal["dense"]  # type: ignore[assignment]

    def open(self, request: OperandRequest) -> OperandStream:
        return super().open(request)


class Misnamed(DenseOperands):
    """Bears another name than the one it is registered under."""


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = {"dense": DenseOperands, "misnamed": Misnamed, "broken": None}

    class Point(EntryPoint):
        def load(self) -> object:
            if classes.get(self.name, self) is None:
                raise ImportError("no such library")
            return classes[self.name] if self.name in classes else super().load()

    def find(group: str, name: str | None = None) -> list[EntryPoint]:
        points = [Point(given, f"guest:{given}", SOURCES.group) for given in classes]
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(plugins, "EntryPoint", Point)
    monkeypatch.setattr(plugins, "entry_points", find)


def make(text: str) -> Workload:
    return make_workload(parse_yaml(text, "net.yaml"), Path())


def refuse(text: str) -> str:
    with pytest.raises(InputError) as caught:
        make(text)
    return str(caught.value)


def test_a_workload_that_names_no_package_has_the_plain_form() -> None:
    assert type(load_workload("lenet5").form) is WorkloadForm


def test_a_source_of_a_package_is_read_opened_and_written_back() -> None:
    made = make(NET + DENSE)
    assert isinstance(made.operand_source(), DenseOperands)
    assert [operands.layer for operands in open_operands(made).layers] == ["conv1", "conv2"]
    assert list(made.resolved()) == ["name", "description", "batch", "input", "layers", "operands"]
    assert made.resolved()["operands"]["source"] == "dense"
    assert read_form(made.resolved()).operands == made.form.operands
    assert list_providers(made.form) == ["guest:dense//"]
    assert list_providers(load_workload("lenet5").form) == []


def test_an_unknown_source_is_answered_with_all_that_are_registered() -> None:
    assert refuse(NET + "operands: {source: magic}\n") == (
        "net.yaml, line 8: operands.source 'magic' is not supported; the kinds are "
        "recorded, synthetic, host, profile, broken, dense, misnamed"
    )


def test_a_fault_in_a_packages_section_is_told_with_its_line() -> None:
    assert refuse(NET + "operands: {source: dense}\n") == (
        "net.yaml, line 8: operands.seed is missing; it must be a whole number from 0 to 9223372036854775807"
    )


def test_a_package_is_refused_only_where_it_is_used() -> None:
    assert refuse(NET + "operands: {source: broken}\n") == (
        "the operand source 'broken' (guest:broken) cannot be loaded: no such library"
    )
    assert refuse(NET + "operands: {source: misnamed, seed: 1}\n").endswith('must declare source: Literal["misnamed"]')


def test_the_schema_needs_all_that_is_registered() -> None:
    with pytest.raises(InputError, match=r"^the operand source 'broken'"):
        json_schema()


@pytest.mark.parametrize("data", [None, [], {}, {"operands": 3}, {"operands": {"source": []}}])
def test_data_that_are_no_workload_have_the_plain_form(data: object) -> None:
    assert find_form(data) is WorkloadForm


@pytest.mark.parametrize("operands", ["synthetic", "profile", None])
def test_the_shipped_sources_keep_their_laws(operands: str | None) -> None:
    preset = load_workload("resnet34" if operands == "profile" else "lenet5", batch=2)
    data = preset.resolved() | {"input": {"channels": 3, "height": 32, "width": 32}}
    made = preset if operands is None else choose_operands(make_workload(YamlDocument("net", data), Path()),
                                                           operands=operands)  # fmt: skip
    check_source(made.operand_source(), made)


def test_a_source_that_changes_between_two_openings_is_refused() -> None:
    class Restless(DenseOperands):
        def open(self, request: OperandRequest) -> OperandStream:
            seeds.append(len(seeds))
            return DenseOperands(source="dense", seed=seeds[-1]).open(request)

    seeds: list[int] = []
    made = make(NET + DENSE)
    with pytest.raises(ConformanceError) as caught:
        check_source(Restless(source="dense", seed=1), made)
    assert str(caught.value) == "the operand source 'dense', layer 'conv1': is not the same when it is opened again"
