"""A YAML document in memory: plain data, and the line on which each of its parts stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlDocument:
    """Plain data (mappings, lists, text, numbers, booleans, null) and where it came from.

    Attributes:
        label: The file's path as the user gave it, or a name for data that is not from a file.
        lines: Field path, such as ``("layers", 2, "stride")``, to line, counted from 1; empty for data not from a file.
        places: Path of a list entry that was made from another one, to that one's path, by which messages name it.
    """

    label: str
    data: dict[str, Any]
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    text: str = ""
    places: Mapping[FieldPath, FieldPath] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<YamlDocument {self.label}: {len(self.text.splitlines())} lines>"

    def value(self, path: FieldPath) -> Any:
        """Return the part of the data at this path."""
        value: Any = self.data
        for part in path:
            value = value[part]
        return value

    def line(self, path: FieldPath) -> int | None:
        """Return the line of this path, or of the nearest part around it that the file holds."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def place(self, path: FieldPath) -> str:
        """Return where this path is, such as ``net.yaml, line 7: layers[2] 'conv2'``."""
        owner, rest = self.split(path)
        words = " ".join(part for part in (owner, field_words(rest)) if part)
        return f"{self.origin(path)}: {words}" if words else self.origin(path)

    def origin(self, path: FieldPath) -> str:
        """Return the label and the line of this path, such as ``net.yaml, line 7``."""
        line = self.line(path)
        return self.label if line is None else f"{self.label}, line {line}"

    def split(self, path: FieldPath) -> tuple[str, FieldPath]:
        """Split a path into the words for the innermost list entry around it and the path inside that entry."""
        entry: Any = self.data
        owner, rest = "", path
        for length, part in enumerate(path, 1):
            # The last part may be a field or an entry that is missing.
            entry = entry[part] if length < len(path) else _entry_or_none(entry, part)
            if isinstance(part, int) and isinstance(entry, dict):
                name = entry.get("name")
                named = f" '{name}'" if isinstance(name, str) else ""
                owner, rest = field_words(self.places.get(path[:length], path[:length])) + named, path[length:]
        return owner, rest


def field_words(path: FieldPath) -> str:
    """Return a path as text, such as ``operands.density.input`` or ``kernel[1]``."""
    words = ""
    for part in path:
        words += f"[{part}]" if isinstance(part, int) else f".{part}" if words else part
    return words


def _entry_or_none(around: Any, part: str | int) -> Any:
    if isinstance(around, dict):
        return around.get(part)
    return around[part] if isinstance(part, int) and part < len(around) else None
