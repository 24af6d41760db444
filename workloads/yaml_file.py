"""Strict reading and writing of YAML files: the core schema of YAML 1.2, without anchors, aliases and tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from workloads.document import FieldPath, YamlDocument, field_words
from workloads.errors import InputError
from workloads.user_file import FileForm, read_file
from workloads.validation import validate_document

__all__ = ["YamlDocument", "dump_yaml", "load_yaml", "parse_yaml", "validate_document"]

FORM = FileForm("a YAML file", limit_bytes=4 * 2**20, is_text=True)
VALUE_LIMIT = 250_000
DEPTH_LIMIT = 32
NUMBER_LIMIT_CHARACTERS = 64

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


def load_yaml(path: Path | str) -> YamlDocument:
    """Read a YAML file that holds one mapping.

    Raises:
        InputError: the file cannot be read, is larger than 4 MiB, is not text in UTF-8, or is not strict YAML.
    """
    return parse_yaml(_read_text(Path(path), str(path)), str(path))


def parse_yaml(text: str, label: str) -> YamlDocument:
    """Read a YAML text that holds one mapping; `label` names it in error messages.

    Raises:
        InputError: the text is not valid YAML, is empty, holds several documents, a key twice, a key that is not text,
            an anchor, an alias or a tag, is nested deeper than 32 levels, holds more than 250,000 values, or is not a
            mapping.
    """
    try:
        return _Builder(text, label).build()
    except yaml.reader.ReaderError as error:
        where = f"{label}, line {text.count(chr(10), 0, error.position) + 1}"
        raise InputError(f"{where}: the character U+{error.character:04X} is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax_message(error, label)) from None


def dump_yaml(data: dict[str, Any]) -> str:
    """Return plain data as YAML text that `parse_yaml` reads back as equal data."""
    return yaml.dump(data, Dumper=_CoreDumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


class _CoreDumper(yaml.SafeDumper):
    """Quotes also what only YAML 1.2 reads as a number, such as the text 1e5."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


_CoreDumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"^(?:{_INT.pattern})$"), list("-+0123456789"))
_CoreDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789")
)


def _read_text(path: Path, label: str) -> str:
    raw = read_file(path, FORM, label)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{label}, line {line}: is not UTF-8 text") from None


def _syntax_message(error: yaml.MarkedYAMLError, label: str) -> str:
    mark, began = error.problem_mark, error.context_mark
    where = label if mark is None else f"{label}, line {mark.line + 1}"
    context = f" {error.context}" if error.context else ""
    if began is not None and mark is not None and began.line != mark.line:
        context += f" that begins on line {began.line + 1}"
    return f"{where}: not valid YAML: {error.problem}{context}"


class _Builder:
    """Builds data and lines from the parser's events, so that nothing is constructed before it was allowed."""

    def __init__(self, text: str, label: str) -> None:
        self._text = text
        self._label = label
        self._lines: dict[FieldPath, int] = {}
        self._values = 0
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)

    def build(self) -> YamlDocument:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise InputError(f"{self._label}: is empty; a mapping of fields is expected")
        root = next(self._events)
        data = self._value(root, ())
        next(self._events)
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise self._error(following, "a second YAML document starts here; a file holds one")
        if data is None:
            raise InputError(f"{self._label}: is empty; a mapping of fields is expected")
        if not isinstance(data, dict):
            kind = "a list" if isinstance(data, list) else "a single value"
            raise self._error(root, f"a mapping of fields is expected, got {kind}")
        return YamlDocument(label=self._label, data=data, lines=self._lines, text=self._text)

    def _value(self, event: Any, path: FieldPath) -> Any:
        self._check(event, path)
        self._values += 1
        if self._values > VALUE_LIMIT:
            raise self._error(event, f"the file holds more than {VALUE_LIMIT} values, the most that are read")
        self._lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event)

    def _check(self, event: Any, path: FieldPath) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, f"the alias *{event.anchor} is not allowed; write the value out")
        if event.anchor is not None:
            raise self._error(event, f"the anchor &{event.anchor} is not allowed; write the value out where it is used")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._error(event, f"the tag {tag} is not allowed; only plain values are")
        if len(path) > DEPTH_LIMIT:
            raise self._error(event, f"nested deeper than {DEPTH_LIMIT} levels")

    def _mapping(self, path: FieldPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key in mapping:
                first = self._lines[(*path, key)]
                raise self._error(event, f"the key '{key}' is given twice, first on line {first}")
            self._lines[(*path, key)] = event.start_mark.line + 1
            mapping[key] = self._value(next(self._events), (*path, key))
        return mapping

    def _key(self, event: Any, path: FieldPath) -> str:
        self._check(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, "a key must be text, got a list or a mapping")
        key = self._scalar(event)
        if not isinstance(key, str):
            inside = f" in {field_words(path)}" if path else ""
            raise self._error(event, f"the key {event.value or 'null'}{inside} must be text; quote it if it is meant")
        return key

    def _sequence(self, path: FieldPath) -> list[Any]:
        sequence: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            sequence.append(self._value(event, (*path, len(sequence))))
        return sequence

    def _scalar(self, event: Any) -> str | int | float | bool | None:
        text: str = event.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise self._error(event, "half of a surrogate pair is not text")
        if not event.implicit[0]:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        number = _INT.fullmatch(text) or _FLOAT.fullmatch(text)
        if number and len(text) > NUMBER_LIMIT_CHARACTERS:
            raise self._error(
                event, f"a number of {len(text)} characters is too long; {NUMBER_LIMIT_CHARACTERS} at most"
            )
        if _INT.fullmatch(text):
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        return (
            float(text.replace(".i", "i").replace(".I", "I").replace(".n", "n").replace(".N", "N")) if number else text
        )

    def _error(self, event: Any, problem: str) -> InputError:
        return InputError(f"{self._label}, line {event.start_mark.line + 1}: {problem}")
