"""The sentences for faults in any model: the ones that no field of a workload can show."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, model_validator

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.yaml_file import parse_yaml, validate_document


class Cell(StrEnum):
    HP = "hp"
    LSTP = "lstp"


class Bank(StrictModel):
    kind: Literal["bank"]
    cells: Cell = Cell.HP
    size: tuple[int, Annotated[int, Field(gt=0)]] = (1, 1)


class Wire(StrictModel):
    kind: Literal["wire", "cable"]
    length_um: Annotated[float, Field(gt=0, le=5)] = 1.0


class Chip(StrictModel):
    parts: Annotated[dict[str, Annotated[Bank | Wire, Field(discriminator="kind")]], Field(min_length=1)]
    levels: tuple[int, ...] = ()
    label: Annotated[str, Field(min_length=2)] | None = None
    limit: Annotated[int, Field(le=9)] | Literal["none"] = 3
    depth: Annotated[list[int], Field(max_length=1)] | None = None
    modes: dict[Cell, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_levels(self) -> Chip:
        if len(self.levels) > 2:
            raise ValueError(f"levels may be two at most, got {len(self.levels)}")
        return self


def sentence(data: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        validate_document(YamlDocument("chip", data), Chip)
    return str(caught.value)


def test_sound_data_become_a_model_with_enums_and_tuples() -> None:
    data = {"parts": {"a": {"kind": "bank", "cells": "lstp", "size": [1, 2]}, "b": {"kind": "cable"}}, "levels": [1, 2]}
    chip = validate_document(YamlDocument("chip", data), Chip)
    assert chip.levels == (1, 2)
    assert chip.parts == {"a": Bank(kind="bank", cells=Cell.LSTP, size=(1, 2)), "b": Wire(kind="cable")}
    assert chip.limit == 3


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"kind": "bank", "cells": "lst"},
         "chip: parts.a.cells must be 'hp' or 'lstp', got 'lst'; did you mean 'lstp'?"),
        ({"kind": "bank", "size": [1]}, "chip: parts.a.size[1] is missing; it must be a whole number above 0"),
        ({"kind": "bank", "size": [1, 0]}, "chip: parts.a.size[1] must be a whole number above 0, got 0"),
        ({"kind": "bank", "size": 3}, "chip: parts.a.size must be a list of 2 entries, got 3"),
        ({"kind": "wire", "length_um": 6}, "chip: parts.a.length_um must be a number above 0 and of at most 5, got 6"),
        ({"kind": "wire", "kind2": 1},
         "chip: parts.a: unknown field 'kind2'; did you mean 'kind'? (the fields are kind, length_um)"),
        ({"kind": "tube"}, "chip: parts.a.kind 'tube' is not supported; the kinds are bank, wire, cable"),
        ({}, "chip: parts.a.kind is missing; it must be one of 'bank', 'wire', 'cable'"),
        (None, "chip: parts.a must be a mapping of fields, got null"),
    ],
)  # fmt: skip
def test_a_fault_in_an_entry_of_a_mapping_is_named(part: object, message: str) -> None:
    assert sentence({"parts": {"a": part}}) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parts": {}}, "chip: parts must be a mapping of at least 1 entry, each a mapping of fields, got {}"),
        ({"levels": [1, "x"]}, "chip: levels[1] must be a whole number, got 'x'"),
        ({"levels": {"a": 1}}, "chip: levels must be a list of entries, each a whole number, got {a: 1}"),
        ({"levels": [1, 2, 3]}, "chip: levels may be two at most, got 3"),
        ({"label": "a"}, "chip: label must be text of at least 2 characters, got 'a'"),
        ({"modes": {"lst": 1}}, "chip: modes: the key 'lst' must be 'hp' or 'lstp'; did you mean 'lstp'?"),
        ({"modes": {"hp": "x"}}, "chip: modes.hp must be a whole number, got 'x'"),
        ({"limit": 10}, "chip: limit must be a whole number of at most 9 or 'none', got 10"),
        (
            {"limit": "nine"},
            "chip: limit must be a whole number of at most 9 or 'none', got 'nine'; did you mean 'none'?",
        ),
        ({"depth": [1, 2]}, "chip: depth must be a list of at most 1 entry, each a whole number, got [1, 2]"),
        ({"label": [True, None, "a", 1.5, {"b": 2}]},
         "chip: label must be text of at least 2 characters, got [true, null, 'a', 1.5, {b: 2}]"),
        ({"label": list(range(40))},
         "chip: label must be text of at least 2 characters, got "
         "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16..."),
    ],
)  # fmt: skip
def test_a_fault_in_a_field_is_named(fields: dict[str, Any], message: str) -> None:
    assert sentence({"parts": {"a": {"kind": "wire"}}, **fields}) == message


def test_the_first_of_several_faults_is_the_one_that_stands_first_in_the_file() -> None:
    document = parse_yaml("levels: [x]\nparts:\n  a: {kind: tube}\nlimit: 10\n", "chip.yaml")
    with pytest.raises(InputError) as caught:
        validate_document(document, Chip)
    assert str(caught.value) == "chip.yaml, line 1: levels[0] must be a whole number, got 'x'"


def test_an_unknown_field_is_named_before_the_missing_one_it_was_meant_for() -> None:
    document = parse_yaml("levels: [1]\npartz: {}\n", "chip.yaml")
    with pytest.raises(InputError) as caught:
        validate_document(document, Chip)
    assert str(caught.value) == (
        "chip.yaml, line 2: unknown field 'partz'; did you mean 'parts'? "
        "(the fields are parts, levels, label, limit, depth, modes)"
    )
