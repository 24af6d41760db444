"""The options of a dataflow: a dataclass or pydantic model, `Options`, in which every field has a default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from workloads.errors import InputError
from workloads.validation import did_you_mean
from workloads.words import list_words

# What the value of an option may be.
Option = bool | int | float | str | None


def make_options(dataflow: str, declared: type, given: Mapping[str, Option]) -> Any:
    """Fill a dataflow's options with what was given and its defaults, without casts.

    Raises:
        InputError: an option is unknown, or its value is not allowed; the message names both.
    """
    if issubclass(declared, BaseModel):
        known = list(declared.model_fields)
    elif is_dataclass(declared):
        known = [item.name for item in fields(declared)]
    else:
        raise TypeError(f"Options must be a dataclass or a pydantic model, got {declared.__name__}")
    for name in given:
        if name not in known:
            raise InputError(
                f"dataflow_options.{name}: the dataflow '{dataflow}' has no such option{did_you_mean(name, known)} "
                f"(its options are {list_words(known)})"
            )
    try:
        # Strict Python input would ask for an instance of the class; strict JSON takes its fields.
        return TypeAdapter(declared).validate_json(json.dumps(dict(given)), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"dataflow_options.{place}: {first['msg']}, got {first['input']!r} (an option of the dataflow '{dataflow}')"
        ) from None
