"""Validation of a YAML document by a pydantic model; the first fault becomes one sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from workloads.annotations import Hint
from workloads.document import FieldPath, YamlDocument, field_words
from workloads.errors import InputError
from workloads.suggestions import did_you_mean as did_you_mean
from workloads.words import list_words

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ModelT = TypeVar("ModelT", bound=BaseModel)
SHOWN_CHARACTERS = 60


def validate_document(document: YamlDocument, model: type[ModelT], *, within: FieldPath = ()) -> ModelT:
    """Return the model that the document's data, or the part of them at `within`, describe.

    The data are taken as JSON, so that a strict model gets its enums from text and its tuples from lists.

    Raises:
        InputError: a field is unknown, missing, or has a value that is not allowed.
    """
    try:
        return model.model_validate_json(json.dumps(document.value(within)))
    except ValidationError as error:
        faults = [_locate(model, detail, within) for detail in error.errors(include_url=False)]
        raise InputError(_sentence(document, min(faults, key=lambda fault: fault.order(document)))) from None


def show_value(value: Any) -> str:
    """Return a value as YAML would hold it, shortened to 60 characters."""
    text = _spell(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


@dataclass(frozen=True)
class _Fault:
    """One of pydantic's errors, at a path of the data (its own locations hold union labels besides)."""

    kind: str
    path: FieldPath
    hint: Hint
    message: str

    def order(self, document: YamlDocument) -> tuple[int, bool, int]:
        """Put the earliest mapping first, and in it an unknown field before the missing one it was meant for."""
        around = self.path if self.kind == "union_tag_not_found" else self.path[:-1]
        return (document.line(around) or 0, self.kind != "extra_forbidden", document.line(self.path) or 0)


def _locate(model: type[BaseModel], detail: ErrorDetails, within: FieldPath) -> _Fault:
    """Walk the model's annotations along pydantic's location, leaving out its labels of union members."""
    hint = around = Hint.of(model)
    path = within
    kind = detail["type"]
    for index, part in enumerate(detail["loc"]):
        is_last = index == len(detail["loc"]) - 1
        if hint.discriminator:
            hint = hint.tagged(part)
        elif hint.is_plain_union:
            return _Fault("value", path, hint, "")
        elif kind == "extra_forbidden" and is_last:
            path = (*path, part)
        elif part == "[key]" and is_last:
            return _Fault("key", path, around.key(), "")
        else:
            path, around, hint = (*path, part), hint, hint.inside(part)
    error = detail.get("ctx", {}).get("error") if kind == "value_error" else None
    return _Fault(kind, path, hint, str(error) if error else "")


def _sentence(document: YamlDocument, fault: _Fault) -> str:
    path = fault.path
    if fault.kind == "missing":
        return _missing(document, path[:-1], path[-1], fault.hint.words())
    if fault.kind == "extra_forbidden":
        return _unknown(document, path, fault.hint)
    if fault.kind == "key":
        near = did_you_mean(path[-1], fault.hint.choices())
        return f"{_subject(document, path[:-1])}: the key '{path[-1]}' must be {fault.hint.words()}{near}"
    value = document.value(path)
    if fault.kind in ("union_tag_not_found", "union_tag_invalid") and isinstance(value, dict):
        tag = fault.hint.discriminator
        if tag not in value:
            return _missing(document, path, tag, fault.hint.tag_words())
        return _other_kind(_subject(document, (*path, tag)), value[tag], fault.hint)
    if fault.message:
        return f"{document.place(path)}: {fault.message}"
    near = did_you_mean(value, fault.hint.choices())
    return f"{_subject(document, path)} must be {fault.hint.words()}, got {show_value(value)}{near}"


def _other_kind(subject: str, given: Any, hint: Hint) -> str:
    """Refuse a kind: text that is no typing error is something that is not supported."""
    near = did_you_mean(given, hint.tags())
    if isinstance(given, str) and given and not near:
        return f"{subject} {show_value(given)} is not supported; the kinds are {list_words(hint.tags())}"
    return f"{subject} must be {hint.tag_words()}, got {show_value(given)}{near}"


def _missing(document: YamlDocument, around: FieldPath, name: str | int, allowed: str) -> str:
    return f"{_subject(document, (*around, name))} is missing; it must be {allowed}"


def _unknown(document: YamlDocument, path: FieldPath, hint: Hint) -> str:
    name = path[-1]
    owner, rest = document.split(path[:-1])
    inside = " ".join(part for part in (owner, field_words(rest)) if part)
    allowed = hint.fields()
    return (
        f"{document.origin(path)}: {inside + ': ' if inside else ''}unknown field '{name}'"
        f"{did_you_mean(name, allowed)} (the fields are {list_words(allowed)})"
    )


def _subject(document: YamlDocument, path: FieldPath) -> str:
    """Return a sentence's beginning up to the field, such as ``net.yaml, line 7: layers[2] 'conv2': stride``."""
    owner, rest = document.split(path)
    field = field_words(rest)
    words = ": ".join(part for part in (owner, field) if part)
    return f"{document.origin(path)}: {words}" if words else document.origin(path)


def _spell(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_spell(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_spell(item)}" for key, item in value.items()) + "}"
    return repr(value)
