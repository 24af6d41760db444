"""Options of a dataflow: declared by its class, given by an architecture, refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from dataflows import registry
from dataflows.registry import load_dataflow
from sim.architecture import load_architecture
from workloads import plugins
from workloads.errors import InputError


@dataclass(frozen=True)
class Choices:
    """Two options."""

    images_per_task: int = 1
    sorts: bool = False


class Optioned:
    """Keeps its options."""

    Options = Choices

    def __init__(self, options: Choices) -> None:
        self.options = options


@pytest.fixture
def optioned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a dataflow with options."""
    point = EntryPoint("mine", f"{__name__}:Optioned", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _: Optioned)
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [point])


@pytest.mark.usefixtures("optioned")
def test_what_is_not_given_is_the_default() -> None:
    made: Any = load_dataflow("mine", {"images_per_task": 3})
    assert made.options == Choices(images_per_task=3, sorts=False)
    plain: Any = load_dataflow("mine")
    assert plain.options == Choices()


@pytest.mark.usefixtures("optioned")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"images": 3},
            "dataflow_options.images: the dataflow 'mine' has no such option (its options are images_per_task, sorts)",
        ),
        (
            {"images_per_task": "3"},
            "dataflow_options.images_per_task: Input should be a valid integer, got '3' "
            "(an option of the dataflow 'mine')",
        ),
    ],
)
def test_an_unknown_option_and_a_value_of_another_type_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        load_dataflow("mine", given)
    assert str(error.value) == words


def test_the_built_in_dataflow_has_no_options() -> None:
    with pytest.raises(InputError) as error:
        load_dataflow("sparsetrain", {"images": 3})
    assert str(error.value) == "dataflow_options: the dataflow 'sparsetrain' has no options, got images"


def test_a_machine_names_the_options_it_was_given_and_is_written_without_any_otherwise() -> None:
    plain = load_architecture("ideal")
    assert "dataflow_options" not in plain.model_dump(mode="json")
    machine = load_architecture("ideal", ("dataflow_options.images=3",))
    assert machine.name == "ideal[dataflow_options.images=3]"
    assert machine.model_dump(mode="json")["dataflow_options"] == {"images": 3}
