"""``run.json`` read back: strict JSON of a bounded size, of this version's form."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from sim.architecture import shorten_line
from sim.results.record_form import RecordForm
from sim.results.stored_file import name_file, read_stored_text
from sim.version import MODEL_VERSION, SCHEMA_VERSION
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.validation import show_value, validate_document

LIMIT_BYTES = 2**26
DEPTH_LIMIT = 32
NUMBER_LIMIT_CHARACTERS = 40
LONGEST_SENTENCE = 600


class RefusedError(ValueError):
    """Something that is JSON for many readers, but that no run is written with."""


def read_record(path: Path) -> tuple[dict[str, Any], RecordForm]:
    """Read ``run.json``, as plain data and as its form.

    Raises:
        InputError: it is no such file, no strict JSON, was written in another form, or a field of it is missing or has
            a value that is not allowed.
    """
    record = parse_record(path)
    if "schema_version" not in record:
        raise InputError(f"{name_file(path)}: has no field 'schema_version'")
    if type(record["schema_version"]) is not int or record["schema_version"] != SCHEMA_VERSION:
        written = record.get("version", "unknown")
        by = shorten_line(written) if isinstance(written, str) else show_value(written)
        raise InputError(
            f"{name_file(path)}: was written by version {by} in form {show_value(record['schema_version'])}; "
            f"this is version {MODEL_VERSION} and reads form {SCHEMA_VERSION}; simulate it again with this version"
        )
    try:
        return record, validate_document(YamlDocument(name_file(path), record), RecordForm)
    except InputError as error:
        raise InputError(make_readable(str(error))) from None


def make_readable(sentence: str) -> str:
    """Escape what is not printable in a sentence that repeats names from a file, and cut it."""
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in sentence)
    return shown if len(shown) <= LONGEST_SENTENCE else shown[: LONGEST_SENTENCE - 3] + "..."


def parse_record(path: Path) -> dict[str, Any]:
    """Parse a file that holds one JSON object, each field of it once, all numbers finite, nested 32 levels at most.

    Raises:
        InputError: names the place.
    """
    text = read_stored_text(path, LIMIT_BYTES)
    try:
        record = json.loads(
            text,
            object_pairs_hook=make_object,
            parse_int=parse_whole,
            parse_float=parse_number,
            parse_constant=refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise InputError(f"{name_file(path)}: line {error.lineno}: is not JSON ({error.msg})") from None
    except RefusedError as error:
        raise InputError(f"{name_file(path)}: {error}") from None
    except RecursionError:
        raise InputError(f"{name_file(path)}: is nested deeper than {DEPTH_LIMIT} levels") from None
    if measure_depth(record) > DEPTH_LIMIT:
        raise InputError(f"{name_file(path)}: is nested deeper than {DEPTH_LIMIT} levels")
    if not isinstance(record, dict):
        raise InputError(f"{name_file(path)}: must hold a mapping of fields, got {show_value(record)}")
    return record


def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a mapping whose keys are printable and there once; only a description has several lines."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if not key.isprintable():
            raise RefusedError(f"has a field with characters that are not printable, {show_value(key)}")
        if key in made:
            raise RefusedError(f"has the field {show_value(key)} twice in one mapping")
        if isinstance(value, str) and key != "description" and not value.isprintable():
            raise RefusedError(f"{key} has characters that are not printable, got {show_value(value)}")
        made[key] = value
    return made


def parse_whole(digits: str) -> int:
    """Read a whole number of 64 bits."""
    if len(digits) > NUMBER_LIMIT_CHARACTERS or abs(int(digits)) >= 2**63:
        raise RefusedError(f"has the number {shorten_line(digits)}; whole numbers lie below 2^63")
    return int(digits)


def parse_number(digits: str) -> float:
    """Read a finite number."""
    if len(digits) > NUMBER_LIMIT_CHARACTERS or not math.isfinite(float(digits)):
        raise RefusedError(f"has the number {shorten_line(digits)}; numbers are finite and have 40 characters at most")
    return float(digits)


def refuse_constant(name: str) -> NoReturn:
    """Refuse what is no number."""
    raise RefusedError(f"has the number {name}; numbers are finite")


def measure_depth(data: Any) -> int:
    """Count the levels of nested data, without recursion."""
    level, depth = [data], 0
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth
