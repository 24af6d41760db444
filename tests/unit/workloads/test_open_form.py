"""Forms of workloads that name extensions of packages."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Literal, Self

import pytest

from sim.sweep import identity
from sim.sweep.form import SweepForm
from sim.sweep.identity import Identifier
from workloads import plugins
from workloads.conformance import ConformanceError, check_source
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.open_form import AnyWorkloadForm, find_form, json_schema, list_providers, read_form
from workloads.opening import open_operands
from workloads.operand_choice import choose_operands
from workloads.pruners.table import THRESHOLD_MODELS
from workloads.recorded import save_recorded
from workloads.schema import WorkloadForm
from workloads.sources.source import OperandRequest, OperandStream
from workloads.sources.synthetic import SyntheticOperands
from workloads.sources.table import SOURCES
from workloads.validation import validate_document
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

    @classmethod
    def choose(cls, workload: str, label: str, seed: int) -> Self:  # noqa: ARG003
        return cls(source="dense", seed=seed)


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


def test_a_source_of_a_package_is_chosen_in_place_of_the_files() -> None:
    chosen = choose_operands(make(NET + "operands: {source: synthetic, seed: 4}\n"), operands="dense")
    assert chosen.form.operands == DenseOperands(source="dense", seed=4)
    assert chosen.resolved()["operands"]["source"] == "dense"
    for name, message in (
        ("broken", "the operand source 'broken' (guest:broken) cannot be loaded: no such library"),
        ("densest", "operands must be synthetic or profile or broken or dense or misnamed, got 'densest'; did you mean "
                    "'dense'?; other sources are named in the workload's file"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            choose_operands(chosen, operands=name)
        assert str(caught.value) == message


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


def test_recorded_operands_keep_the_laws_of_sources(tmp_path: Path) -> None:
    save_recorded(tmp_path / "some.npz", open_operands(make(NET + DENSE)).layers)
    for text in ("path: some.npz", "path: some.npz, first_layer_gta: false"):
        document = parse_yaml(NET + f"operands: {{source: recorded, {text}}}\n", "net.yaml")
        made = make_workload(document, tmp_path)
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


class Record(StrictModel):
    """Stands in for a record of a run."""

    workload: AnyWorkloadForm


def test_a_record_holds_a_workload_that_names_a_package() -> None:
    for text in (NET, NET + DENSE):
        data = make(text).resolved()
        record = Record.model_validate_json(json.dumps({"workload": data}))
        assert record.workload.model_dump(mode="json", exclude_none=True, exclude={"blocks"}) == data


def test_points_of_a_sweep_are_told_apart_by_what_provides_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    form = validate_document(
        parse_yaml("name: s\nworkloads: [lenet5]\nparameters: {batch: [1]}\n", "s.yaml"), SweepForm
    )
    made = make(NET + DENSE)
    before = Identifier(form).workload_digest(made)
    monkeypatch.setattr(identity, "list_providers", lambda _: ["guest:dense/guest/2.0"])
    assert Identifier(form).workload_digest(made) != before


def test_a_threshold_model_of_a_package_names_what_provides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("laplace", "guest:Laplace", THRESHOLD_MODELS.group)

    def find(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point] if group == point.group and name in (None, point.name) else []

    monkeypatch.setattr(plugins, "entry_points", find)
    made = make(f"{NET}pruning: {{rate: 0.9, model: laplace}}\n")
    assert list_providers(made.form) == ["guest:Laplace//"]
