"""Dataflows by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from dataflows.registry import ENTRY_POINT_GROUP, list_dataflows, load_dataflow
from dataflows.sparsetrain.dataflow import RowConvolution
from workloads import plugins
from workloads.errors import InputError


def register(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Let these names and values stand in for what is installed."""
    installed = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in points]

    def find(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in installed if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(plugins, "entry_points", find)


def test_the_built_in_dataflow_is_registered_under_the_projects_name() -> None:
    assert "sparsetrain" in list_dataflows()
    assert isinstance(load_dataflow("sparsetrain"), RowConvolution)


def test_an_unknown_name_is_answered_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, ("other", "other:Flow"), ("mine", "mine:Flow"))
    with pytest.raises(InputError) as caught:
        load_dataflow("yours")
    assert str(caught.value) == "unknown dataflow 'yours'; registered are mine, other"


def test_a_name_that_two_packages_claim_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, ("mine", "one:Flow"), ("mine", "another:Flow"))
    with pytest.raises(InputError) as caught:
        load_dataflow("mine")
    assert str(caught.value) == ("the dataflow name 'mine' is claimed by another:Flow and one:Flow; uninstall one")


def test_the_same_claim_seen_twice_is_one_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "dataflows.sparsetrain.dataflow:RowConvolution"
    register(monkeypatch, ("mine", value), ("mine", value))
    assert isinstance(load_dataflow("mine"), RowConvolution)


def test_a_package_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, ("mine", "no_such_module_anywhere:Flow"))
    with pytest.raises(InputError) as caught:
        load_dataflow("mine")
    assert str(caught.value) == (
        "the dataflow 'mine' (no_such_module_anywhere:Flow) cannot be loaded: No module named 'no_such_module_anywhere'"
    )
