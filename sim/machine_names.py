"""Names of machines that differ from what they are named after: `sparsetrain[array.groups=28]`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

# The form of a machine's name: a name, and the changes that make the machine, in brackets.
MACHINE_NAME = r"^[A-Za-z_][A-Za-z0-9_.\-]*(\[[A-Za-z0-9_.,=+~\-]+\][A-Za-z0-9_.\-]*)?$"
NAME_CHARACTERS = 256
CHANGES_CHARACTERS = 80
DIGEST_CHARACTERS = 8


def flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give nested data as dotted paths and single values, in the data's order."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields whose values differ, in the order of the form; a section that was taken away is one field."""
    old = dict(flatten(before))
    return {path: value for path, value in flatten(after) if path != "name" and (path not in old or old[path] != value)}


def split_name(name: str) -> tuple[str, list[str], str]:
    """Cut a machine's name into what stands before the brackets, the changes in them, and what stands behind."""
    before, bracket, rest = name.partition("[")
    inside, _, behind = rest.partition("]")
    return before, inside.split(",") if bracket else [], behind


def name_changes(name: str, changes: Mapping[str, Any]) -> str:
    """Name a machine of this name after changes to its fields; changes that the name tells already are kept.

    What would make the brackets longer than 80 characters is counted and told by a digest of all changes.
    """
    before, told, behind = split_name(name)
    words = {word.partition("=")[0]: word for word in told}
    words |= {path: f"{path}={write_value(value)}" for path, value in changes.items()}
    if not words:
        return name
    return f"{before}[{shorten_changes(list(words.values()))}]{behind}"


def shorten_changes(words: list[str]) -> str:
    """Join changes by commas, as many as have room."""
    text = ",".join(words)
    if len(text) <= CHANGES_CHARACTERS:
        return text
    kept: list[str] = []
    for place, word in enumerate(words):
        end = f"+{len(words) - place}~{digest(text)}"
        if len(",".join([*kept, word, end])) > CHANGES_CHARACTERS:
            return ",".join([*kept, end])
        kept.append(word)
    return text


def write_value(value: Any) -> str:
    """Write a field's value in letters that a name may hold; other text is told apart by its digest."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return write_safely(str(value))


def write_safely(text: str) -> str:
    """Write text in letters that names of machines, files and folders may hold; what gets lost is told by a digest."""
    if re.fullmatch(r"[A-Za-z0-9_.+\-]{1,40}", text):
        return text
    rest = re.sub(r"[^A-Za-z0-9_.]+", "-", PurePath(text).name)[:24].strip("-.")
    return f"{rest}~{digest(text)}"


def digest(text: str) -> str:
    """Give a few letters that differ where texts do."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]
