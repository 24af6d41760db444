"""What a field of a pydantic model allows, in words, read from its annotation."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from workloads.words import list_words

_BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern", "discriminator")


@dataclass(frozen=True)
class Hint:
    """An annotation without its `Annotated` wrappers, and the bounds they held (ge, max_length, pattern, ...)."""

    base: Any
    bounds: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(annotation: Any, metadata: Sequence[Any] = ()) -> Hint:
        """Unwrap an annotation; ``X | None`` becomes X."""
        bounds = _bounds(metadata)
        while get_origin(annotation) is Annotated:
            bounds = _bounds(annotation.__metadata__) | bounds
            annotation = annotation.__origin__
        members = _members(annotation)
        others = [member for member in members if member is not type(None)]
        if len(others) == 1 and len(members) == 2:
            inner = Hint.of(others[0])
            return Hint(inner.base, {**inner.bounds, **bounds})
        return Hint(annotation, bounds)

    @property
    def discriminator(self) -> str:
        """The field that tells the members of a union apart, or empty."""
        return str(self.bounds.get("discriminator", ""))

    @property
    def is_plain_union(self) -> bool:
        """A union whose members no field tells apart."""
        return not self.discriminator and len(_members(self.base)) > 1

    @property
    def model(self) -> type[BaseModel] | None:
        """The model this annotation is, or None."""
        return self.base if isinstance(self.base, type) and issubclass(self.base, BaseModel) else None

    def inside(self, part: str | int) -> Hint:
        """Return the hint of a field of a model, or of an entry of a list, tuple or mapping."""
        if self.model is not None:
            info = _fields_of(self.model)[str(part)]
            discriminator = [info] if info.discriminator else []
            return Hint.of(info.annotation, [*info.metadata, *discriminator])
        arguments = [argument for argument in get_args(self.base) if argument is not Ellipsis]
        if get_origin(self.base) is tuple and isinstance(part, int) and len(arguments) > 1:
            return Hint.of(arguments[part])
        return Hint.of(arguments[-1]) if arguments else Hint(object)

    def key(self) -> Hint:
        """Return the hint of a mapping's keys."""
        return Hint.of(get_args(self.base)[0])

    def tagged(self, tag: str | int) -> Hint:
        """Return the member of a discriminated union that this tag chooses."""
        return next(Hint.of(member) for member in _members(self.base) if tag in _tags(member, self.discriminator))

    def tags(self) -> tuple[str, ...]:
        """Return all tags of a discriminated union."""
        return tuple(str(tag) for member in _members(self.base) for tag in _tags(member, self.discriminator))

    def tag_words(self) -> str:
        """Return the allowed tags in words."""
        return _choice_words(self.tags())

    def fields(self) -> tuple[str, ...]:
        """Return the names of a model's fields."""
        return tuple(_fields_of(self.model)) if self.model is not None else ()

    def choices(self) -> tuple[str, ...]:
        """Return the words that a choice allows, as one of several forms too; empty where the field is no choice."""
        members = _members(self.base) if self.is_plain_union else (self.base,)
        return tuple(value for member in members for value in _choices(member) if isinstance(value, str))

    def words(self) -> str:
        """Return what is allowed, such as ``a whole number of at least 1``; null, the same as no value, goes unsaid."""
        return _words(self)


def describe(annotation: Any) -> str:
    """Return in words what values an annotation allows."""
    return Hint.of(annotation).words()


def _fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the names that they have in a file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _bounds(metadata: Sequence[Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            bounds |= _bounds(entry.metadata)
        found = {name: getattr(entry, name, None) for name in _BOUNDS}
        bounds |= {name: bound for name, bound in found.items() if bound is not None}
    return bounds


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()


def _tags(member: Any, discriminator: str) -> tuple[Any, ...]:
    model = Hint.of(member).model
    return _choices(model.model_fields[discriminator].annotation) if model is not None else ()


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(member.value for member in annotation)
    return ()


def _choice_words(choices: Sequence[Any]) -> str:
    words = [repr(choice) for choice in choices]
    return words[0] if len(words) == 1 else " or ".join(words) if len(words) == 2 else "one of " + list_words(words)


def _words(hint: Hint) -> str:
    base, origin = hint.base, get_origin(hint.base)
    if choices := _choices(base):
        return _choice_words(choices)
    if hint.is_plain_union:
        members = [Hint.of(member) for member in _members(base) if member is not type(None)]
        return " or ".join(_named_fields(member.model) if member.model else _words(member) for member in members)
    if base is bool:
        return "true or false"
    if base is int or base is float:
        return ("a whole number" if base is int else "a number") + _range_words(hint.bounds)
    if base is str:
        return "text" + _text_words(hint.bounds)
    if hint.model or hint.discriminator:
        return "a mapping of fields"
    kind = next((kind for kind in (list, tuple, dict) if kind in (base, origin)), None)
    return "another value" if kind is None else ("a mapping" if kind is dict else "a list") + _entry_words(hint)


def _named_fields(model: type[BaseModel]) -> str:
    return "a mapping of the fields " + ", ".join(_fields_of(model))


def _range_words(bounds: Mapping[str, Any]) -> str:
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    forms = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    words = [f"{form} {bounds[name]}" for name, form in forms.items() if name in bounds]
    return " " + " and ".join(words) if words else ""


def _text_words(bounds: Mapping[str, Any]) -> str:
    words = ""
    if "pattern" in bounds:
        words += f" of the form {str(bounds['pattern']).removeprefix('^').removesuffix('$')}"
    if bounds.get("min_length"):
        words += f" of at least {_count(bounds['min_length'], 'character')}"
    if "max_length" in bounds:
        words += f" of at most {_count(bounds['max_length'], 'character')}"
    return words


def _entry_words(hint: Hint) -> str:
    arguments = [argument for argument in get_args(hint.base) if argument is not Ellipsis]
    least, most = hint.bounds.get("min_length"), hint.bounds.get("max_length")
    if get_origin(hint.base) is tuple and Ellipsis not in get_args(hint.base):
        least = most = len(arguments)
        arguments = arguments if len(set(arguments)) == 1 else []
    if least is not None and least == most:
        size = _count(least, "entry")
    else:
        bounds = [f"at least {_count(least, 'entry')}"] if least else []
        bounds += [f"at most {_count(most, 'entry')}"] if most is not None else []
        size = " and ".join(bounds) or "entries"
    return f" of {size}" + (f", each {describe(arguments[-1])}" if arguments else "")


def _count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"
