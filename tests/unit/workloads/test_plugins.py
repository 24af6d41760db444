"""Extensions by name, those that ship and those of installed packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from workloads import plugins
from workloads.errors import InputError
from workloads.plugins import ExtensionPoint


class Spice:
    """Stands in for a kind of extension."""


class Pepper(Spice):
    """Stands in for one that is shipped."""


class Brick:
    """Is no spice."""


SPICES = ExtensionPoint[Spice]("test.spices", "spice", {"pepper": f"{__name__}:Pepper"}, Spice)


def register(monkeypatch: pytest.MonkeyPatch, **points: object) -> None:
    """Let these names and classes stand in for what packages register."""

    class Point(EntryPoint):
        def load(self) -> object:
            return points.get(self.name, Pepper)

    installed = [Point(name, f"{name}:Class", "test.spices") for name in points]

    def find(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in installed if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(plugins, "EntryPoint", Point)
    monkeypatch.setattr(plugins, "entry_points", find)


def test_what_ships_is_named_first_and_found_without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, mustard=Spice, cumin=Spice, pepper=Brick)
    assert SPICES.names() == ("pepper", "cumin", "mustard")
    assert [SPICES.is_registered(name) for name in ("pepper", "cumin", "salt")] == [True, True, False]


def test_a_class_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, brick=Brick, letter="a")
    for name in ("brick", "letter"):
        with pytest.raises(InputError) as caught:
            SPICES.load(name)
        assert str(caught.value) == f"the spice '{name}' ({name}:Class) is no subclass of Spice"


def test_a_class_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Salt(Spice):
        def __init__(self) -> None:
            raise ValueError("no more of it")

    register(monkeypatch, salt=Salt)
    assert SPICES.load("salt") is Salt
    with pytest.raises(InputError) as caught:
        SPICES.make("salt")
    assert str(caught.value) == "the spice 'salt' (salt:Class) cannot be loaded: no more of it"
